"""CSV and Parquet files that are nearly right, each from one number, with the contract that they nearly obey."""

from __future__ import annotations

import functools
import io
import random
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from tests.fuzz import parquet_lies as lies

CANARY = "KANARIE-7f3a9c"
CONTRACT = b"""
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
  - name: t
    properties:
      - {name: n, logicalType: integer, unique: true, logicalTypeOptions: {minimum: 0}}
      - {name: s, logicalType: string, logicalTypeOptions: {maxLength: 40, pattern: "^[A-Za-z0-9-]*$"}}
      - {name: d, logicalType: date}
      - {name: f, logicalType: number}
      - {name: b, logicalType: boolean}
      - {name: t, logicalType: timestamp}
"""
NESTED = b"""      - {name: l, logicalType: array, items: {logicalType: string}}
      - {name: o, logicalType: object, properties: [{name: x, logicalType: integer}]}
"""
_CODECS = ["none", "snappy", "zstd", "gzip", "lz4", "brotli"]
_ODD = [0, 1, -1, 2, 7, 127, 2**15, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]
_PIECES = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b'""',
    b"\xed\xa0\x80",
    b"9" * 400,
]
_PIECES += [b"-", b"1e999", b"nan", b"2026-02-30", b"'", b";", b"\t", CANARY.encode(), b"\xe2\x80\xa8", b" ", b"true"]


def file_for(seed: int) -> tuple[bytes, bytes, str]:
    """The contract, the file and its suffix."""
    chance = random.Random(seed)
    if chance.random() < 0.3:
        return CONTRACT, _csv(chance), ".csv"
    return CONTRACT + NESTED, _parquet(chance), ".parquet"


def _frame(rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "n": range(rows),
            "s": [f"{CANARY}-{at % 9}" if at % 5 else None for at in range(rows)],
            "d": [date(2026, 1, 1) + timedelta(at % 90) for at in range(rows)],
            "f": [at / 7 for at in range(rows)],
            "b": [at % 2 == 0 for at in range(rows)],
            "t": [datetime(2026, 1, 1) + timedelta(seconds=at) for at in range(rows)],  # noqa: DTZ001
        }
    )


def _csv(chance: random.Random) -> bytes:
    text = bytearray(_frame(chance.choice([0, 1, 5, 300])).write_csv().encode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        text[at : at + chance.choice([0, 0, 1, 2, 30])] = chance.choice(_PIECES)
    return bytes(text) if chance.random() < 0.95 else text.decode("latin-1").encode(chance.choice(["utf-16", "utf-32"]))


@functools.lru_cache(maxsize=64)
def _sound(rows: int, codec: str, version: str, coded: bool, checked: bool, by_polars: bool) -> bytes:
    sink = io.BytesIO()
    nested = _frame(rows).with_columns(
        l=pl.Series([[CANARY, None], [], None] * (rows // 3) + [[]] * (rows % 3), dtype=pl.List(pl.String)),
        o=pl.Series([{"x": at} for at in range(rows)], dtype=pl.Struct({"x": pl.Int64})),
    )
    if by_polars:
        nested.write_parquet(sink, compression="uncompressed" if codec == "none" else codec, row_group_size=100)  # type: ignore[arg-type]
    else:
        options: dict[str, Any] = {
            "use_dictionary": coded,
            "write_page_checksum": checked,
            "data_page_version": version,
        }
        pq.write_table(nested.to_arrow(), sink, compression=codec, row_group_size=100, data_page_size=500, **options)
    return sink.getvalue()


def _parquet(chance: random.Random) -> bytes:
    data = _sound(
        chance.choice([0, 1, 30, 250]),
        chance.choice(_CODECS),
        chance.choice(["1.0", "2.0"]),
        chance.random() < 0.5,
        chance.random() < 0.2,
        chance.random() < 0.3,
    )
    pick = chance.random()
    if pick < 0.4:
        return lies.with_footer(
            data, lambda footer: [_lie(chance, footer) for _ in range(chance.randint(1, 3))] and None
        )
    if pick < 0.7:
        data = _page_lie(chance, data)
    if pick > 0.6:
        data = _bytes_changed(chance, data)
    return data


def _lie(chance: random.Random, footer: lies.Struct) -> None:
    """Change one field somewhere in a struct of Thrift."""
    structs = [struct for struct in _structs(footer) if struct]
    place = chance.choice(structs)
    field = chance.choice(list(place))
    kind, value = place[field]
    if chance.random() < 0.15:
        del place[field]
    elif kind in (lies.I16, lies.I32, lies.I64):
        place[field] = (kind, chance.choice([*_ODD, value + 1, value - 1, value * 2]))
    elif kind == lies.BINARY:
        place[field] = (kind, chance.choice([b"", b"\xff", b"n", b"a" * 5000, value + b"\0", value[:-1]]))
    elif kind == lies.LIST and value:
        change = chance.choice([value.clear, value.pop, lambda: value.extend(list(value) * chance.choice([1, 40]))])
        change()
    elif kind in (lies.TRUE, lies.FALSE):
        place[field] = (kind, not value)


def _structs(value: Any) -> list[lies.Struct]:
    found: list[lies.Struct] = []
    if isinstance(value, dict):
        found.append(value)
        for kind, inner in value.values():
            found += _structs(inner) if kind in (lies.STRUCT, lies.LIST) else []
    elif isinstance(value, list):
        for each in value:
            found += _structs(each)
    return found


def _page_lie(chance: random.Random, data: bytes) -> bytes:
    """Change one field in the header of some page, and leave what follows where it was if the length allows it."""
    footer = lies.footer_of(data)
    groups = footer[lies.ROW_GROUPS][1]
    if not groups:
        return data
    columns = chance.choice(groups)[lies.GROUP_COLUMNS][1]
    chunk = chance.choice(columns)[lies.CHUNK_META][1]
    start = chance.choice([chunk[field][1] for field in (lies.DATA_OFFSET, lies.DICTIONARY_OFFSET) if field in chunk])
    try:
        return lies.with_header(data, start, lambda header: _lie(chance, header))
    except (ValueError, IndexError):
        return data  # Arrow gives 0 for a dictionary that is not there, and no header begins there


def _bytes_changed(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(4, len(changed))
        pick = chance.random()
        if pick < 0.5:
            changed[at] ^= 1 << chance.randrange(8)
        elif pick < 0.8:
            changed[at : at + chance.choice([1, 4, 8])] = chance.choice([b"\xff", b"\0", b"\x80", b"\x7f"]) * 4
        else:
            del changed[at : at + chance.choice([1, 7, 100])]
        if len(changed) < 12:
            return data
    return bytes(changed)
