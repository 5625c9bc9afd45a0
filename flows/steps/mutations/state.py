"""What a delivery leaves behind for the next one to be compared with: of every row its key and a fingerprint, sealed.

One file for each delivery, below `GLA_HOME/mutations/AGREEMENT`: an age file sealed to our own intake key, so that what
is on the disk cannot be read without it. Inside are a header (JSON) and then `RANGES` blocks (Arrow streams), each with
its length before it. The ledger has the file's digest: another file is not accepted in its place.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

from core.canonical import canonical_json, parse_json
from core.errors import DeliveryStateError, EnvelopeError, UnusableInput
from core.ids import checked_name
from flows.steps.mutations.compare import RANGES
from flows.steps.staging import DigestingWriter, as_file, disk_errors, staged_file
from flows.wiring import Services
from keys.envelope.seal import Sealer
from keys.private.opening import open_envelope
from schemas.mutations import MutationsTerm

T = TypeVar("T")
_LENGTH = 8  # bytes before each block
_LARGEST = 2**40  # bytes of a block; more is no length
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True)
class Kept:
    """A state as the ledger has it: its file and that file's SHA-256, after which delivery (its id) the one comes that
    left it, and whether the whole state was asked for.
    """

    file: str
    sha256: str
    after: str | None
    whole: bool

    @classmethod
    def from_json(cls, value: Any) -> Kept:
        """Read a database row again; no name in it becomes a path unchecked."""
        return cls(
            checked_name(value["file"], "the file of a state"), str(value["sha256"]), value["after"], value["whole"]
        )


@dataclass(frozen=True)
class Head:
    """How a state is to be read: the key and the columns of the fingerprints, and the first part of their seed."""

    key: tuple[str, ...]
    columns: tuple[str, ...]
    salt: str

    @classmethod
    def new(cls, term: MutationsTerm, columns: tuple[str, ...]) -> Head:
        return cls(term.key, columns, secrets.token_hex(8))

    @property
    def seed(self) -> int:
        """Of the fingerprints. Over other columns every row has another one, and so has changed."""
        return int.from_bytes(hashlib.sha256(canonical_json([self.salt, *self.columns])).digest()[:8], "little")

    def to_bytes(self) -> bytes:
        return canonical_json({"version": 1, "ranges": RANGES, **vars(self)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        value = parse_json(data, "the head of a state")
        if not isinstance(value, dict) or (value.get("version"), value.get("ranges")) != (1, RANGES):
            raise UnusableInput("the head of a state is of another form")
        return cls(tuple(value["key"]), tuple(value["columns"]), str(value["salt"]))


class StateWriter:
    """Takes `RANGES` frames in their order. `sha256` is that of the file once its block has ended."""

    def __init__(self, name: str, target: DigestingWriter, sealer: Sealer, head: Head) -> None:
        self.name, self._target, self._sealer = name, target, sealer
        self._write(head.to_bytes())

    @property
    def sha256(self) -> str:
        return self._target.digests.checksum()

    def keep(self, frame: pl.DataFrame) -> None:
        sink = pa.BufferOutputStream()
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        with pa.ipc.new_stream(sink, table.schema, options=_COMPRESSED) as writer:
            writer.write_table(table)
        self._write(sink.getvalue())

    def _write(self, block: bytes | pa.Buffer) -> None:
        self._sealer.write(len(block).to_bytes(_LENGTH, "little"))
        self._sealer.write(block)


@contextmanager
def new_state(services: Services, agreement_id: str, name: str, head: Head) -> Iterator[StateWriter]:
    """A new file that is on disk when the block ends normally, and gone when it does not."""
    folder = folder_of(services, agreement_id)
    recipient = services.custody.identities()[0].recipient
    with disk_errors():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with staged_file(folder, name) as target, Sealer(as_file(target), [recipient]) as sealer:
            yield StateWriter(name, target, sealer, head)
    except BaseException:
        (folder / name).unlink(missing_ok=True)
        raise


@contextmanager
def kept_state(
    services: Services, agreement_id: str, kept: Kept, of: str
) -> Iterator[tuple[Head, Iterator[pl.DataFrame]]]:
    """A state that was kept, once through. `DeliveryStateError` if the file is not there as it was recorded.

    `of` names the delivery that left it.
    """
    lost = DeliveryStateError(
        f"the state that {of} left is no longer kept as it was recorded: restore GLA_HOME/mutations and our keys, or "
        "deliver the whole state again with --full"
    )
    with _reading(lost, lambda: _opened(folder_of(services, agreement_id) / kept.file, kept.sha256)) as file:
        plain = _reading(lost, lambda: open_envelope(file, services.custody.identities()))
        head = _reading(lost, lambda: Head.from_bytes(_block(plain)))
        yield head, (_reading(lost, partial(_frame, plain, number)) for number in range(1, RANGES + 1))


def forget_all_states(services: Services, agreement_id: str) -> None:
    """Remove what an agreement that is over left behind: nothing will be compared with it any more."""
    shutil.rmtree(folder_of(services, agreement_id), ignore_errors=True)


def folder_of(services: Services, agreement_id: str) -> Path:
    return services.settings.mutations_dir / checked_name(agreement_id, "the id of an agreement")


def _reading(lost: DeliveryStateError, read: Callable[[], T]) -> T:
    """What `read` gives; whatever is wrong with the file, the way out is the same."""
    try:
        return read()
    except (OSError, EnvelopeError, UnusableInput, pa.ArrowException):
        pass
    raise lost


def _opened(path: Path, digest: str) -> io.BufferedReader:
    file = path.open("rb")
    if hashlib.file_digest(file, "sha256").hexdigest() != digest:
        file.close()
        raise UnusableInput("a state is another one than was recorded")
    file.seek(0)
    return file


def _frame(plain: io.BufferedReader, number: int) -> pl.DataFrame:
    found = pl.from_arrow(pa.ipc.open_stream(_block(plain)).read_all())
    assert isinstance(found, pl.DataFrame), "a table becomes a frame"
    if number == RANGES and plain.read(1):  # only at the end the envelope shows that it is whole
        raise UnusableInput("a state has more than it should")
    return found


def _block(plain: io.BufferedReader) -> bytes:
    size = int.from_bytes(plain.read(_LENGTH), "little")
    block = plain.read(size) if size <= _LARGEST else b""
    if len(block) != size:
        raise UnusableInput("a state is cut off")
    return block
