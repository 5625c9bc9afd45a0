"""What changed in the columns of a table or object, nested ones too.

For who reads the data a value that could not occur before is a break: a wider bound, a new code, a null. What can occur
no more is not. A comparison that cannot be decided, such as of two patterns, counts as a break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from core.canonical import canonical_json
from core.errors import UnusableInput
from schemas.diff.changes import MISSING, Change, Kind, Names, Raw, became, differing, same
from schemas.diff.quality import quality_changes
from schemas.logical_types import read_literal
from schemas.table import Column

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_NARROWER = {("number", "integer")}  # (before, after): every value of the new type is one of the old
_EDITORIAL = frozenset({
    "id", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "examples", "context",
    "physicalType", "partitioned", "partitionKeyPosition", "criticalDataElement", "transformDescription",
})  # fmt: skip
_TOLD_APART = ("name", "physicalName", "properties", "items", "quality", "required")


def columns_changes(old: Sequence[Raw], new: Sequence[Raw], path: Names, *, by_position: bool) -> Iterator[Change]:
    """Added, removed, renamed, reordered and changed columns; `by_position` if the reader may count columns."""
    pairs = _paired(old, new)
    for before, after in pairs:
        place = (*path, after["name"])
        yield from _name_changes(before, after, ".".join(place))
        changes = list(column_changes(before, after, place, by_position=by_position))
        yield from changes
        if (
            not changes
            and not same({**before, "name": ""}, {**after, "name": ""})
            and _source(before) == _source(after)
        ):
            yield Change(".".join(place), "editorial", "is written otherwise")
    for each in old:
        if not any(each is before for before, _ in pairs):
            yield Change(".".join((*path, each["name"])), "breaking", f"column {each['name']} is no longer delivered")
    yield from _key_changes(pairs, new, ".".join(path))
    for each in new:
        if not any(each is after for _, after in pairs):
            sentence = f"column {each['name']} is delivered too"
            yield Change(".".join((*path, each["name"])), "compatible", sentence, new_request=True)
    order = [next(at for at, each in enumerate(new) if each is after) for _, after in pairs]
    if order != sorted(order):
        kind: Kind = "breaking" if by_position else "compatible"
        yield Change(".".join(path), kind, "the columns stand in another order")


def _paired(old: Sequence[Raw], new: Sequence[Raw]) -> list[tuple[Raw, Raw]]:
    """Columns that are the same one, in the order of `old`: by both names, else by one of them: the source's first."""
    keys: tuple[Callable[[Raw], Any], ...] = (lambda it: (it["name"], _source(it)), _source, lambda it: it["name"])
    partner: dict[int, Raw] = {}
    for key in keys:
        for before in old:
            free = [each for each in new if not any(each is taken for taken in partner.values())]
            found = next((each for each in free if key(each) == key(before)), None)
            if id(before) not in partner and found is not None:
                partner[id(before)] = found
    return [(each, partner[id(each)]) for each in old if id(each) in partner]


def _source(column: Raw) -> str:
    return str(column.get("physicalName") or column["name"])


def _name_changes(old: Raw, new: Raw, where: str) -> Iterator[Change]:
    if old["name"] != new["name"]:
        yield Change(where, "breaking", f"column {old['name']} is now called {new['name']}")
    if _source(old) != _source(new):
        sentence = f"column {new['name']} is filled from another column of the source"
        yield Change(where, "breaking", sentence, new_request=True)


def _key_changes(pairs: Sequence[tuple[Raw, Raw]], new: Sequence[Raw], where: str) -> Iterator[Change]:
    """A key of more columns promises less: what was the key may now repeat, unless a part of it is unique by itself."""
    kept = [after for before, after in pairs if before.get("primaryKey")]
    added = [each for each in new if each.get("primaryKey") and not any(each is one for one in kept)]
    if kept and added and all(each.get("primaryKey") and not each.get("unique") for each in kept):
        yield Change(where, "breaking", "the key has more columns, so that what was the key may now repeat")


def column_changes(old: Raw, new: Raw, path: Names, *, by_position: bool) -> Iterator[Change]:
    """What changed in one column (or in the items of an array), its name aside."""
    where = ".".join(path)
    if _required(old) != _required(new):
        kind: Kind = "breaking" if _required(old) else "compatible"
        yield Change(where, kind, "may now be empty" if _required(old) else "is now always filled in")
    yield from quality_changes(old.get("quality") or [], new.get("quality") or [], path)
    if old.get("properties") or new.get("properties"):
        inner, other = old.get("properties") or [], new.get("properties") or []
        yield from columns_changes(inner, other, path, by_position=by_position)
    items, others = old.get("items"), new.get("items")
    if isinstance(items, dict) and isinstance(others, dict):
        yield from column_changes(items, others, (*path, "[]"), by_position=by_position)
    elif not same(items, others):
        yield Change(f"{where}.[]", "breaking", "what the items of the array are changed")
    for key, before, after in differing(old, new):
        if key == "logicalTypeOptions":
            yield from _options(old, new, f"{where}.{key}")
        elif key not in _TOLD_APART:
            yield from _change(key, before, after, f"{where}.{key}")


