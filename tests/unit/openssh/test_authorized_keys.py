"""Who sshd is told may log in: exactly who the accounts file names while the zone runs, and nobody otherwise."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.cli.main import gla
from apps.openssh.authorized_keys import LOCK_NAME
from schemas.accounts import Account, Accounts

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL3jCnpUbfQgborZlUQQhzu5ruO+vavC1BlAe0lmrDJg"


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Path]:
    """A file with two recipients, and a zone that runs."""
    path = tmp_path / "accounts.json"
    path.write_bytes(Accounts(accounts=(Account(name="fonds", keys=(KEY,)), Account(name="none", keys=()))).to_bytes())
    with (tmp_path / LOCK_NAME).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def printed(accounts: Path, name: str) -> str:
    return CliRunner().invoke(gla, ["dropzone", "authorized-keys", "--accounts", str(accounts), "--", name]).stdout


def test_a_recipients_keys_are_printed_with_every_other_use_shut(accounts):
    assert printed(accounts, "fonds") == f"restrict {KEY}\n"


@pytest.mark.parametrize("name", ["none", "stranger", "FONDS", "", "fonds\n", "../fonds", "-x"])
def test_another_name_has_no_keys(accounts, name):
    assert printed(accounts, name) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document | {"version": 2},
        lambda document: document | {"accounts": [{"name": "fonds", "keys": [f'command="sh" {KEY}']}]},
        lambda document: document | {"accounts": [{"name": "fonds", "keys": [f"{KEY}\nrestrict x"]}]},
        lambda document: document | {"accounts": [{"name": "fonds", "keys": [KEY]}] * 2},
        lambda document: document | {"accounts": [{"name": "fonds"}]},
        lambda document: [document],
    ],
    ids=["version", "options", "lines", "twice", "no keys", "a list"],
)
def test_a_file_that_we_did_not_write_lets_nobody_in(accounts, change):
    accounts.write_text(json.dumps(change(json.loads(accounts.read_bytes()))))
    assert printed(accounts, "fonds") == ""


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null"])
def test_a_damaged_file_lets_nobody_in(accounts, data):
    accounts.write_bytes(data)
    assert printed(accounts, "fonds") == ""


def test_without_its_file_nobody_is_let_in(accounts):
    accounts.unlink()
    assert printed(accounts, "fonds") == ""


def test_while_the_zone_does_not_run_nobody_is_let_in(accounts):
    lock = accounts.with_name(LOCK_NAME)
    lock.unlink()
    assert printed(accounts, "fonds") == ""
    lock.touch()
    assert printed(accounts, "fonds") == ""


def test_it_loads_no_settings_no_database_and_no_cryptography():
    import subprocess
    import sys

    code = (
        "import sys\nfrom apps.cli.main import gla\n"
        "gla(['dropzone', 'authorized-keys', '--accounts', '/nowhere', 'x'], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=False)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in loaded
    assert not loaded & {"pydantic", "sqlalchemy", "paramiko", "cryptography", "polars", "pandera", "prefect"}
