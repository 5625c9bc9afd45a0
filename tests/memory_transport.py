"""The reference of what a destination is: two of them in memory, one with folders and one with objects.

They are what `transports.base` promises and nothing else, so a test can break one of them where it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from core.errors import DestinationRefused
from transports.base import Closing, Receipt, Stat, checked_segments, digested, kept_bytes
from transports.outgoing import BLOCK_BYTES, local_blocks


class _Memory(Closing):
    """Files by name; which folders there are, the subclasses say."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent = 0  # bytes

    def put(self, source: Path, name: str) -> Receipt:
        self._check_folder(_key(name))
        if name in self.files:
            raise DestinationRefused("the name exists already")
        return self._write(source, name, 0)

    def resume(self, source: Path, name: str) -> Receipt:
        kept = kept_bytes(self, source, name)
        return self._write(source, name, kept) if kept else self.put(source, name)

    def _write(self, source: Path, name: str, kept: int) -> Receipt:
        blocks = list(local_blocks(source, name))
        content = b"".join(blocks)
        if kept < len(content) or name not in self.files:
            self.files[name] = content
        self.sent += len(content) - kept
        return digested(name, blocks)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        content = self.files.get(_key(name))
        if content is None:
            raise DestinationRefused("there is no such file")
        wanted = content[offset : None if size is None else offset + size]
        for start in range(0, len(wanted), BLOCK_BYTES):
            yield wanted[start : start + BLOCK_BYTES]

    def stat(self, name: str) -> Stat | None:
        if _key(name) in self.files:
            return Stat(len(self.files[name]), is_directory=False)
        return Stat(0, is_directory=True) if self._is_folder(name) else None

    def list(self, name: str) -> list[str]:
        if not self._is_folder(_key(name)):
            raise DestinationRefused("there is no such folder")
        return sorted({each[len(name) + 1 :].split("/")[0] for each in self._all() if each.startswith(f"{name}/")})

    def delete(self, name: str) -> None:
        gone = _below(_key(name), self.files)
        self.files = {each: content for each, content in self.files.items() if each not in gone}

    def _all(self) -> set[str]:
        return set(self.files)

    def _is_folder(self, name: str) -> bool:
        return any(each.startswith(f"{name}/") for each in self.files)

    def _check_folder(self, name: str) -> None:
        """Refuse a file whose folder is not there."""


class MemoryFolders(_Memory):
    """As a file system."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: set[str] = set()

    def make_directory(self, name: str) -> None:
        parts = _key(name).split("/")
        self.folders |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}

    def rename(self, old: str, new: str) -> None:
        if self.stat(new) is not None or self.stat(old) is None:
            raise DestinationRefused("the old name is not there, or the new one is")
        self.files = {_moved(each, old, new): content for each, content in self.files.items()}
        self.folders = {_moved(each, old, new) for each in self.folders}

    def delete(self, name: str) -> None:
        super().delete(name)
        self.folders -= _below(name, self.folders)

    def _all(self) -> set[str]:
        return {*self.files, *self.folders}

    def _is_folder(self, name: str) -> bool:
        return name in self.folders

    def _check_folder(self, name: str) -> None:
        folder = name.rpartition("/")[0]
        if folder and folder not in self.folders:
            raise DestinationRefused("there is no such folder")


class MemoryObjects(_Memory):
    """As a bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[str] = set()

    def version(self, name: str) -> str:
        return str(id(self.files.get(_key(name))))

    def lock(self, name: str) -> None:
        self.locked.add(_key(name))


def _key(name: str) -> str:
    return "/".join(checked_segments(name))


def _below(name: str, names: object) -> set[str]:
    return {each for each in names if each == name or each.startswith(f"{name}/")}  # type: ignore[attr-defined]


def _moved(each: str, old: str, new: str) -> str:
    return new + each[len(old) :] if each == old or each.startswith(f"{old}/") else each
