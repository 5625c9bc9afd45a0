"""The file of signed checkpoints: only appended to, and no crash spoils it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.database import opened
from core.errors import LedgerTampered, LedgerUnavailable
from ledger.checkpoints import Checkpoint, Verifier, write_checkpoint
from ledger.checkpoints import read_checkpoints as iterate_checkpoints
from ledger.vocabulary import Action, Result
from tests.ledger_world import Clock, SecretSigner, new_ledger

SIGNER = SecretSigner()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(f"sqlite:///{tmp_path / 'gla.db'}") as engine:
        yield engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "ledger.jsonl"


def read_checkpoints(path: Path, verifier: Verifier) -> list[Checkpoint]:
    return list(iterate_checkpoints(path, verifier))


def record(engine: Engine) -> None:
    new_ledger(engine).record(Action.SOURCE_ADDED, "source:x", Result.OK, "operator", {})


def write(engine: Engine, path: Path) -> Checkpoint | None:
    return write_checkpoint(engine, path, SIGNER, Clock())


def test_an_empty_ledger_has_nothing_to_witness(engine: Engine, path: Path) -> None:
    assert write(engine, path) is None
    assert read_checkpoints(path, SIGNER.verify) == []


def test_each_checkpoint_is_one_line_with_a_whole_note(engine: Engine, path: Path) -> None:
    record(engine)
    written = write(engine, path)
    assert written is not None
    origin, size, root, at, empty, signature, end = json.loads(path.read_text()).split("\n")
    assert (size, empty, end) == ("1", "", "")
    assert base64.b64decode(root) == written.root
    assert origin == f"gla-ledger/{written.root.hex()[:32]}"  # of one event the root is its leaf
    assert at == "2026-02-01T06:00:00.000Z"
    assert signature.startswith(f"\u2014 {origin} ")
    assert read_checkpoints(path, SIGNER.verify) == [written]


def test_nobody_else_can_read_or_write_the_file(engine: Engine, path: Path) -> None:
    record(engine)
    write(engine, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_checkpoints_are_appended_and_never_rewritten(engine: Engine, path: Path) -> None:
    record(engine)
    write(engine, path)
    before = path.read_bytes()
    record(engine)
    write(engine, path)
    assert path.read_bytes().startswith(before)
    assert [checkpoint.size for checkpoint in read_checkpoints(path, SIGNER.verify)] == [1, 2]


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_that_a_crash_cut_off_is_skipped_and_then_replaced(engine: Engine, path: Path, kept: int) -> None:
    record(engine)
    write(engine, path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])
    assert len(read_checkpoints(path, SIGNER.verify)) == 1
    write(engine, path)
    assert len(read_checkpoints(path, SIGNER.verify)) == 2


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", b"not json", b'"note"', b'"a\\n1\\nAA==\\nb\\n\\n\\u2014 a AAAA\\n"', b"\xff"],
)
def test_a_line_that_is_no_checkpoint_is_tampering(engine: Engine, path: Path, line: bytes) -> None:
    record(engine)
    write(engine, path)
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(LedgerTampered, match="checkpoint 1,") as caught:
        read_checkpoints(path, SIGNER.verify)
    assert caught.value.__context__ is None


def test_a_place_that_cannot_be_written_is_unavailable(engine: Engine, tmp_path: Path) -> None:
    record(engine)
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable) as caught:
        write(engine, tmp_path / "file" / "ledger.jsonl")
    assert caught.value.__context__ is None


def test_a_folder_in_place_of_the_file_is_unavailable(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LedgerUnavailable):
        read_checkpoints(path, SIGNER.verify)
