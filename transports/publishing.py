"""A delivery appears at its destination as a whole, or not at all.

1. If the delivery's folder is there with exactly these files, there is nothing to do; if it differs, that is refused.
2. The files are written into a hidden staging folder beside it.
3. They are read back from the far side and compared: size and SHA-256.
4. The caller approves what stands there; sending can take hours, and its reasons may be gone.
5. One rename makes the folder appear.

A failure leaves at most a staging folder, which no recipient sees; the next attempt at the same delivery removes it.
That attempt holds the ledger's lease: a worker that lost its lease loses its staging folder too, and cannot publish.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from core.errors import GlaError, ReadBackMismatch, UnusableInput
from core.ids import checked_name
from transports.base import BLOCK_BYTES, STAGING_PREFIX, Receipt, Transport, opened

Approval = Callable[[tuple[Receipt, ...]], None]
"""Raises when what the receipts describe may not appear."""


def anything(receipts: tuple[Receipt, ...]) -> None:
    """Approve whatever was sent."""


def publish(
    transport: Transport, files: Mapping[str, Path], directory: str, token: str, approve: Approval = anything
) -> tuple[Receipt, ...]:
    """Publish `files` (name to local path) as the folder `directory`; receipts in the order of `files`, by file name.

    `token` (letters and digits) tells this attempt from others at the same delivery, so that none of them can make
    appear what another one has half written. Raises `ReadBackMismatch` when what stands at the destination is not
    what was sent, and whatever `approve` and the transport raise.
    """
    if not files:
        raise UnusableInput("a delivery without files cannot be published")
    names = {checked_name(name, "a file name"): path for name, path in files.items()}
    if transport.stat(directory) is not None:
        receipts = _already_there(transport, names, directory)
        approve(receipts)
        return receipts
    staging = _make_staging(transport, PurePosixPath(directory), token)
    try:
        receipts = _stage(transport, names, staging)
        approve(receipts)
        transport.rename(staging, directory)
    except BaseException:
        # Ciphertext that never became a delivery should not stay, but the first failure is the one to report.
        with contextlib.suppress(GlaError):
            transport.delete(staging)
        raise
    return receipts


def _make_staging(transport: Transport, directory: PurePosixPath, token: str) -> str:
    if len(directory.parts) < 2 or not (token.isascii() and token.isalnum()):
        raise UnusableInput("a delivery needs a folder above it, and a token of letters and digits")
    parent = str(directory.parent)
    ours = f"{STAGING_PREFIX}{directory.name}"
    transport.make_directory(parent)
    for name in transport.list(parent):
        if name.rpartition("-")[0] == ours:  # `edition-1` must not touch what belongs to `edition-1-b`
            transport.delete(f"{parent}/{name}")
    staging = f"{parent}/{ours}-{token}"
    transport.make_directory(staging)
    return staging


def _stage(transport: Transport, files: Mapping[str, Path], staging: str) -> tuple[Receipt, ...]:
    receipts = tuple(
        Receipt(name, sent.size, sent.sha256)
        for name, path in files.items()
        for sent in [transport.put(path, f"{staging}/{name}")]
    )
    if different := _difference(transport, receipts, staging):
        raise ReadBackMismatch(f"{different} at the destination: check its disk and run again")
    return receipts


def _already_there(transport: Transport, files: Mapping[str, Path], directory: str) -> tuple[Receipt, ...]:
    receipts = tuple(_digest(name, _local_blocks(path, name)) for name, path in files.items())
    if different := _difference(transport, receipts, directory):
        raise ReadBackMismatch(
            f"{different} in the folder that stands at the destination under this delivery's name: it is never "
            "overwritten; look what happened to it, remove it, and resume"
        )
    return receipts


def _difference(transport: Transport, receipts: tuple[Receipt, ...], directory: str) -> str | None:
    """What is not as it was sent, or None."""
    if transport.list(directory) != sorted(receipt.name for receipt in receipts):
        return "other files than ours are"
    for sent in receipts:
        name = f"{directory}/{sent.name}"
        found = transport.stat(name)
        if found is None or found.size != sent.size or _digest(sent.name, transport.read(name)) != sent:
            return f"{sent.name} is not as it was sent"
    return None


def _digest(name: str, blocks: Iterator[bytes]) -> Receipt:
    digest = hashlib.sha256()
    size = 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return Receipt(name, size, digest.hexdigest())


def _local_blocks(path: Path, name: str) -> Iterator[bytes]:
    with opened(path, name) as reader:
        while block := reader.read(BLOCK_BYTES):
            yield block
