"""`gla ledger verify` with a real signing key: 0 for an intact ledger, 1 and the place for one that was changed."""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from apps.cli.ledger import ledger
from core.clock import utc_now
from core.database import opened
from core.errors import KeyUnusable, LedgerTampered, UnusableInput
from core.settings import Settings
from keys.private.custody import Custody, Role
from keys.private.signing import Signer
from ledger.checkpoints import read_notes, write_checkpoint
from tests.ledger_world import deliver, new_ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with one delivery and its checkpoint, signed by the ledger key in custody."""
    settings = Settings(home=tmp_path / "home")
    custody = Custody(settings.keys_dir)
    custody.create(Role.LEDGER)
    with opened(settings.resolved_database_url) as engine:
        deliver(new_ledger(engine))
        write_checkpoint(engine, settings.checkpoints_path, custody.signer(Role.LEDGER), utc_now)
    return settings


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(ledger, ["verify", *arguments], obj=settings, catch_exceptions=False)


def cut_tail(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.home / "gla.db")) as connection:
        connection.execute("DROP TRIGGER events_never_go")
        connection.execute("DELETE FROM events WHERE seq = 5")
        connection.commit()


def test_an_intact_ledger_is_counted_and_its_witnesses_named(settings: Settings) -> None:
    output = run(settings).output
    assert "intact: 5 events, 1 deliveries" in output
    assert "1 signed checkpoints witness the events up to 5" in output


def test_where_there_is_no_ledger_nothing_is_called_intact_or_made(tmp_path: Path) -> None:
    with pytest.raises(
        UnusableInput, match=r"there is no ledger in .*home: go to the folder that holds \.gla, or set GLA_"
    ):
        run(Settings(home=tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []


def test_absent_checkpoints_are_said_aloud(settings: Settings) -> None:
    settings.checkpoints_path.unlink()
    assert "no checkpoints" in run(settings).stderr


def test_a_tampered_ledger_exits_with_1_and_says_where(settings: Settings) -> None:
    cut_tail(settings)
    done = subprocess.run(
        [sys.executable, "-m", "apps.cli.main", "ledger", "verify"],
        env={**os.environ, "GLA_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: the ledger ends at event 4" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_auditor_needs_only_the_public_key_and_the_checkpoints(settings: Settings, tmp_path: Path) -> None:
    public_key, elsewhere = tmp_path / "ledger.pub", tmp_path / "elsewhere.jsonl"
    public_key.write_text(f"{Custody(settings.keys_dir).public_key(Role.LEDGER).line} ledger\n")
    settings.checkpoints_path.rename(elsewhere)
    for file in settings.keys_dir.iterdir():
        file.unlink()
    arguments = ("--checkpoints", str(elsewhere), "--public-key", str(public_key))
    assert "witness the events up to 5" in run(settings, *arguments).output


def test_checkpoints_by_a_key_that_is_not_the_auditors_are_tampering(settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(Signer.generate().public_key.line)
    with pytest.raises(LedgerTampered, match="checkpoint 1,"):
        run(settings, "--public-key", str(other))


def test_checkpoints_without_our_key_are_not_skipped(settings: Settings) -> None:
    for file in settings.keys_dir.iterdir():
        file.unlink()
    with pytest.raises(KeyUnusable):
        run(settings)


def test_a_public_key_that_is_none_is_a_clear_error(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(UnusableInput, match="public key cannot be read"):
        run(settings, "--public-key", str(tmp_path / "key"))


def test_the_key_is_printed_as_tools_for_signed_notes_take_it(settings: Settings) -> None:
    done = CliRunner().invoke(ledger, ["key"], obj=settings, catch_exceptions=False)
    name, number, encoded = done.output.strip().split("+", 2)
    (note,) = read_notes(settings.checkpoints_path)
    _, signed_by, signature = note.splitlines()[-1].split(" ")
    material = base64.b64decode(encoded)
    assert (signed_by, base64.b64decode(signature)[:4].hex()) == (name, number)
    assert hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8] == number
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(
        base64.b64decode(signature)[4:], note.partition("\n\n")[0].encode() + b"\n"
    )


def test_an_empty_ledger_has_no_key_to_print(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="empty"):
        CliRunner().invoke(ledger, ["key"], obj=Settings(home=tmp_path / "home"), catch_exceptions=False)
