"""Seal 1 GB from and to memory: ours (`gla envelope encrypt`, start-up included) against Debian's `age`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import run

from keys.private.identities import generate_identity

SIZE = 1 << 30
_BLOCK = 1 << 24


def measure(_work: Path) -> dict[str, float]:
    """`envelope_vs_age`: their time over ours; both seal to one X25519 recipient."""
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        plain = memory / "plain"
        with plain.open("wb") as file:
            for _ in range(SIZE // _BLOCK):
                file.write(os.urandom(_BLOCK))
        recipient = str(generate_identity("x25519").recipient)

        def ours(_number: int) -> tuple[float, float]:
            command = [sys.executable, "-m", "apps.cli.main", "envelope", "encrypt", "-r", recipient, "-o"]
            return run.timed([*command, str(memory / "ours"), str(plain)], dict(os.environ))

        def theirs(_number: int) -> tuple[float, float]:
            return run.timed(["age", "-r", recipient, "-o", str(memory / "theirs"), str(plain)], dict(os.environ))

        return {"envelope_vs_age": 1 / run.pairs(ours, theirs)["ratio"]}
    finally:
        shutil.rmtree(memory)
