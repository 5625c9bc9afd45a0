"""What would make a contract better for the person who has to sign it and the one who reads its data.

Advice, not law: a contract with all of it is as usable as one with none. Each piece has a reason in its sentence.
Names that look like a citizen service number and the like are judged by the name of the column alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.agreement import is_agreement
from schemas.lint.raw import columns, custom, dicts, text
from schemas.odcs import Path

Advice = tuple[Path, str]
Raw = Mapping[str, Any]

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_NUMBERS = {  # the rule by name that belongs to a column whose name holds the word
    "bsn": re.compile(r"(^|_|\.)(bsn|burgerservicenummer|sofinummer)($|_|\[)", re.IGNORECASE),
    "rsin": re.compile(r"(^|_|\.)rsin($|_|\[)", re.IGNORECASE),
    "loonheffingennummer": re.compile(r"(^|_|\.)(loonheffingennummer|lhnr)($|_|\[)", re.IGNORECASE),
    "kvk": re.compile(r"(^|_|\.)(kvk|kvk_?nummer)($|_|\[)", re.IGNORECASE),
}
_LOWER = ("greaterThan", "greaterOrEqualTo", "equals")
_OF_PEOPLE = ("bsn",)
_LIMITS = ("pattern", "format", "maxLength")


def advice(document: Raw) -> Iterator[Advice]:
    """All advice about a document, which need not obey ODCS."""
    yield from _of_contract(document)
    for at, table in dicts(document, "schema"):
        yield from _of_table(table, ("schema", at))
        for path, name, column in columns(table, ("schema", at)):
            yield from ((path + inner, f"column {name} {sentence}") for inner, sentence in _of_column(column, name))


def _of_contract(document: Raw) -> Iterator[Advice]:
    description = document.get("description")
    described: Raw = description if isinstance(description, dict) else {}
    for key, reason in (("purpose", "what the data may be used for"), ("usage", "how it may be used")):
        if not text(described, key):
            yield ("description",), f"has no description.{key}: people sign for {reason}"
        elif "TODO" in text(described, key):
            yield ("description", key), f"description.{key} still says TODO"
    if not text(document, "name"):
        yield (), "has no name: people know a contract by it"
    if text(document, "version") and not _VERSION.fullmatch(text(document, "version")):
        yield ("version",), "version is not of the form 1.0.0, which shows how large a change is"
    if is_agreement(document):
        yield from _of_agreement(document)


def _of_agreement(document: Raw) -> Iterator[Advice]:
    if not dicts(document, "authoritativeDefinitions"):
        yield (), "names no legal basis: give it as an authoritativeDefinition of type legalBasis"
    if not isinstance(document.get("price"), dict):
        yield (), "says nothing about costs: state a price, also if it is 0"
    terms = {text(each, "property").lower() for _, each in dicts(document, "slaProperties")}
    for name, reason in (("retention", "how long a delivery is kept"), ("frequency", "when deliveries fall due")):
        if name not in terms:
            yield ("slaProperties",), f"has no SLA property {name}: it says {reason}"
    if not custom(document, "gla.filter"):
        whose = " about a participant" if custom(document, "gla.participants") else ""
        yield ("customProperties",), f"has no gla.filter: every row{whose} of the source is delivered"
    if custom(document, "gla.mutations") and _begins_with_the_period(document):
        yield (
            ("customProperties",),
            "has gla.mutations, and a gla.filter that begins at period.start: all rows of before are told as ended",
        )


def _begins_with_the_period(document: Raw) -> bool:
    """Whether what a row must reach moves on from period to period."""
    filters = (each for each in custom(document, "gla.filter") if isinstance(each, list))
    conditions = (each for listed in filters for each in listed if isinstance(each, dict))
    return any(each.get("bound") == "period.start" and each.get("operator") in _LOWER for each in conditions)


def _of_table(table: Raw, path: Path) -> Iterator[Advice]:
    name = text(table, "name") or "?"
    if not text(table, "description"):
        yield path, f"table {name} has no description: say what one row is"
    if not any(column.get("primaryKey") for _, column in dicts(table, "properties")):
        yield path, f"table {name} has no primaryKey: rows that are delivered twice go unnoticed"
    yield from ((path + inner, f"table {name} {sentence}") for inner, sentence in _prose(table))


def _of_column(column: Raw, name: str) -> Iterator[Advice]:
    is_whole = not name.endswith("[]")
    if is_whole and not text(column, "description") and not text(column, "businessName"):
        yield (), "has no description or businessName"
    if is_whole and not text(column, "classification") and "." not in name:
        yield (), "has no classification: say how carefully it must be handled"
    yield from _numbers(column, name)
    yield from _values(column)
    yield from _prose(column)


def _numbers(column: Raw, name: str) -> Iterator[Advice]:
    rules = custom(column, "gla.rule")
    rule = next((rule for rule, form in _NUMBERS.items() if form.search(name)), None)
    if rule is not None and column.get("logicalType") not in ("string", "array", "object"):
        yield ("logicalType",), "is an identifier: make it a string, since a number loses leading zeros"
    elif rule is not None and rule not in rules and column.get("logicalType") == "string":
        yield (), f"looks like a number that has a check: add the custom property gla.rule with value {rule}"
    if column.get("examples") and (rule in _OF_PEOPLE or any(each in rules for each in _OF_PEOPLE)):
        yield ("examples",), "has examples of a number that belongs to a person: leave them out"


def _values(column: Raw) -> Iterator[Advice]:
    """How sharply the values are described."""
    value = column.get("logicalTypeOptions")
    options: Raw = value if isinstance(value, dict) else {}
    free = not any(key in options for key in _LIMITS) and not column.get("enum") and not custom(column, "gla.rule")
    if column.get("logicalType") == "string" and free:
        yield (), "is free text: give a maxLength, pattern, enum or rule, or anything may be in it"
    pattern = options.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        yield (
            ("logicalTypeOptions", "pattern"),
            "has a pattern that also matches part of a value: begin with ^, end with $",
        )
    if any(not text(each, "label") and not text(each, "description") for _, each in dicts(column, "enum")):
        yield ("enum",), "has codes without a label"


def _prose(owner: Raw) -> Iterator[Advice]:
    for at, rule in dicts(owner, "quality"):
        if rule.get("type") == "text":
            yield ("quality", at), "has a quality rule in words: people read it, nothing checks it"
