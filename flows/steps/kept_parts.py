"""Parts that an attempt had completed when it broke off, so that the next one goes on from them.

An attempt notes each complete part beside it: what the manifest tells of it, the keys that it is sealed to, and a keyed
mark of its plaintext. The next attempt reads, validates and writes the rows again, and where a part turns out the same,
the sealed file that is there stays, byte for byte. If one turns out another, the source has changed: the attempt ends
as `SourceUnavailable`, and the one after it starts anew.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import SourceUnavailable
from core.files import write_file
from flows.steps.parts import Part
from flows.steps.same_data import is_same, mark
from flows.steps.staging import NOTES_NAME
from flows.wiring import Services
from schemas.manifest import ManifestFile, PakbonFile


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...]
    sealed: ManifestFile
    mark: str


class _Notes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: tuple[_Note, ...]


class KeptParts:
    """The complete parts in the open folder of one attempt, for parts that are staged by several threads."""

    def __init__(self, services: Services, keys: Sequence[str]) -> None:
        self._services, self._keys = services, tuple(keys)
        self._lock = threading.Lock()
        self._noted: dict[str, _Note] = {}
        self._changed = False

    def take_over(self, earlier: Path, folder: Path) -> None:
        """Move what the attempt in the folder `earlier` had completed for the same keys into `folder`."""
        for note in _read(earlier / NOTES_NAME):
            path = earlier / note.sealed.filename
            if note.keys == self._keys and note.sealed.filename not in self._noted and _is_whole(path, note.sealed):
                path.rename(folder / path.name)
                self._noted[path.name] = note
        if self._noted:
            self._write(folder)

    def sealed(self, folder: Path, name: str, plain: PakbonFile) -> ManifestFile:
        """The kept file `name` again, for the part whose plaintext is `plain`."""
        note = self._noted[name]
        if not is_same(self._services, [plain], note.mark):
            with self._lock:
                self._changed = True  # so that nothing is noted any more, for the next attempt to go on from
                (folder / NOTES_NAME).unlink(missing_ok=True)
            raise SourceUnavailable("the source gives other rows than when this delivery was begun: resume starts anew")
        return note.sealed

    def __contains__(self, name: str) -> bool:
        return name in self._noted

    def add(self, folder: Path, part: Part) -> None:
        """Note a part that is complete and on disk."""
        note = _Note(keys=self._keys, sealed=part.sealed, mark=mark(self._services, [part.plain]))
        with self._lock:
            self._noted[part.sealed.filename] = note
            if not self._changed:
                self._write(folder)

    def _write(self, folder: Path) -> None:
        notes = _Notes(parts=tuple(self._noted.values()))
        write_file(folder / NOTES_NAME, notes.model_dump_json().encode(), mode=0o600)


def _read(path: Path) -> tuple[_Note, ...]:
    """Nothing where there are no notes, or none that can be read: then the parts are made again."""
    try:
        return _Notes.model_validate_json(path.read_bytes()).parts
    except (OSError, ValidationError):
        return ()


def _is_whole(path: Path, sealed: ManifestFile) -> bool:
    try:
        with path.open("rb") as file:
            return path.stat().st_size == sealed.size and file_digest(file, "sha256").hexdigest() == sealed.checksum
    except OSError:
        return False
