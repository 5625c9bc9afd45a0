"""Puts two verdicts side by side: what datacontract-cli answered, and ours, check by check.

An answer is a word and, where both sides count the same thing, a number: "holds", "fails 2", "warns 1". A check that
datacontract-cli did not run ("not checked") agrees with a promise that holds. Of a column that is missing or stored as
another type we tell that alone, so its other checks are not compared. `*` stands for the whole delivery.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.logical_types import LOGICAL_TYPE
from schemas.quality import WHOLE_TABLE
from schemas.verdict import MISSING, Result, Verdict

HOLDS = "holds"
NOT_CHECKED = "not checked"
REFUSED = "refused"
_RULES = {
    "field_is_present": MISSING,
    "field_type": LOGICAL_TYPE,
    "field_required": "required",
    "field_primary_key_required": "required",
    "field_unique": "unique",
    "field_primary_key_unique": "primaryKey",
    "primary_key_unique": "primaryKey",
    "field_min_length": "minLength",
    "field_max_length": "maxLength",
    "field_regex": "pattern",
    "field_enum": "enum",
    "field_min_items": "minItems",
    "field_max_items": "maxItems",
    "field_unique_items": "uniqueItems",
    "field_null_values": "nullValues",
    "field_missing_values": "missingValues",
    "field_invalid_values": "invalidValues",
    "field_duplicate_values": "duplicateValues",
    "model_duplicate_values": "duplicateValues",
    "row_count": "rowCount",
}
_BOUNDS = {"field_minimum": ("minimum", "exclusiveMinimum"), "field_maximum": ("maximum", "exclusiveMaximum")}
_OF_SHAPE = (MISSING, LOGICAL_TYPE)
_NOT_COUNTED = {*_OF_SHAPE, "unique", "primaryKey", "duplicateValues"}  # they count keys, we count rows
DELIVERY = "delivery"


class Difference(NamedTuple):
    pair: str
    column: str
    rule: str
    theirs: str
    ours: str


def differences(
    name: str, contract: Mapping[str, Any], checks: list[dict[str, Any]], ours: Verdict | None
) -> list[Difference]:
    """Every check about which the two disagree; `ours` is None where we refuse the contract or the file."""
    theirs, mine = _theirs(contract, checks), {} if ours is None else _ours(ours)
    told = _tops(column for (column, rule), answer in mine.items() if rule in _OF_SHAPE and answer != HOLDS)
    if ours is None or (WHOLE_TABLE, DELIVERY) in theirs:
        answers = theirs.get((WHOLE_TABLE, DELIVERY), _overall(theirs.values())), _delivery(ours, told)
        return [] if answers[0] == answers[1] else [Difference(name, WHOLE_TABLE, DELIVERY, *answers)]
    found = []
    for column, rule in dict.fromkeys([*mine, *theirs]):
        of_shape = rule in _OF_SHAPE
        unsaid = HOLDS if of_shape else NOT_CHECKED  # of the shape we tell what is wrong only
        answers = theirs.get((column, rule), NOT_CHECKED), mine.get((column, rule), unsaid)
        if not _agree(*answers) and (of_shape or told.isdisjoint(_tops([column]))):
            found.append(Difference(name, column, rule, *answers))
    return found


def _agree(theirs: str, ours: str) -> bool:
    return theirs == ours or (theirs == NOT_CHECKED and ours.startswith(HOLDS))


def _tops(columns: Iterable[str]) -> set[str]:
    """The columns of the table that names are about: `a,b` is about two, `a[].b` about `a`."""
    return {re.split(r"[.\[]", name)[0] for column in columns for name in column.split(",")}


def _overall(answers: Iterable[str]) -> str:
    return "invalid" if any(answer.startswith("fails") for answer in answers) else "valid"


def _delivery(verdict: Verdict | None, told: set[str]) -> str:
    """Our word for the whole. What makes them stop at the data is a value of another type, so that is no difference."""
    if verdict is None or told:
        return REFUSED
    return "valid" if verdict.valid else "invalid"


def _ours(verdict: Verdict) -> dict[tuple[str, str], str]:
    return _numbered([(each.column, each.rule, _word(each), each.count) for each in verdict.results])


def _word(result: Result) -> str:
    if result.holds:
        return HOLDS
    return "fails" if result.severity == "error" else "warns"


def _theirs(contract: Mapping[str, Any], checks: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Their checks under our names. What stops them at the data stops all: no check has a result then."""
    if any(check["type"] == "general" for check in checks):
        return {(WHOLE_TABLE, DELIVERY): REFUSED}
    return _numbered(_merged([_translated(contract["schema"][0], check) for check in checks]))


