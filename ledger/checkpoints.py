"""Signed statements, in a second place, of how far the ledger had come: what makes a recomputed or cut ledger visible.

Each is a C2SP `tlog-checkpoint` in a `signed-note`: origin, number of events, root of the Merkle tree, and one line
more, when it was made, so that a key which was replaced cannot go on signing. Each line of the file is a JSON string, a
whole note with its line ends (`tail -n1 FILE | jq -rj .`), since a line can be appended whole; it is only appended to,
in the order of size. It protects as far as it lies where the owner of the database cannot write.

The signer and the verifier are handed in; this package knows no keys.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from core.canonical import canonical_json, parse_json
from core.clock import Clock, from_rfc3339, to_rfc3339
from core.database import reading
from core.errors import GlaError, LedgerTampered, LedgerUnavailable
from core.files import append_line, append_only
from ledger.merkle import HASH_BYTES
from ledger.tree import Tree

_SIZE = re.compile(r"[1-9][0-9]{0,17}")

Verifier = Callable[[str, datetime], object]
"""Takes a signed note and the time that its text tells; raises an error of ours unless a ledger key of ours, which was
not replaced by then, signed it under the name in its first line."""


class CheckpointSigner(Protocol):
    def sign_note(self, name: str, text: str) -> str:
        """The signed note: text, empty line, signature line under this name."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """At the time `at` the ledger `origin` had `size` events, with this root."""

    origin: str
    size: int
    root: bytes
    at: str

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{self.at}\n"


def write_checkpoint(engine: Engine, path: Path, signer: CheckpointSigner, clock: Clock) -> Checkpoint | None:
    """Sign the end of the ledger and append that to `path`, on disk before it returns; None while the ledger is empty.

    Raises `LedgerUnavailable` when the file cannot be written.
    """
    reason = ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with append_only(path, mode=0o600) as file:  # held while we look: so the file is in the order of size
            checkpoint = _end(engine, clock)
            if checkpoint is not None:
                note = signer.sign_note(checkpoint.origin, checkpoint.text())
                append_line(file, canonical_json(note))
        return checkpoint
    except OSError as error:
        reason = type(error).__name__
    raise LedgerUnavailable(f"the checkpoint cannot be written ({reason}): check the folder and its free space")


def _end(engine: Engine, clock: Clock) -> Checkpoint | None:
    with reading(engine) as connection:
        tree = Tree(connection)
        size = tree.size()
        return Checkpoint(tree.origin(), size, tree.root(size), to_rfc3339(clock())) if size else None


def read_notes(path: Path) -> Iterator[str]:
    """The signed notes as they stand, oldest first, not verified. No file: none.

    A last line without its end was never completed. Raises `LedgerTampered` for a line that is no note,
    `LedgerUnavailable` if the file cannot be read.
    """
    reason = ""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _note(line, number)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        reason = type(error).__name__
    raise LedgerUnavailable(f"the file of checkpoints cannot be read ({reason})")


def read_checkpoints(path: Path, verifier: Verifier) -> Iterator[Checkpoint]:
    """All checkpoints in the order of the file, each when it is asked for, as `read_notes`.

    Raises `LedgerTampered` for one that our key did not sign.
    """
    for number, note in enumerate(read_notes(path), start=1):
        yield verified_checkpoint(note, verifier, f"checkpoint {number}, a line of the checkpoints file,")


def verified_checkpoint(note: str, verifier: Verifier, what: str = "the checkpoint") -> Checkpoint:
    """What a signed note says, once it is verified; `LedgerTampered` if our ledger key did not sign it."""
    try:
        checkpoint = parse_checkpoint(note)
        verifier(note, from_rfc3339(checkpoint.at))
        return checkpoint
    except (GlaError, ValueError):
        pass
    raise LedgerTampered(f"{what} was not signed by our ledger key")


def parse_checkpoint(note: str) -> Checkpoint:
    """The text of a signed note, not verified; ValueError if it is none of ours."""
    text, *signatures = note.split("\n\n")
    origin, size, root, at = text.split("\n")
    decoded = base64.b64decode(root, validate=True)
    if not (len(signatures) == 1 and origin and _SIZE.fullmatch(size) and len(decoded) == HASH_BYTES):
        raise ValueError("not a checkpoint")
    checkpoint = Checkpoint(origin, int(size), decoded, at)
    if checkpoint.text() != f"{text}\n":
        raise ValueError("not in its one form")
    return checkpoint


def _note(line: bytes, number: int) -> str:
    try:
        note = parse_json(line, "the line")
    except GlaError:
        note = None
    if not isinstance(note, str):
        raise LedgerTampered(f"checkpoint {number}, a line of the checkpoints file, was not signed by our ledger key")
    return note
