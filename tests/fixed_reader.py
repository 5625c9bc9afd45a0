"""A second implementation of fixed width, written from docs/formats.md: it imports nothing of the writer."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

HEADER = re.compile(r"V01(.{200})([0-9]{8})([0-9]{8})")
TRAILER = re.compile(r"S([0-9]{15})((?:[+-][0-9]{31})*)")
OF_RULE = {"bsn": 9, "rsin": 9, "loonheffingennummer": 12, "kvk": 8, "yyyymmdd-partial": 8}
OF_FORMAT = {f"{sign}{bits}": (sign, bits) for sign in "iu" for bits in (8, 16, 32, 64)}
JDK = {"SSSSSS": "%f", "yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


@dataclass
class FixedFile:
    agreement: str
    first_day: str
    last_day: str
    rows: list[dict[str, Any]]
    sums: list[int]


def read(content: bytes, columns: list[dict[str, Any]]) -> FixedFile:
    """The file; an AssertionError says that it is none."""
    *records, nothing = content.decode("utf-8").split("\r\n")
    assert nothing == ""
    head, tail = HEADER.fullmatch(records[0]), TRAILER.fullmatch(records[-1])
    assert head
    assert tail
    rows = [_row(record, columns) for record in records[1:-1]]
    assert len(rows) == int(tail[1])
    return FixedFile(head[1].rstrip(" "), head[2], head[3], rows, [int(each) for each in re.findall(".{32}", tail[2])])


def _row(record: str, columns: list[dict[str, Any]]) -> dict[str, Any]:
    assert record[0] == "G"
    row, at = {}, 1
    for column in columns:
        width = width_of(column)
        row[column["name"]] = _value(record[at : at + width], column)
        at += width
    assert at == len(record)
    return row


def width_of(column: dict[str, Any]) -> int:
    options = column.get("logicalTypeOptions", {})
    match column["logicalType"]:
        case "string":
            rules = [each["value"] for each in column.get("customProperties", [])]
            widths = [OF_RULE[rule] for rule in rules if isinstance(rule, str) and rule in OF_RULE]
            widths += [len(rule["format"]) for rule in rules if isinstance(rule, dict) and "format" in rule]
            widths += [options["maxLength"]] if "maxLength" in options else []
            widths += [max(len(each["value"]) for each in column["enum"])] if "enum" in column else []
            widths += [36] if options.get("format") == "uuid" else []
            return min(widths)
        case "integer" | "number":
            low, high = _bounds(column, options)
            decimals = _decimals(options)
            digits = max(len(str(abs(int(low)))), len(str(abs(int(high)))))
            return (low < 0) + digits + (decimals + 1 if decimals else 0)
        case "boolean":
            return 1
        case _:
            return len(options.get("format", "yyyyMMdd"))


def _bounds(column: dict[str, Any], options: dict[str, Any]) -> tuple[Decimal, Decimal]:
    lows = [options[word] for word in ("minimum", "exclusiveMinimum") if word in options]
    highs = [options[word] for word in ("maximum", "exclusiveMaximum") if word in options]
    if "enum" in column:
        lows.append(min(each["value"] for each in column["enum"]))
        highs.append(max(each["value"] for each in column["enum"]))
    if options.get("format") in OF_FORMAT:
        sign, bits = OF_FORMAT[options["format"]]
        lows.append(-(2 ** (bits - 1)) if sign == "i" else 0)
        highs.append(2 ** (bits - 1) - 1 if sign == "i" else 2**bits - 1)
    return max(Decimal(str(each)) for each in lows), min(Decimal(str(each)) for each in highs)


def _decimals(options: dict[str, Any]) -> int:
    step = Decimal(str(options.get("multipleOf", 1))).normalize()
    return max(0, -int(step.as_tuple().exponent))


def _value(text: str, column: dict[str, Any]) -> Any:
    if not text.strip(" "):
        return "" if column["logicalType"] == "string" and column.get("required") else None
    match column["logicalType"]:
        case "string":
            return text.rstrip(" ")
        case "boolean":
            return {"1": True, "0": False}[text]
        case "integer":
            assert re.fullmatch(r"[+-]?[0-9]+", text)
            return int(text)
        case "number":
            assert re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text)
            return Decimal(text)
        case kind:
            return _moment(text, kind, column.get("logicalTypeOptions", {}).get("format", "yyyyMMdd"))


def _moment(text: str, kind: str, form: str) -> Any:
    for letters, token in JDK.items():
        form = form.replace(letters, token)
    moment = dt.datetime.strptime(text, form)  # noqa: DTZ007 - the page has no zones but those of the column
    return {"date": moment.date, "time": moment.time, "timestamp": lambda: moment}[kind]()