def _required(column: Raw) -> bool:
    return bool(column.get("required") or column.get("primaryKey"))


def _change(key: str, old: Any, new: Any, where: str) -> Iterator[Change]:
    match key:
        case "logicalType":
            kind: Kind = "compatible" if (old, new) in _NARROWER else "breaking"
            yield Change(where, kind, "the type changed")
        case "enum":
            yield from _enum(old, new, where)
        case "customProperties":
            yield from _custom(old, new, where)
        case "unique" | "primaryKey":
            promised = bool(new) and new is not MISSING
            words = {"unique": "values occur once", "primaryKey": "the column is part of the key"}[key]
            yield Change(where, "compatible" if promised else "breaking", f"{words}{'' if promised else ' no longer'}")
        case "deprecated":
            yield Change(where, "compatible", "is announced to end, or no longer is")
        case _ if key in _EDITORIAL:
            yield Change(where, "editorial", f"{key} {became(old, new)}")
        case _:  # classification, relationships, and what we do not know: the recipient has to look
            yield Change(where, "breaking", f"{key} {became(old, new)}")


def _options(old: Raw, new: Raw, where: str) -> Iterator[Change]:
    options, others = old.get("logicalTypeOptions") or {}, new.get("logicalTypeOptions") or {}
    for key, before, after in differing(options, others):
        stronger = (
            before is MISSING
            if MISSING in (before, after)
            else (key in _LOWER and _is_less(_bound(old, before), _bound(new, after)))
            or (key in _UPPER and _is_less(_bound(new, after), _bound(old, before)))
        )
        if key in ("format", "timezone", "defaultTimezone"):
            yield Change(f"{where}.{key}", "breaking", f"{key} {became(before, after)}")
        elif stronger:
            yield Change(f"{where}.{key}", "compatible", f"{key} allows less than before")
        else:
            yield Change(f"{where}.{key}", "breaking", f"{key} allows what it did not allow, or cannot be compared")
    if same(options, others):
        yield Change(where, "editorial", "options are written otherwise")


def _bound(column: Raw, bound: Any) -> Any:
    """A bound as its contract means it: a number, or a date or time by its format and offset; None if unreadable."""
    if isinstance(bound, int | float):
        return bound
    try:
        options = column.get("logicalTypeOptions") or {}
        return read_literal(Column("", "", str(column.get("logicalType")), options), bound)
    except UnusableInput:
        return None


def _is_less(one: Any, other: Any) -> bool:
    """Whether it is less; False if that cannot be told."""
    try:
        return bool(one < other)
    except TypeError:
        return False


def _enum(old: Any, new: Any, where: str) -> Iterator[Change]:
    if MISSING in (old, new):
        yield Change(where, "compatible" if old is MISSING else "breaking", f"the list of values {became(old, new)}")
        return
    before, after = ({canonical_json(each["value"]) for each in items} for items in (old, new))
    if after - before:
        yield Change(where, "breaking", f"{len(after - before)} values were added to the list")
    if before - after:
        yield Change(where, "compatible", f"{len(before - after)} values were removed from the list")
    if before == after:
        yield Change(where, "editorial", "the words for the values, or their order, changed")


def _custom(old: Any, new: Any, where: str) -> Iterator[Change]:
    """`gla.rule` is a promise; `gla.codeList` says where the values come from; others' properties are their own."""
    before, after = _rules(old), _rules(new)
    for rule in sorted(before.keys() - after.keys()):
        yield Change(where, "breaking", f"the rule {before[rule]} no longer holds")
    for rule in sorted(after.keys() - before.keys()):
        yield Change(where, "compatible", f"the rule {after[rule]} holds from now on")
    if before.keys() == after.keys():
        yield Change(where, "editorial", "custom properties changed, and no rule among them")


def _rules(properties: Any) -> dict[bytes, str]:
    values = [each["value"] for each in (() if properties is MISSING else properties) if each["property"] == "gla.rule"]
    return {canonical_json(each): str(each.get("rule") if isinstance(each, dict) else each) for each in values}
