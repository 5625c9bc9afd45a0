"""What changed between two contracts, for who receives the data: every difference, and whether it can be signed as is.

The documents obey ODCS; they need not compile. Two documents have the same digest exactly if there is no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.agreement import is_agreement
from schemas.diff.changes import MISSING, Change, Kind, Raw, became, differing, same
from schemas.diff.columns import columns_changes
from schemas.diff.quality import quality_changes
from schemas.diff.terms import terms_changes

_BY_NAME = frozenset({None, "parquet"})  # the formats in which a column is found by its name; parquet is the default
_KINDS = ("breaking", "compatible", "editorial")
_TOLD_APART = ("name", "properties", "quality")
_EDITORIAL = frozenset({
    "id", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "context", "logicalType",
    "physicalType", "dataGranularityDescription", "customProperties",
})  # fmt: skip


def differences(old: Raw, new: Raw) -> list[Change]:
    """All changes from `old` to `new`, the gravest first."""
    changes = [*terms_changes(old, new), *_tables(old, new)]
    if not changes and not same(old, new):  # the last net: nothing that is signed may change unseen
        changes.append(Change("", "breaking", "the documents differ"))
    return sorted(changes, key=lambda change: (not change.new_request, _KINDS.index(change.kind)))


def _tables(old: Raw, new: Raw) -> Iterator[Change]:
    by_position = {_format(old), _format(new)} - _BY_NAME != set()
    tables: list[list[Raw]] = [document.get("schema") or [] for document in (old, new)]
    before, after = ({each["name"]: each for each in items} for items in tables)
    if len(before) == len(after) == 1:  # the one table of an agreement stays the one table, whatever its name
        yield from _table(tables[0][0], tables[1][0], by_position=by_position)
        return
    for name, one, other in differing(before, after):
        if one is MISSING or other is MISSING:
            kind: Kind = "compatible" if one is MISSING else "breaking"
            yield Change(f"schema.{name}", kind, f"table {name} {became(one, other)}", new_request=one is MISSING)
        else:
            yield from _table(one, other, by_position=by_position)
    if before.keys() == after.keys() and list(before) != list(after):
        yield Change("schema", "editorial", "the tables stand in another order")


def _table(old: Raw, new: Raw, *, by_position: bool) -> Iterator[Change]:
    path = ("schema", str(new["name"]))
    where = ".".join(path)
    if old["name"] != new["name"]:
        yield Change(where, "breaking", f"table {old['name']} is now called {new['name']}")
    columns, others = old.get("properties") or [], new.get("properties") or []
    yield from columns_changes(columns, others, path, by_position=by_position)
    yield from quality_changes(old.get("quality") or [], new.get("quality") or [], path)
    for key, before, after in differing(old, new):
        if key not in _TOLD_APART:
            kind: Kind = "editorial" if key in _EDITORIAL else "breaking"
            yield Change(f"{where}.{key}", kind, f"{key} {became(before, after)}")


def _format(document: Raw) -> Any:
    items: list[Any] = document.get("customProperties") or [] if is_agreement(document) else []
    return next((each["value"] for each in items if each["property"] == "gla.format"), None)
