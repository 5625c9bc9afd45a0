"""`gla source`: what is registered, in whose name, and what is listed where a source is not there."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from click.testing import CliRunner

from apps.cli.source import source
from core.errors import SourceUnavailable, UnusableInput
from core.settings import Settings


@pytest.fixture
def run(tmp_path):
    settings = Settings(home=tmp_path / "home")

    def invoke(*words):
        words = [str(word) for word in words]
        return CliRunner().invoke(source, words, obj=settings, catch_exceptions=False, env={"COLUMNS": "200"}).output

    return invoke


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (bsn TEXT, loon INTEGER)")
        connection.execute("CREATE TABLE codes (code TEXT)")
        connection.commit()
    return path


def test_every_offered_table_is_told_with_its_columns(run, database):
    output = run("add", "db", database, "--table", "people", "--table", "codes", "--owner", "Register")
    assert output.splitlines() == ["source db, table people: 2 columns", "source db, table codes: 1 column"]
    listed = run("list")
    for shown in ("db (people)", "db (codes)", "sqlite", "Register", "bsn, loon"):
        assert shown in listed


def test_the_owner_is_the_user_unless_another_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "operator")
    (tmp_path / "a.csv").write_text("n\n1\n")
    assert run("add", "a", tmp_path / "a.csv") == "source a: 1 column\n"
    assert json.loads((tmp_path / "home/config/sources.json").read_text())["sources"]["a"]["owner"] == "operator"


def test_a_source_that_is_not_there_does_not_hide_the_others(run, database, tmp_path):
    (tmp_path / "a.csv").write_text("n\n1\n")
    run("add", "a", tmp_path / "a.csv")
    run("add", "db", database, "--table", "people")
    database.unlink()
    listed = run("list")
    assert "SourceUnavailable: source db does not exist" in listed
    assert "files" in listed


def test_a_secret_is_named_by_its_place_where_it_cannot_be_read(run, tmp_path, monkeypatch):
    monkeypatch.delenv("GLA_NO_SUCH", raising=False)
    words = ("add", "db", "env:GLA_NO_SUCH", "--kind", "postgresql", "--table", "people")
    with pytest.raises(SourceUnavailable, match="cannot be read at env:GLA_NO_SUCH"):
        run(*words)
    secret = tmp_path / "home" / "config" / "open"
    secret.parent.mkdir(parents=True)
    secret.write_text("host=h password=geheim")
    secret.chmod(0o644)
    with pytest.raises(SourceUnavailable, match="file of mode 0600") as caught:
        run("add", "db", "file:open", "--kind", "postgresql", "--table", "people")
    assert "geheim" not in str(caught.value)
    with pytest.raises(UnusableInput, match="env:NAME or file:PATH"):
        run("add", "db", "host=h", "--kind", "postgresql", "--table", "people")
