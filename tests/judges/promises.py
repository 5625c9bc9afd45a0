"""Every promise that a contract can make about one column, with values that obey it and values that break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

Promise = dict[str, Any]
DAY = date(2026, 3, 1)
at = datetime.fromisoformat
NOON = at("2026-03-01T12:00:00")


def column(kind: str, name: str = "x", options: Mapping[str, Any] | None = None, **keys: Any) -> Promise:
    return {"name": name, "logicalType": kind} | ({"logicalTypeOptions": dict(options)} if options else {}) | keys


def text(**options: Any) -> Promise:
    return column("string", options=options)


def whole(**options: Any) -> Promise:
    return column("integer", options=options)


def number(**options: Any) -> Promise:
    return column("number", options=options)


def enum(kind: str, *values: Any) -> Promise:
    return column(kind, enum=[{"value": value} for value in values])


def moment(**options: Any) -> Promise:
    return column("timestamp", options=options)


# name, promise about column x, values that obey it, values that break it
RULES: list[tuple[str, Promise, Sequence[Any], Sequence[Any]]] = [
    ("required", column("string", required=True), ["a", ""], ["a", None]),
    ("not required", column("string", required=False), ["a", None], ["", None]),
    ("unique", column("string", unique=True), ["a", "b", None, None], ["a", "b", "a"]),
    ("unique whole numbers", column("integer", unique=True), [1, 2, None, None], [1, 2, 1, None]),
    ("primaryKey", column("integer", primaryKey=True), [1, 2], [1, 1]),
    ("primaryKey with null", column("integer", primaryKey=True), [1, 2], [1, None]),
    ("minLength", text(minLength=2), ["ab", None, "abc"], ["a", "", "ab"]),
    ("maxLength", text(maxLength=2), ["ab", None, ""], ["abc", "ab"]),
    ("maxLength in characters", text(maxLength=2), ["né", "😀😀"], ["e\u0301e\u0301", "né"]),
    ("pattern", text(pattern="^[A-Z]{2}[0-9]{2}$"), ["NL12", None], ["NL1", "xNL12", "NL12"]),
    ("pattern without anchors", text(pattern="[0-9]"), ["a1b"], ["ab"]),
    ("pattern to the end", text(pattern="^a$"), ["a"], ["a\n"]),
    ("pattern with digits", text(pattern=r"^\d+$"), ["12"], ["١٢"]),
    ("pattern with words", text(pattern=r"^\w+$"), ["a_1"], ["é"]),
    ("pattern with spaces", text(pattern=r"^a\sb$"), ["a b", "a\u00a0b"], ["ab"]),
    ("pattern with any character", text(pattern="^a.b$"), ["axb", "aéb"], ["a\nb", "a\u2028b"]),
    ("pattern with a code point", text(pattern=r"^\u00e9$"), ["é"], ["e"]),
    ("pattern and length", text(pattern="^a", minLength=2), ["ab"], ["a", "b"]),
    ("format email", text(format="email"), ["a@example.nl"], ["example.nl"]),
    ("format uuid", text(format="uuid"), ["00000000-0000-4000-8000-000000000000"], ["0000"]),
    ("format ipv4", text(format="ipv4"), ["192.0.2.1"], ["192.0.2.256"]),
    ("format hostname", text(format="hostname"), ["www.example.nl"], ["-example"]),
    ("format byte", text(format="byte"), ["aGVsbG8="], ["aGVsbG8"]),
    ("minimum", whole(minimum=0), [0, 1, None], [-1, 0]),
    ("maximum", whole(maximum=10), [10, None], [11, 10]),
    ("exclusiveMinimum", whole(exclusiveMinimum=0), [1, None], [0, 1]),
    ("exclusiveMaximum", whole(exclusiveMaximum=10), [9, None], [10, 11]),
    ("exclusive bounds", whole(exclusiveMinimum=0, exclusiveMaximum=10), [1, 9], [0, 5]),
    ("minimum and exclusiveMinimum", whole(minimum=0, exclusiveMinimum=5), [6], [3, 7]),
    ("minimum with a fraction", whole(minimum=0.5), [1], [0]),
    ("minimum beyond 53 bits", whole(minimum=2**53 + 1), [2**53 + 1], [2**53]),
    ("multipleOf", whole(multipleOf=5), [0, -5, 10], [5, 3]),
    ("multipleOf a fraction", number(multipleOf=0.01), [0.07, 1.1], [0.075]),
    ("format i8", whole(format="i8"), [127, -128], [128]),
    ("format u16", whole(format="u16"), [65535], [-1]),
    ("minimum of a number", number(minimum=0.5), [0.5, None], [0.49]),
    ("maximum of a number", number(maximum=0.5), [0.5, -7.0], [0.51]),
    ("exclusiveMinimum of a number", number(exclusiveMinimum=0.5), [0.51], [0.5]),
    ("exclusiveMaximum of a number", number(exclusiveMaximum=0.5), [0.49], [0.5]),
    ("maximum of a decimal", number(maximum=9.99), [Decimal("9.99")], [Decimal("10.00")]),
    ("minimum of a decimal", number(minimum=0.1), [Decimal("0.1"), Decimal("0.2")], [Decimal("0.0")]),
    ("finite numbers", column("number"), [1.0, None], [float("nan"), float("inf")]),
    ("maximum and not a number", number(maximum=1), [1.0], [float("nan")]),
    ("minimum and not a number", number(minimum=1), [1.0], [float("nan")]),
    ("minimum of a date", column("date", options={"minimum": "2026-03-01"}), [DAY, None], [date(2026, 2, 28)]),
    ("maximum of a date", column("date", options={"maximum": "2026-03-01"}), [DAY, None], [date(2026, 3, 2)]),
    (
        "exclusiveMinimum of a date",
        column("date", options={"exclusiveMinimum": "2026-02-28"}),
        [DAY],
        [date(2026, 2, 28)],
    ),
    (
        "exclusiveMaximum of a date",
        column("date", options={"exclusiveMaximum": "2026-03-02"}),
        [DAY],
        [date(2026, 3, 2)],
    ),
    ("minimum of a timestamp", moment(minimum="2026-03-01T12:00:00"), [NOON], [at("2026-03-01T11:59:59")]),
    ("maximum of a timestamp", moment(maximum="2026-03-01T12:00:00"), [NOON], [at("2026-03-01T12:00:01")]),
    (
        "exclusiveMaximum of a timestamp",
        moment(exclusiveMaximum="2026-03-02T00:00:00"),
        [NOON],
        [at("2026-03-02T00:00:00")],
    ),
    (
        "minimum of a timestamp with a zone",
        moment(timezone=True, minimum="2026-03-01T12:00:00+01:00"),
        [datetime(2026, 3, 1, 11, tzinfo=UTC)],
        [datetime(2026, 3, 1, 10, 59, tzinfo=UTC)],
    ),
    (
        "maximum of a timestamp in a default zone",
        moment(timezone=True, defaultTimezone="Europe/Amsterdam", maximum="2026-03-01T12:00:00"),
        [datetime(2026, 3, 1, 11, tzinfo=UTC)],
        [datetime(2026, 3, 1, 11, 1, tzinfo=UTC)],
    ),
    ("minimum of a time", column("time", options={"minimum": "09:00:00"}), [time(9)], [time(8, 59, 59)]),
    ("maximum of a time", column("time", options={"maximum": "17:00:00"}), [time(17)], [time(17, 0, 1)]),
    ("enum", enum("string", "a", "b"), ["a", "b", None], ["a", "c", "B"]),
    ("enum of whole numbers", enum("integer", 1, 2), [1, 2, None], [3, 1]),
    ("enum of numbers", enum("number", 0.5, 1), [0.5, 1.0], [0.6]),
    ("enum of booleans", enum("boolean", True), [True, None], [False]),
    ("enum of dates", enum("date", "2026-03-01"), [DAY, None], [date(2026, 3, 2)]),
]

TYPES: list[tuple[str, str, pl.Series]] = [
    ("string stored as text", "string", pl.Series(["a"])),
    ("string stored as categories", "string", pl.Series(["a"], dtype=pl.Categorical)),
    ("string stored as whole numbers", "string", pl.Series([1])),
    ("integer stored in 16 bits", "integer", pl.Series([1], dtype=pl.Int16)),
    ("integer stored in 64 bits", "integer", pl.Series([2**62])),
    ("integer stored without sign", "integer", pl.Series([2**32 - 1], dtype=pl.UInt32)),
    ("integer stored as text of digits", "integer", pl.Series(["12"])),
    ("integer stored as other text", "integer", pl.Series(["twelve"])),
    ("integer stored with a fraction", "integer", pl.Series([1.5])),
    ("integer stored as a whole float", "integer", pl.Series([1.0])),
    ("number stored as float", "number", pl.Series([1.5])),
    ("number stored as decimal", "number", pl.Series([Decimal("1.50")])),
    ("number stored as integer", "number", pl.Series([1])),
    ("number stored as text", "number", pl.Series(["1.5"])),
    ("boolean stored as such", "boolean", pl.Series([True, False])),
    ("boolean stored as 0 and 1", "boolean", pl.Series([0, 1])),
    ("boolean stored as text", "boolean", pl.Series(["true"])),
    ("date stored as such", "date", pl.Series([DAY])),
    ("date stored as text", "date", pl.Series(["2026-03-01"])),
    ("date stored as a timestamp", "date", pl.Series([NOON])),
    ("date stored as nonsense", "date", pl.Series(["2026-02-30"])),
    ("timestamp stored as such", "timestamp", pl.Series([NOON])),
    ("timestamp stored as a date", "timestamp", pl.Series([DAY])),
    ("time stored as such", "time", pl.Series([time(12)])),
    ("time stored as text", "time", pl.Series(["12:00:00"])),
    ("nulls without a type", "string", pl.Series([None, None], dtype=pl.Null)),
]

CSV: list[tuple[str, Promise, str]] = [
    ("CSV text", text(maxLength=3), "x\nabc\n"),
    ("CSV text that is too long", text(maxLength=2), "x\nabc\n"),
    ("CSV whole numbers", whole(minimum=0), "x\n1\n2\n"),
    ("CSV whole number below minimum", whole(minimum=0), "x\n1\n-2\n"),
    ("CSV word for a whole number", whole(), "x\n1\ntwo\n"),
    ("CSV fraction for a whole number", whole(), "x\n1\n1.5\n"),
    ("CSV numbers", number(maximum=2), "x\n1.5\n-2e0\n"),
    ("CSV comma for a decimal point", number(), 'x\n"1,5"\n'),
    ("CSV booleans", column("boolean"), "x\ntrue\nfalse\n"),
    ("CSV yes for a boolean", column("boolean"), "x\ntrue\nperhaps\n"),
    ("CSV dates", column("date", options={"minimum": "2026-01-01"}), "x\n2026-03-01\n"),
    ("CSV date that does not exist", column("date"), "x\n2026-02-30\n"),
    ("CSV date in another format", column("date", options={"format": "yyyyMMdd"}), "x\n20260301\n"),
    ("CSV date with a day first", column("date", options={"format": "dd-MM-yyyy"}), "x\n31-03-2026\n01-04-2026\n"),
    ("CSV timestamps", moment(maximum="2026-12-31T00:00:00"), "x\n2026-03-01T12:00:00\n"),
    ("CSV times", column("time"), "x\n12:00:00\n"),
    ("CSV codes with leading zeros", text(pattern="^[0-9]{3}$"), "x\n001\n002\n"),
    ("CSV text that looks like a date", text(pattern="^20260301$"), "x\n20260301\n"),
    ("CSV empty field that is required", column("string", required=True), "x,y\na,b\n,b\n"),
    ("CSV quoted empty field that is required", column("string", required=True), 'x,y\na,b\n"",b\n'),
    ("CSV enum", enum("string", "1", "2"), "x\n1\n2\n"),
    ("CSV enum broken", enum("string", "1", "2"), "x\n1\n3\n"),
    ("CSV unique", column("integer", unique=True), "x\n1\n2\n1\n"),
    ("CSV without rows", column("integer", required=True), "x\n"),
    ("CSV without the column", column("integer"), "y\n1\n"),
]

STREET = column("string", "straat", required=True)
POSTCODE = column("string", "postcode", {"pattern": "^[0-9]{4}[A-Z]{2}$"})
DAM = {"straat": "Dam"}
HERE = {"straat": "Dam", "postcode": "1012NP"}

NESTED: list[tuple[str, Promise, Sequence[Any], Sequence[Any]]] = [
    ("array", column("array", items=text()), [["a", "b"], [], None], [[1]]),
    ("minItems", column("array", options={"minItems": 1}, items=text()), [["a"], None], [[], ["a"]]),
    ("maxItems", column("array", options={"maxItems": 1}, items=text()), [["a"], []], [["a", "b"]]),
    ("uniqueItems", column("array", options={"uniqueItems": True}, items=text()), [["a", "b"]], [["a", "a"], ["a"]]),
    ("pattern of items", column("array", items=text(pattern="^a")), [["a", "ab"]], [["a", "b"], ["c", "c"]]),
    ("minimum of items", column("array", items=whole(minimum=0)), [[0, 1], []], [[-1, -2, 3]]),
    ("object", column("object", properties=[STREET, POSTCODE]), [HERE, None], [DAM]),
    (
        "required inside an object",
        column("object", properties=[STREET]),
        [{"straat": "Dam"}],
        [{"straat": "Dam"}, {"straat": None}],
    ),
    (
        "pattern in an object",
        column("object", properties=[POSTCODE]),
        [{"postcode": "1012NP"}],
        [{"postcode": "1"}],
    ),
    (
        "objects in an array",
        column("array", items=column("object", "items", properties=[POSTCODE])),
        [[{"postcode": "1012NP"}], []],
        [[{"postcode": "1"}, {"postcode": "2"}]],
    ),
]
