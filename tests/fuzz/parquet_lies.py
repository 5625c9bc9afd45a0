"""Parquet files whose footer or page headers say something else than what is there.

Reads and writes just enough of Thrift's compact protocol to change a field of the metadata and leave the rest as it
is. A struct is a dict from field number to (type, value); the numbers are those of `parquet.thrift`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

MAGIC = b"PAR1"
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
Struct = dict[int, tuple[int, Any]]

# FileMetaData and what is below it
SCHEMA, NUM_ROWS, ROW_GROUPS = 2, 3, 4
GROUP_COLUMNS, GROUP_BYTES, GROUP_ROWS = 1, 2, 3
CHUNK_META = 3
TYPE, CODEC, NUM_VALUES, UNCOMPRESSED, COMPRESSED, DATA_OFFSET, DICTIONARY_OFFSET = 1, 4, 5, 6, 7, 9, 11
ELEMENT_TYPE, ELEMENT_REPETITION, ELEMENT_NAME, ELEMENT_CHILDREN = 1, 3, 4, 5
ELEMENT_LEGACY_TYPE, ELEMENT_LOGICAL_TYPE = 6, 10  # text, dates and so on
# PageHeader and DataPageHeader
PAGE_UNCOMPRESSED, PAGE_COMPRESSED, PAGE_CRC, DATA_PAGE = 2, 3, 4, 5
PAGE_VALUES, PAGE_ENCODING = 1, 2


def footer_of(data: bytes) -> Struct:
    """The FileMetaData of a Parquet file."""
    return _read_struct(BytesIO(data[_footer_start(data) : -8]))


def with_footer(data: bytes, change: Callable[[Struct], None]) -> bytes:
    """`data` with its FileMetaData changed."""
    footer = footer_of(data)
    change(footer)
    written = _struct_bytes(footer)
    return data[: _footer_start(data)] + written + struct.pack("<I", len(written)) + MAGIC


def with_page(data: bytes, change: Callable[[Struct], None]) -> bytes:
    """`data`, a file of one column with one page, with the header of that page changed."""
    return with_header(data, column(footer_of(data))[DATA_OFFSET][1], change)


def with_header(data: bytes, start: int, change: Callable[[Struct], None]) -> bytes:
    """`data` with the page header that begins at `start` changed; what follows may move."""
    source = BytesIO(data)
    source.seek(start)
    header = _read_struct(source)
    rest = data[source.tell() :]
    change(header)
    return data[:start] + _struct_bytes(header) + rest


def column(footer: Struct, at: int = 0) -> Struct:
    """The ColumnMetaData of column `at` in the first row group."""
    found: Struct = footer[ROW_GROUPS][1][0][GROUP_COLUMNS][1][at][CHUNK_META][1]
    return found


def put(place: Struct, field: int, value: Any) -> None:
    """Give a field that is there another value of its own type."""
    place[field] = (place[field][0], value)


def _footer_start(data: bytes) -> int:
    return len(data) - 8 - int(struct.unpack("<I", data[-8:-4])[0])


def _varint(source: BytesIO) -> int:
    value = shift = 0
    while True:
        byte = source.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value


def _varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 63)


def _read_struct(source: BytesIO) -> Struct:
    fields: Struct = {}
    number = 0
    while (head := source.read(1)[0]) != 0:
        delta, kind = head >> 4, head & 15
        number = number + delta if delta else _integer(source)
        fields[number] = (kind, _read(source, kind))
    return fields


def _integer(source: BytesIO) -> int:
    value = _varint(source)
    return (value >> 1) ^ -(value & 1)


def _read(source: BytesIO, kind: int, *, in_list: bool = False) -> Any:  # noqa: PLR0911 - a table of types
    if kind in (TRUE, FALSE):
        return source.read(1)[0] if in_list else kind == TRUE
    if kind == BYTE:
        return source.read(1)[0]
    if kind in (I16, I32, I64):
        return _integer(source)
    if kind == DOUBLE:
        return source.read(8)
    if kind == BINARY:
        return source.read(_varint(source))
    if kind in (LIST, SET):
        head = source.read(1)[0]
        size = head >> 4 if head >> 4 < 15 else _varint(source)
        return _Items(head & 15, [_read(source, head & 15, in_list=True) for _ in range(size)])
    if kind == STRUCT:
        return _read_struct(source)
    raise ValueError(kind)


class _Items(list[Any]):
    """A list that knows the type of its elements."""

    def __init__(self, kind: int, items: list[Any]) -> None:
        super().__init__(items)
        self.kind = kind


def _struct_bytes(fields: Struct) -> bytes:
    out, before = b"", 0
    for number, (kind, value) in sorted(fields.items()):
        code = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        delta = number - before
        out += bytes([delta << 4 | code]) if 0 < delta < 16 else bytes([code]) + _varint_bytes(_zigzag(number))
        out += b"" if kind in (TRUE, FALSE) else _bytes(kind, value)
        before = number
    return out + b"\0"


def _bytes(kind: int, value: Any) -> bytes:
    if kind in (TRUE, FALSE, BYTE):
        return bytes([value])
    if kind in (I16, I32, I64):
        return _varint_bytes(_zigzag(value) & (2**64 - 1))
    if kind == DOUBLE:
        return bytes(value)
    if kind == BINARY:
        return _varint_bytes(len(value)) + bytes(value)
    if kind in (LIST, SET):
        size = bytes([len(value) << 4 | value.kind]) if len(value) < 15 else bytes([0xF0 | value.kind])
        more = b"" if len(value) < 15 else _varint_bytes(len(value))
        return size + more + b"".join(_bytes(value.kind, each) for each in value)
    return _struct_bytes(value)
