"""What every destination can do, and how its errors become ours.

A transport moves bytes and returns receipts. It records nothing, retries nothing and decides nothing: whether a
delivery is complete is judged in `transports.publishing`, by reading back.

Names are relative POSIX paths. Every segment passes `core.ids.checked_name`, except that a staging folder is
`STAGING_PREFIX` and a checked name; so a name can neither climb nor hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from core.errors import UnusableInput
from core.ids import checked_name

STAGING_PREFIX = ".staging-"
BLOCK_BYTES = (
    4 * 261_120
)  # per local read and digest update: about 1 MiB, and a whole number of OpenSSH's largest requests


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
        """Write a new file; the folder must exist and the file must not. The receipt describes what was sent."""

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        """The bytes of a file from `offset` on, in blocks: `size` of them, or fewer if the file ends before."""

    def rename(self, old: str, new: str) -> None:
        """Give a file or a whole folder another name, at once; the new name must not exist."""

    def stat(self, name: str) -> Stat | None:
        """None if nothing has that name."""

    def list(self, name: str) -> list[str]:
        """The sorted names in a folder, hidden ones too."""

    def delete(self, name: str) -> None:
        """Remove a file, or a folder and all in it; nothing happens if it does not exist."""

    def make_directory(self, name: str) -> None:
        """Make a folder and those above it; nothing happens if it exists."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def checked_segments(name: str) -> tuple[str, ...]:
    """The segments of a transport name; `UnusableInput` if one of them is not safe."""
    return tuple(_checked_segment(segment) for segment in name.split("/"))


def _checked_segment(segment: str) -> str:
    checked_name(segment.removeprefix(STAGING_PREFIX), "each part of a name at a destination")
    return segment


def opened(source: Path, name: str) -> BinaryIO:
    """Open one of our own files for reading; what is wrong with it must not look like a fault of the destination."""
    try:
        return source.open("rb", buffering=0)
    except OSError as error:
        reason = type(error).__name__
    raise UnusableInput(f"our copy of {name} cannot be read ({reason}): run the delivery again from the start")
