"""The last border: whatever is typed or set ends in one sentence and an exit code, never in a trace."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import click
import pytest

from apps.cli import main as cli
from core import errors
from core.database import opened


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GLA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def ends(monkeypatch, capsys, *arguments):
    """Exit code and what is on standard error, which is one line."""
    monkeypatch.setattr(sys, "argv", ["gla", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    assert "Traceback" not in sentence
    return caught.value.code, sentence


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GLA_DROPZONE__PORT", "geheim", "GLA_DROPZONE__PORT"),
        ("GLA_DROPZONE", "geheim", "GLA_*"),
        ("GLA_DELIVERY__LEASE_SECONDS", "0", "GLA_DELIVERY__LEASE_SECONDS"),
        ("GLA_LOG_LEVEL", "geheim", "GLA_LOG_LEVEL"),
        ("GLA_HOME", "", "GLA_HOME"),
        ("GLA_HOME", "~/geheim", "GLA_HOME"),
        ("GLA_HOME", "/geheim ", "GLA_HOME"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(home, monkeypatch, capsys, name, value, told):
    monkeypatch.setenv(name, value)
    code, sentence = ends(monkeypatch, capsys, "history")
    assert code == 2
    assert told in sentence
    assert "geheim" not in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["deliver", "GLA-1", "2026-03"],
        ["history"],
        ["history", "--due"],
        ["ledger", "key"],
        ["participants", "list"],
        ["receipt", "list"],
        ["retention", "run"],
        ["contract", "drift", "--all"],
    ],
)
def test_in_a_folder_without_a_ledger_nothing_is_answered_and_nothing_made(home, monkeypatch, capsys, arguments):
    code, sentence = ends(monkeypatch, capsys, *arguments)
    assert code == 2
    assert f"there is no ledger in {home}: go to the folder" in sentence
    assert not home.exists()


def test_the_flows_are_not_put_into_a_server_that_nobody_named(home, monkeypatch, capsys):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    code, sentence = ends(monkeypatch, capsys, "ops", "deploy")
    assert (code, "set PREFECT_API_URL" in sentence) == (2, True)


def test_a_prefect_server_that_does_not_answer_is_unreachable(home, monkeypatch, capsys):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    code, sentence = ends(monkeypatch, capsys, "ops", "deploy")
    assert (code, "does not answer" in sentence) == (errors.DestinationUnreachable.exit_code, True)


def test_a_level_may_be_written_small(home, monkeypatch):
    monkeypatch.setenv("GLA_LOG_LEVEL", "debug")
    assert cli.read_settings().log_level == "DEBUG"


@pytest.mark.parametrize("arguments", [["deliver", "\udcff", "2026-03"], ["history", "--recipient", "\udcff"]])
def test_an_argument_that_is_no_text(home, monkeypatch, capsys, arguments):
    with opened(cli.read_settings().resolved_database_url):
        """It is made."""
    code, _ = ends(monkeypatch, capsys, *arguments)
    assert code == errors.Unexpected.exit_code


def test_a_uri_that_is_none(home, monkeypatch, capsys):
    assert ends(monkeypatch, capsys, "source", "add", "s", "file://[bad")[0] == 2


@pytest.mark.parametrize("content", [{"d": 1}, {"d": {"uri": "sftp://u@h/x"}}, []])
def test_a_damaged_registry_of_destinations(home, monkeypatch, capsys, content):
    (home / "config").mkdir(parents=True)
    (home / "config" / "destinations.json").write_text(json.dumps(content))
    assert ends(monkeypatch, capsys, "destination", "list")[0] == 2


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (OSError(errno.ENOSPC, "x", "/a/geheim"), 50, "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/file"), 2, "file: Permission denied"),
        (OSError(errno.EIO, "geheim"), 70, "builtins.OSError"),
        (ValueError("row 3: geheim"), 70, "builtins.ValueError"),
    ],
)
def test_a_foreign_exception_shows_its_kind_and_none_of_its_words(home, monkeypatch, capsys, error, code, told):
    @click.command()
    def broken():
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: broken)
    monkeypatch.setattr(errors.logger, "error", lambda *_: None)
    found, sentence = ends(monkeypatch, capsys, "history")
    assert found == code
    assert told in sentence
    assert "geheim" not in sentence
    assert str(Path.cwd()) not in sentence
