"""Seal and open 1 GB from and to memory: `gla envelope` (start-up included) against Debian's `age`, in turn."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import run

from keys.private.identities import generate_identity

SIZE = 1 << 30
_BLOCK = 1 << 24
OURS = [*run.GLA, "envelope"]


def measure(_work: Path) -> dict[str, float]:
    """Their time over ours; both use one X25519 key, and both open the same file."""
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        return measure_in(memory)
    finally:
        shutil.rmtree(memory)


def measure_in(memory: Path) -> dict[str, float]:
    plain, sealed, key = memory / "plain", memory / "sealed", memory / "key"
    with plain.open("wb") as file:
        for _ in range(SIZE // _BLOCK):
            file.write(os.urandom(_BLOCK))
    identity = generate_identity("x25519")
    key.write_text(identity.secret_text())

    def timed(command: list[str], source: Path, becomes: Path) -> tuple[float, float]:
        """The output is always a new file, and takes the place of the last one outside the time."""
        output = memory / "output"
        measured = run.timed([*command, "-o", str(output), str(source)], run.ENVIRONMENT)
        output.rename(becomes)
        return measured

    to, by = ["-r", str(identity.recipient)], ["-i", str(key)]
    sealing = run.pairs(
        lambda _: timed([*OURS, "encrypt", *to], plain, sealed),
        lambda _: timed(["age", *to], plain, sealed),
    )
    opening = run.pairs(
        lambda _: timed([*OURS, "decrypt", *by], sealed, memory / "opened"),
        lambda _: timed(["age", "-d", *by], sealed, memory / "opened"),
    )
    return {
        "envelope_vs_age": 1 / sealing["ratio"],
        "envelope_open_vs_age": 1 / opening["ratio"],
        "envelope_peak_rss_mb": max(sealing["rss"], opening["rss"]),
    }
