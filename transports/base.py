"""What every destination can do, and how its errors become ours.

A transport moves bytes and returns receipts. It records nothing and decides nothing: whether a delivery is complete is
judged in `transports.publishing`, by reading back. Some have folders that can be renamed (`FolderTransport`), some keep
objects by their names (`ObjectTransport`): that is all in which they differ for who publishes.

Names are relative POSIX paths. Every segment passes `core.ids.checked_name`, except that a staging folder is
`STAGING_PREFIX` and a checked name; so a name can neither climb nor hide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from core.ids import ID_LENGTH, checked_name
from transports.outgoing import local_blocks, local_size

STAGING_PREFIX = ".staging-"
_LEAST_KEPT = 1024 * 1024  # bytes; the first of them are random in every envelope


@dataclass(frozen=True)
class Receipt:
    """One file as it was sent, or as it was read back."""

    name: str
    size: int  # bytes
    sha256: str  # 64 hexadecimal characters


@dataclass(frozen=True)
class Stat:
    """What stands under a name at the destination."""

    size: int  # bytes; 0 for a folder
    is_directory: bool


class Transport(Protocol):
    """A destination. Every method may raise the errors below `DestinationError`, and `StorageFull`.

    A refusal (`DestinationRefused`) is about the request; after `DestinationUnreachable` the transport is closed and
    answers nothing else.
    """

    def put(self, source: Path, name: str) -> Receipt:
        """Write a new file; its folder must exist and the file must not. The receipt describes what was sent."""

    def resume(self, source: Path, name: str) -> Receipt:
        """As `put`, but what an earlier attempt left under the name, and reads back as ours, is not sent again."""

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        """The bytes of a file from `offset` on, in blocks: `size` of them, or fewer if the file ends before."""

    def stat(self, name: str) -> Stat | None:
        """None if nothing has that name."""

    def list(self, name: str) -> list[str]:
        """The sorted names in a folder, hidden ones too."""

    def delete(self, name: str) -> None:
        """Remove a file, or a folder and all in it; nothing happens if it does not exist."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@runtime_checkable
class FolderTransport(Transport, Protocol):
    """One whose folders exist for themselves, so that one can be filled out of sight and then be named at once."""

    def rename(self, old: str, new: str) -> None:
        """Give a file or a whole folder another name, at once; the new name must not exist."""

    def make_directory(self, name: str) -> None:
        """Make a folder and those above it; nothing happens if it exists."""


class ObjectTransport(Transport, Protocol):
    """One that keeps objects: a folder is there as long as an object is below it, and nothing can be renamed."""

    def version(self, name: str) -> str:
        """A mark of the object that stands there now, which changes when it is written again."""

    def lock(self, name: str) -> None:
        """Let nobody change or remove the object for as long as this destination retains; else nothing happens."""


Destination = FolderTransport | ObjectTransport


class Closing:
    """A transport is closed where its `with` ends."""

    def close(self) -> None:
        """Nothing is held open between calls."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


def checked_segments(name: str) -> tuple[str, ...]:
    """The segments of a transport name; `UnusableInput` if one of them is not safe."""
    return tuple(_checked_segment(segment) for segment in name.split("/"))


def _checked_segment(segment: str) -> str:
    checked_name(segment.removeprefix(STAGING_PREFIX), "each part of a name at a destination")
    return segment


def staging_name(delivery: str, token: str) -> str:
    """The folder, beside that of the delivery, in which the attempt `token` (letters and digits) writes it."""
    return f"{STAGING_PREFIX}{delivery}-{token}"


def is_staging_of(delivery: str, name: str) -> bool:
    """Whether any attempt at the delivery writes there: `edition-1` must not touch what belongs to `edition-1-b`."""
    return name.rpartition("-")[0] == f"{STAGING_PREFIX}{delivery}"


def is_later(name: str, than: str) -> bool:
    """Whether, of two staging folders of a delivery, `name` is that of a later attempt: the tokens of both are the same
    id (`core.ids.new_id`) and then a number.
    """
    other, token = (each.rpartition("-")[2] for each in (name, than))
    return other[:ID_LENGTH] == token[:ID_LENGTH] and (len(other), other) > (len(token), token)


def digested(name: str, blocks: Iterable[bytes]) -> Receipt:
    """The receipt of a file of these bytes."""
    digest = hashlib.sha256()
    size = 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return Receipt(name, size, digest.hexdigest())


def kept_bytes(transport: Transport, source: Path, name: str) -> int:
    """How many bytes of `source` stand under `name` from an earlier attempt; what is not its start is removed.

    A short start is not kept: a worker that lost its lease might still be writing another envelope there.
    """
    found = transport.stat(name)
    if found is None:
        return 0
    if not found.is_directory and _LEAST_KEPT <= found.size <= local_size(source, name):
        local = digested(name, local_blocks(source, name, found.size))
        if digested(name, transport.read(name, 0, found.size)) == local:
            return found.size
    transport.delete(name)
    return 0
