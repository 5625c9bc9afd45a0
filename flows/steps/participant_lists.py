"""Read a recipient's list of participants (deelnemersbestand) from a stream, in memory only and in pieces.

CSV is one column: a header line, then nine digits a line, in UTF-8. Nothing that is compressed is taken, so there is
nothing to inflate; Parquet, which is compressed inside, is turned into such lines by a process of its own that may use
so much memory and no more (`flows.steps.parquet_lines`). What is wrong is told by count and line number, never a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import polars as pl

from core.errors import UnusableInput
from flows.steps import parquet_lines
from keys.openpgp.process import started, task_bytes
from schemas.bsn import is_bsn
from schemas.bsn_set import BsnSet
from schemas.participants import SHOWN_LINES, Finding, ListForm, Rule

PIECE_BYTES = 4 * 1024 * 1024  # of text that are judged at once: 400,000 lines
_LONGEST_LINE = 1024  # bytes; a line has 12
_COMPRESSED = (b"PK", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x04\x22\x4d\x18")
_BOM = b"\xef\xbb\xbf"
_PARQUET_BYTES = (1024 * 1024, 16)  # at least, and for each person: nine digits, a length, and room for statistics


class Source(Protocol):
    """A file, or what behaves like one."""

    def read(self, size: int, /) -> bytes: ...


@dataclass
class ParticipantList:
    """Who is on the list, how many lines it has without the header, and what is wrong with them."""

    people: BsnSet = field(default_factory=BsnSet)
    lines: int = 0
    findings: tuple[Finding, ...] = ()


def read_list(source: Source, form: ListForm, columns: Collection[str], maximum: int) -> ParticipantList:
    """Read and judge the whole list; it may be used only if it has no findings.

    The only column must be called one of `columns`, letter case aside. `UnusableInput` for what is no such list.
    """
    pieces = _csv_pieces(source) if form == "csv" else _parquet_pieces(source, columns, maximum)
    return _Reading(columns, maximum).read(pieces)


class _Reading:
    def __init__(self, columns: Collection[str], maximum: int) -> None:
        self._columns = {name.lower() for name in columns}
        self._maximum = maximum
        self._list = ParticipantList()
        self._found: dict[Rule, tuple[int, list[int]]] = {}

    def read(self, pieces: Iterator[bytes]) -> ParticipantList:
        lines = _lines(next(pieces, b""))
        self._check_header(lines)
        self._judge(lines.slice(1))
        for piece in pieces:
            if self._list.lines > self._maximum:
                break  # enough to refuse it
            self._judge(_lines(piece))
        self._list.findings = tuple(Finding(rule=rule, count=n, lines=tuple(at)) for rule, (n, at) in self._told())
        return self._list

    def _told(self) -> Iterator[tuple[Rule, tuple[int, list[int]]]]:
        if self._list.lines == 0:
            yield "empty", (1, [])
        if (more := self._list.lines - self._maximum) > 0:
            yield "maximum", (more, [self._maximum + 2])
        yield from self._found.items()

    def _check_header(self, lines: pl.Series) -> None:
        header = lines[0] if len(lines) else ""
        if header.strip('"').lower() not in self._columns:
            names = " or ".join(sorted(self._columns))
            raise UnusableInput(f"the list must have one column, and its first line must be the column's name: {names}")

    def _judge(self, lines: pl.Series) -> None:
        """Take one piece; its first line is the one after those that were taken before."""
        judged = lines.to_frame("it").select("it", is_bsn(pl.col("it")).alias("valid"), pl.row_index("at"))
        genuine = judged.filter("valid")
        first = self._list.lines + 2  # the header is line 1
        self._tell("bsn", judged.filter(~pl.col("valid")).get_column("at"), first)
        repeated = self._list.people.add(genuine.get_column("it").cast(pl.UInt32).to_numpy())
        self._tell("duplicate", genuine.filter(pl.Series(repeated, dtype=pl.Boolean)).get_column("at"), first)
        self._list.lines += len(lines)

    def _tell(self, rule: Rule, places: pl.Series, first: int) -> None:
        if len(places):
            count, shown = self._found.get(rule, (0, []))
            shown += (places.head(SHOWN_LINES - len(shown)) + first).to_list()
            self._found[rule] = count + len(places), shown


def _lines(piece: bytes) -> pl.Series:
    """The lines without their ends, and without quotes around nine characters."""
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UnusableInput("the list is not UTF-8 text: save it as CSV in UTF-8")
    if not text:
        return pl.Series(dtype=pl.String)
    lines = pl.Series([text.removesuffix("\n")]).str.split("\n").explode()
    line = pl.col("it").str.strip_suffix("\r")
    bare = line.str.slice(1, 9)
    quoted = line == pl.concat_str(pl.lit('"'), bare, pl.lit('"'))
    return lines.to_frame("it").select(pl.when(quoted).then(bare).otherwise(line).alias("it")).to_series()


def _csv_pieces(source: Source) -> Iterator[bytes]:
    """Pieces of whole lines."""
    rest = source.read(PIECE_BYTES)
    if rest.startswith(_COMPRESSED):
        raise UnusableInput("the list is compressed: send the CSV or Parquet file itself, sealed")
    if rest.startswith(b"PAR1"):
        raise UnusableInput("the list is Parquet and its name says .csv: name it .parquet.age")
    rest = rest.removeprefix(_BOM)
    while True:
        end = rest.rfind(b"\n") + 1
        if len(rest) - end > _LONGEST_LINE:
            raise UnusableInput("the list has no lines of nine digits: it must be CSV with one column")
        if end:
            yield rest[:end]
        more = source.read(PIECE_BYTES)
        rest = rest[end:] + more
        if not more:
            break
    if rest:
        yield rest


def _parquet_pieces(source: Source, columns: Collection[str], maximum: int) -> Iterator[bytes]:
    """The values of the column as lines, made by a process that is given the whole file and then answers."""
    least, each = _PARQUET_BYTES
    process, given, told = started(Path(parquet_lines.__file__))
    task = {"columns": sorted(columns), "maximum": maximum}
    try:
        with told:
            with given, suppress(BrokenPipeError):  # it may have died, which its exit tells
                given.write(task_bytes(task))
                _give(source, given, least + each * maximum)
            yield from _csv_pieces(_Answer(told))
        if (code := process.wait()) != 0:
            raise UnusableInput(parquet_lines.REASONS.get(code, "the list is no Parquet file that can be read"))
    finally:
        process.kill()
        process.wait()


class _Answer:
    """What the process writes; a pipe gives less than it is asked for, and that is not its end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        parts = []
        while size and (part := self._pipe.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _give(source: Source, pipe: IO[bytes], most: int) -> None:
    """All of `source`; UnusableInput if it has more than `most` bytes."""
    while data := source.read(PIECE_BYTES):
        most -= len(data)
        if most < 0:
            raise UnusableInput("the list is larger than a Parquet file of so many people can be")
        view = memoryview(data)
        while view:
            view = view[pipe.write(view) :]  # a raw pipe may take a part
