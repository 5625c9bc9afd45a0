"""A JSON Schema (2020-12) of one delivered row, for a recipient who checks JSON or generates code from it.

A row is an object with every column; what is not filled in is null. Dates and times are text in ISO 8601. Every row
that our validator accepts obeys the schema. What JSON Schema cannot say of one row (uniqueness, sums, comparisons of
columns or dates, quality rules, the 11-proef) stands in `$comment`, so that nobody thinks that it is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.compiler import CompiledTable
from schemas.conditions import STRING_FORMATS
from schemas.contract import Contract
from schemas.export.raw import inner_raw, raw_columns, rule_name
from schemas.logical_types import INTEGER_FORMATS, read_literal
from schemas.table import Column

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
_OFFSET = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_ZONED = {True: _OFFSET, False: "", None: f"{_OFFSET}?"}
_NUMBER_KEYS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_LENGTHS = ("minLength", "maxLength")
_STANDARD_FORMATS = ("uuid", "ipv4", "ipv6", "hostname", "email", "uri")  # words of JSON Schema too
_NEEDED_BY_RULE = {  # what a rule by name asks of the text at least
    "bsn": "^[0-9]{9}$",
    "rsin": "^[0-9]{9}$",
    "loonheffingennummer": "^[0-9]{9}L[0-9]{2}$",
    "kvk": "^[0-9]{8}$",
    "yyyymmdd-partial": "^[0-9]{4}(00|0[1-9]|1[0-2])(0[0-9]|[12][0-9]|3[01])$",
}
_JUST_A_FORM = ("kvk",)  # rules that their pattern says whole
_MOMENTS = ("date", "time", "timestamp")


def json_schema(contract: Contract, compiled: CompiledTable) -> dict[str, Any]:
    """The schema as a JSON value; `compiled` is the contract's table, so that only what is understood is exported."""
    raw = raw_columns(contract.document, contract.table.name)
    return {
        "$schema": DIALECT,
        "$comment": " ".join(_of_the_whole(compiled)),
        "title": f"{contract.name} {contract.version}: one row of {contract.table.name}",
        "type": "object",
        "properties": {each.name: _value(each, raw[each.name], nullable=not each.required) for each in
                       contract.table.columns},
        "required": list(compiled.columns),
        "additionalProperties": False,
    }  # fmt: skip


def _of_the_whole(compiled: CompiledTable) -> Iterator[str]:
    yield "Of a whole delivery also holds, which no schema of one row can say:"
    for key in compiled.unique_keys:
        yield f"{key.rule} of {key.label} ({key.threshold});"
    for metric in compiled.metrics:
        yield f"{metric.rule} of {metric.column} ({metric.threshold});"
    for reference in compiled.references:
        yield f"{reference.rule} of {reference.label};"
    for total in compiled.totals:
        yield f"{total.rule} of {total.column};"
    yield "nothing more."


def _value(column: Column, raw: Mapping[str, Any], *, nullable: bool) -> dict[str, Any]:
    schema = _described(raw) | _typed(column, raw)
    if column.enum is not None and column.logical_type != "timestamp":
        schema["enum"] = [_json(read_literal(column, value)) for value in column.enum if value is not None]
        if labels := {str(each["value"]): each["label"] for each in raw["enum"] if "label" in each}:
            schema["x-labels"] = labels
    if nullable:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"].append(None)
    if comments := list(_not_said(column)):
        schema["$comment"] = f"Also holds: {', '.join(comments)}."
    return schema


def _described(raw: Mapping[str, Any]) -> dict[str, Any]:
    words = {"title": raw.get("businessName"), "description": raw.get("description")}
    words |= {"deprecated": raw.get("deprecated"), "x-classification": raw.get("classification")}
    return {key: word for key, word in words.items() if word}


def _typed(column: Column, raw: Mapping[str, Any]) -> dict[str, Any]:
    if column.logical_type in _MOMENTS:
        return {"type": "string", **_moment(column)}
    match column.logical_type:
        case "string":
            return _text(column)
        case "integer" | "number":
            return {"type": column.logical_type, **_numeric(column)}
        case "array":
            return _array(column, raw)
        case "object":
            return _object(column, raw)
    return {"type": column.logical_type}


def _moment(column: Column) -> dict[str, Any]:
    """The form of a date, time or timestamp; a timestamp without zone is no `date-time` of RFC 3339."""
    if column.logical_type == "timestamp":
        zoned = column.options.get("timezone")
        return ({"format": "date-time"} if zoned else {}) | {"pattern": f"^{_DAY}T{_TIME}{_ZONED[zoned]}$"}
    return {"format": "date", "pattern": f"^{_DAY}$"} if column.logical_type == "date" else {"pattern": f"^{_TIME}$"}


def _text(column: Column) -> dict[str, Any]:
    options = column.options
    schema: dict[str, Any] = {"type": "string"} | {key: options[key] for key in _LENGTHS if key in options}
    patterns = [options["pattern"]] if "pattern" in options else []
    patterns += [_NEEDED_BY_RULE[name] for rule in column.rules if (name := rule_name(rule)) in _NEEDED_BY_RULE]
    form = options.get("format")
    if form in STRING_FORMATS:
        schema |= {"format": form} if form in _STANDARD_FORMATS else {"contentEncoding": "base64"}
        patterns.append(STRING_FORMATS[form])
    first, *others = [*dict.fromkeys(patterns)] or [""]
    schema |= {"pattern": first} if first else {}
    return schema | ({"allOf": [{"pattern": each} for each in others]} if others else {})


def _numeric(column: Column) -> dict[str, Any]:
    schema = {key: column.options[key] for key in _NUMBER_KEYS if key in column.options}
    if column.logical_type == "integer" and "format" in column.options:
        sign, bits = INTEGER_FORMATS[column.options["format"]]
        lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if sign == "i" else (0, 2**bits - 1)
        schema["minimum"] = max(lowest, schema.get("minimum", lowest))
        schema["maximum"] = min(highest, schema.get("maximum", highest))
    return schema


def _array(column: Column, raw: Mapping[str, Any]) -> dict[str, Any]:
    assert column.items is not None
    schema = {key: column.options[key] for key in ("minItems", "maxItems") if key in column.options}
    if column.options.get("uniqueItems") and column.items.required:  # of ours, several nulls are no duplicates
        schema["uniqueItems"] = True
    items = _value(column.items, inner_raw(raw)["[]"], nullable=not column.items.required)
    return {"type": "array", "items": items, **schema}


def _object(column: Column, raw: Mapping[str, Any]) -> dict[str, Any]:
    filled, inner = column.options.get("required", ()), inner_raw(raw)
    properties = {
        name: _value(each, inner[name], nullable=not (each.required or name in filled))
        for name, each in column.properties.items()
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _not_said(column: Column) -> Iterator[str]:
    """What is promised of the value and is not in its schema."""
    options = column.options
    if column.logical_type in _MOMENTS:
        yield from (f"{key} {options[key]}" for key in _NUMBER_KEYS if key in options)
    if column.logical_type == "timestamp" and column.enum is not None:
        yield "enum"
    if options.get("uniqueItems") and column.items is not None and not column.items.required:
        yield "uniqueItems, nulls aside"
    yield from (
        f"{key} {options[key]}, nulls not counted" for key in ("minProperties", "maxProperties") if key in options
    )
    yield from (f"rule {name}" for rule in column.rules if (name := rule_name(rule)) not in _JUST_A_FORM)


def _json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
