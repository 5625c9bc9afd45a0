"""Look for byte patterns in every file below a folder, through compression and encodings."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

import polars as pl
import zstandard

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{32,}={0,2}")
_DEPTH = 4


class Pattern(Protocol):
    """A compiled regular expression, or what is asked like one."""

    def search(self, content: bytes, /) -> object: ...


def hits(folder: Path, patterns: Mapping[str, Pattern], exempt: tuple[Path, ...] = ()) -> list[str]:
    """`file: pattern` for every file outside `exempt` in which a pattern occurs."""
    found = []
    for path in files(folder, exempt):
        for content in _expanded(path):
            found += [
                f"{path.relative_to(folder)}: {name}" for name, pattern in patterns.items() if pattern.search(content)
            ]
    return sorted(set(found))


def files(folder: Path, exempt: tuple[Path, ...] = ()) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(each) for each in exempt):
            yield path


def _expanded(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    if content.startswith(b"PAR1"):
        yield pl.read_parquet(path).write_csv().encode()
    if content.startswith(b"SQLite format 3\0"):
        yield from _cells(path)
    yield from _unpacked(content, _DEPTH)


def _cells(path: Path) -> Iterator[bytes]:
    """Every value of every table; what SQLite keeps in its write-ahead log is read with it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, str | bytes):
                        yield from _unpacked(value.encode() if isinstance(value, str) else value, _DEPTH)


def _unpacked(content: bytes, depth: int) -> Iterator[bytes]:
    yield content
    if depth == 0:
        return
    with suppress(OSError, EOFError, zlib.error):
        yield from _unpacked(gzip.decompress(content), depth - 1)
    with suppress(zlib.error):
        yield from _unpacked(zlib.decompress(content), depth - 1)
    with suppress(zstandard.ZstdError):
        yield from _unpacked(zstandard.ZstdDecompressor().stream_reader(content).read(), depth - 1)
    with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            yield from _unpacked(archive.read(name), depth - 1)
    for match in _BASE64.finditer(content):
        text = match[0]
        with suppress(binascii.Error):
            yield base64.b64decode(text[: len(text) // 4 * 4])
