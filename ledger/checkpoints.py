"""Signed statements, in a second place, of how far the ledger had come: what makes a recomputed or cut chain visible.

One JSON line each: ``{"at", "hash", "seq", "signature"}``; signed are the RFC 8785 bytes of the line without the
signature. The signer and the verifier are handed in; this package knows no keys. The file is only appended to. It
protects as far as it lies where the owner of the database cannot write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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
from ledger.events import LAST

NAMESPACE = "gla-ledger"

Verifier = Callable[[str, bytes, str, datetime], object]
"""Takes signature, message, namespace and the time that the message tells; raises an error of ours unless a ledger key
of ours made the signature, which was not replaced by then."""


class CheckpointSigner(Protocol):
    def sign(self, message: bytes, namespace: str) -> str: ...


@dataclass(frozen=True)
class Checkpoint:
    """At the time `at`, event `seq` was the last one and had this hash."""

    seq: int
    hash: str
    at: str

    def message(self) -> bytes:
        """The bytes that are signed."""
        return canonical_json({"at": self.at, "hash": self.hash, "seq": self.seq})


def write_checkpoint(engine: Engine, path: Path, signer: CheckpointSigner, clock: Clock) -> Checkpoint | None:
    """Sign the end of the ledger and append that to `path`, on disk before it returns; None while the ledger is empty.

    Raises `LedgerUnavailable` when the file cannot be written.
    """
    with reading(engine) as connection:
        last = connection.execute(LAST).first()
    if last is None:
        return None
    checkpoint = Checkpoint(last.seq, last.hash, to_rfc3339(clock()))
    signature = signer.sign(checkpoint.message(), NAMESPACE)
    _append_line(path, canonical_json({**json.loads(checkpoint.message()), "signature": signature}))
    return checkpoint


def read_checkpoints(path: Path, verifier: Verifier) -> list[Checkpoint]:
    """All checkpoints by sequence number. No file: no checkpoints. A last line without its end was never completed.

    Raises `LedgerTampered` for a line that our key did not sign, `LedgerUnavailable` if the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    except OSError as error:
        lines, reason = None, type(error).__name__
    if lines is None:
        raise LedgerUnavailable(f"the file of checkpoints cannot be read ({reason})")
    checkpoints = [_read(line, number, verifier) for number, line in enumerate(lines, start=1)]
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.seq)


def _read(line: bytes, number: int, verifier: Verifier) -> Checkpoint:
    checkpoint = None
    try:
        fields = parse_json(line, "the line")
        checkpoint = Checkpoint(seq=fields["seq"], hash=fields["hash"], at=fields["at"])
        verifier(fields["signature"], checkpoint.message(), NAMESPACE, from_rfc3339(checkpoint.at))
        well_formed = isinstance(checkpoint.seq, int) and isinstance(checkpoint.hash, str)
    except (GlaError, KeyError, TypeError, ValueError):
        well_formed = False
    if checkpoint is None or not well_formed:
        raise LedgerTampered(f"checkpoint {number}, a line of the checkpoints file, was not signed by our ledger key")
    return checkpoint


def _append_line(path: Path, line: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with append_only(path, mode=0o600) as file:
            append_line(file, line)
        return
    except OSError as error:
        reason = type(error).__name__
    raise LedgerUnavailable(f"the checkpoint cannot be written ({reason}): check the folder and its free space")