def _translated(table: Mapping[str, Any], check: dict[str, Any]) -> tuple[str, str, str, int]:
    column, rule = check["field"] or WHOLE_TABLE, _RULES.get(check["type"], check["type"])
    options = next((each for each in table["properties"] if each["name"] == column), {}).get("logicalTypeOptions", {})
    if check["type"] in _BOUNDS:
        plain, exclusive = _BOUNDS[check["type"]]
        rule = exclusive if exclusive in options and plain not in options else plain
    elif check["type"] == "field_not_equal":
        ends = ("exclusiveMinimum", "exclusiveMaximum")
        rule = next(each for each in ends if check["name"].endswith(f" {options.get(each)}"))
    elif check["type"] == "field_relationships":
        column, rule = _reference(check["name"])
    elif check["type"] in ("primary_key_unique", "model_duplicate_values"):
        column = ",".join(_key(table, rule))
    return column, rule, _their_word(check), (check["diagnostics"] or {}).get("value", 0)


def _their_word(check: dict[str, Any]) -> str:
    """A check that ran says what it measured; one that did not is a warning, or an error that they call a failure."""
    if "metric" in (check["diagnostics"] or {}):
        return {"passed": HOLDS, "failed": "fails", "warning": "warns"}[check["result"]]
    return "error" if check["result"] == "failed" else NOT_CHECKED


def _reference(name: str) -> tuple[str, str]:
    """ "... (a, b) has no values missing from t (x, y)" or "... field a has no values missing from t.x"."""
    if "(" in name:
        columns, to_columns = (part.split(")")[0].replace(", ", ",") for part in name.split("(")[1:])
        return columns, f"foreignKey({to_columns})"
    return name.split(" has no ", maxsplit=1)[0].rsplit(maxsplit=1)[-1], f"foreignKey({name.rsplit('.', 1)[1]})"


def _key(table: Mapping[str, Any], rule: str) -> list[str]:
    if rule == "duplicateValues":
        return next(each["arguments"]["properties"] for each in table["quality"] if each["metric"] == rule)
    keyed = [each for each in table["properties"] if each.get("primaryKey")]
    return [each["name"] for each in sorted(keyed, key=lambda each: each["primaryKeyPosition"])]


def _merged(words: list[tuple[str, str, str, int]]) -> list[tuple[str, str, str, int]]:
    """They split an exclusive bound into a bound and "not equal": one answer, the numbers added up."""
    merged: dict[tuple[str, str], tuple[str, int]] = {}
    others = []
    for column, rule, word, count in words:
        if rule.startswith("exclusive"):
            before, number = merged.get((column, rule), (HOLDS, 0))
            merged[column, rule] = (word if before == HOLDS else before, number + count)
        else:
            others.append((column, rule, word, count))
    return others + [(*key, *value) for key, value in merged.items()]


def _numbered(words: list[tuple[str, str, str, int]]) -> dict[tuple[str, str], str]:
    """A second rule of one kind on one column gets a number, in the contract's order."""
    seen: Counter[tuple[str, str]] = Counter()
    answers = {}
    for column, rule, word, count in words:
        seen[column, rule] += 1
        name = rule if seen[column, rule] == 1 else f"{rule} {seen[column, rule]}"
        counted = count and rule.split("(")[0] not in _NOT_COUNTED and word in (HOLDS, "fails", "warns")
        answers[column, name] = f"{word} {count}" if counted else word
    return answers
