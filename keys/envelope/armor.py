"""The text form of an age file: strict PEM (RFC 7468, figure 3; C2SP age.md, "ASCII armor").

Only whitespace may stand before and after, lines end in LF or CRLF, every line but the last has 64 characters, and the
base64 is canonical: nothing can be hidden in an armored file.
"""

from __future__ import annotations

import binascii
import io
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.utils import Buffer

from keys.envelope.errors import ArmorInvalid
from keys.envelope.reading import BinaryReader, as_file, replayed
from keys.envelope.seal import BinaryWriter, write_whole

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
_START = 4096  # bytes looked at to tell the binary form from the armored one
_COLUMNS = 64
_BYTES_PER_LINE = 48
_LINE_LIMIT = 1024  # bytes; far more than any line that is right
_BLANK_LIMIT = 64 * 1024  # bytes of whitespace before the armor, and after it


class ArmorWriter:
    """Writes the text form to `target`. `close` ends it and does not close `target`; without it the text is cut off."""

    def __init__(self, target: BinaryWriter) -> None:
        self._target = target
        self._rest = b""
        write_whole(target, BEGIN + b"\n")

    def write(self, data: Buffer) -> int:
        taken = memoryview(data).nbytes
        joined = self._rest + bytes(data)
        whole = len(joined) - len(joined) % _BYTES_PER_LINE
        self._rest = joined[whole:]
        self._put(joined[:whole])
        return taken

    def close(self) -> None:
        self._put(self._rest)
        write_whole(self._target, END + b"\n")

    def _put(self, data: bytes) -> None:
        starts = range(0, len(data), _BYTES_PER_LINE)
        lines = b"".join(binascii.b2a_base64(data[start : start + _BYTES_PER_LINE]) for start in starts)
        if lines:
            write_whole(self._target, lines)


def binary_form(source: BinaryReader) -> tuple[bool, io.BufferedReader]:
    """Whether `source` is of the text form, and its binary form in either case, read as it is asked for."""
    start = b""
    while len(start) < _START and (more := source.read(_START - len(start))):
        start += more
    whole = replayed(start, source)
    if not start.startswith(b"age-encryption.org/") and b"AGE ENCRYPTED" in start.upper():
        return True, as_file(dearmor(whole))
    return False, whole


def dearmor(source: BinaryIO) -> Iterator[bytes]:
    """The binary form of an armored `source`, line by line; raises `ArmorInvalid` at the line that is wrong."""
    _skip_to_content(source)
    full = True
    while (line := _line(source)) != END:
        if not full:
            raise ArmorInvalid("the armored file has a short line before its END line")
        data = _decode(line)
        full = len(data) == _BYTES_PER_LINE
        yield data
    _expect_only_whitespace(source)


def _skip_to_content(source: BinaryIO) -> None:
    left = _BLANK_LIMIT
    while not (line := source.readline(_LINE_LIMIT)).strip():
        left -= len(line)
        if not line or left < 0:
            raise ArmorInvalid("the armored file has no BEGIN line")
    if _without_end(line) != BEGIN:
        raise ArmorInvalid("the armored file does not begin with its BEGIN line")


def _expect_only_whitespace(source: BinaryIO) -> None:
    rest = source.read(_BLANK_LIMIT)
    if rest.strip() or len(rest) == _BLANK_LIMIT:
        raise ArmorInvalid("there is something after the END line of the armored file")


def _line(source: BinaryIO) -> bytes:
    line = source.readline(_LINE_LIMIT)
    if not line:
        raise ArmorInvalid("the armored file has no END line: it is cut off")
    return _without_end(line)


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _decode(line: bytes) -> bytes:
    """One line of canonical base64 with padding; an empty line is none."""
    try:
        data = binascii.a2b_base64(line, strict_mode=True) if len(line) <= _COLUMNS else b""
    except binascii.Error:
        data = b""
    if not data or binascii.b2a_base64(data, newline=False) != line:
        raise ArmorInvalid("the armored file has a line that is not canonical base64 of at most 64 characters")
    return data
