"""What changed in the terms of a contract: purpose, legal basis, recipient, rows, form, planning, costs, and words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from core.canonical import canonical_json
from schemas.diff.changes import MISSING, Change, Kind, Raw, became, differing, same, same_words
from schemas.diff.filters import filter_changes

_EDITORIAL = frozenset({
    "version", "apiVersion", "name", "status", "tags", "domain", "support", "team", "context", "contractCreatedTs",
    "slaDefaultElement",
})  # fmt: skip
_LEGAL = ("legal", "law", "grondslag", "wet", "statut")  # in the type of an authoritativeDefinition
_NEW_REQUEST = {  # terms that decide for whom and from where
    "tenant": "the recipient",
    "dataProduct": "the data product",
    "gla.recipient": "the recipient",
    "gla.source": "the source",
    "gla.participants": "the people about whom data is delivered",
}
_LATER_IS_MORE = {"gla.validUntil": True, "gla.validFrom": False}
_MORE_IS_BETTER = {"retention": True, "latency": False, "availability": True, "endofsupport": True, "endoflife": True}


def terms_changes(old: Raw, new: Raw) -> Iterator[Change]:
    """Every difference between two documents outside their tables."""
    for key, before, after in differing(old, new):
        if key == "schema":
            continue
        changes = list(_HANDLERS.get(key, _other)(key, before, after))
        yield from changes or [Change(key, "editorial", f"{key} says the same in another form or order")]


def _other(key: str, old: Any, new: Any) -> Iterator[Change]:
    if key in _NEW_REQUEST:
        yield Change(key, "breaking", f"{_NEW_REQUEST[key]} {became(old, new)}", new_request=True)
    else:
        yield Change(key, "editorial" if key in _EDITORIAL else "breaking", f"{key} {became(old, new)}")


def _description(key: str, old: Any, new: Any) -> Iterator[Change]:
    for name, before, after in differing(_mapping(old), _mapping(new)):
        where = f"{key}.{name}"
        if name == "authoritativeDefinitions":
            yield from _definitions(where, before, after)
        elif name == "customProperties" or same_words(before, after):
            yield Change(where, "editorial", f"{name} {became(before, after)}, in form only")
        else:  # purpose and usage are what the data was asked for (doelbinding)
            asked = name in ("purpose", "usage")
            yield Change(where, "breaking", f"the {name} {became(before, after)}", new_request=asked)


def _definitions(key: str, old: Any, new: Any) -> Iterator[Change]:
    legal, other = (
        [[each for each in _items(value) if _is_legal(each) is wanted] for value in (old, new)]
        for wanted in (True, False)
    )
    if _as_set(legal[0]) != _as_set(legal[1]):
        yield Change(key, "breaking", "the legal basis changed", new_request=True)
    if _as_set(other[0]) != _as_set(other[1]):
        yield Change(key, "editorial", "a document that is referred to changed")


def _is_legal(definition: Raw) -> bool:
    return any(word in str(definition.get("type")).lower() for word in _LEGAL)


def _custom(key: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = ({str(each["property"]): each for each in _items(value)} for value in (old, new))
    for name, one, other in differing(before, after):
        where, values = f"{key}.{name}", (_value(one), _value(other))
        if same(*values):
            yield Change(where, "editorial", f"what is said about {name} changed")
        elif name == "gla.filter":
            yield from filter_changes(*values, where)
        elif name in _NEW_REQUEST:
            yield from _other_term(where, name, *values)
        else:
            yield Change(where, _term_kind(name, *values), f"{name} {became(*values)}")


def _other_term(where: str, name: str, old: Any, new: Any) -> Iterator[Change]:
    """A list of participants where there was none keeps people out, so that nothing more is asked for."""
    asked = name != "gla.participants" or old is not MISSING
    yield Change(where, "breaking", f"{_NEW_REQUEST[name]} {became(old, new)}", new_request=asked)


def _term_kind(name: str, old: Any, new: Any) -> Kind:
    if name in _LATER_IS_MORE and isinstance(old, str) and isinstance(new, str):
        return "compatible" if (new > old) is _LATER_IS_MORE[name] else "breaking"
    if name in ("gla.recipientKeys", "gla.sums"):  # one more is one more; one less may be missed
        gone = _as_set(_items(old)) - _as_set(_items(new))
        return "breaking" if gone else "compatible"
    return "breaking" if name.lower().startswith("gla.") else "editorial"


def _sla(key: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = ({_level(each): each for each in _items(value)} for value in (old, new))
    for level, one, other in differing(before, after):
        where, values = f"{key}.{level}", [_amount(each) for each in (one, other)]
        if same(*values):
            yield Change(where, "editorial", f"what is said about {level} changed")
        else:
            yield Change(where, _sla_kind(level, *values), f"{level} {became(*values)}")


def _level(item: Raw) -> str:
    return ".".join([str(item["property"]).lower(), *([str(item["element"])] if item.get("element") else [])])


def _amount(item: Any) -> Any:
    keys = ("value", "valueExt", "unit", "schedule", "scheduler")
    return MISSING if item is MISSING else {key: item[key] for key in keys if key in item}


def _sla_kind(level: str, old: Any, new: Any) -> Kind:
    """A new promise is one more; of amounts in one unit the better one is known for a few levels."""
    if MISSING in (old, new):
        return "compatible" if old is MISSING and level != "frequency" else "breaking"
    better = _MORE_IS_BETTER.get(level.split(".", maxsplit=1)[0])
    values = [each.get("value") for each in (old, new)]
    if better is None or old.get("unit") != new.get("unit") or not _numbers(values):
        return "breaking"
    return "compatible" if (values[1] > values[0]) is better else "breaking"


def _price(key: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = _mapping(old), _mapping(new)
    amounts = [each.get("priceAmount", 0) for each in (before, after)]
    units = [[each.get(name) for name in ("priceCurrency", "priceUnit")] for each in (before, after)]
    lower = _numbers(amounts) and amounts[1] <= amounts[0] and (units[0] == units[1] or new is MISSING)
    yield Change(key, "compatible" if lower else "breaking", f"the price {became(old, new)}")


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _mapping(value: Any) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _value(item: Any) -> Any:
    return MISSING if item is MISSING else item["value"]


def _as_set(items: list[Any]) -> set[bytes]:
    return {canonical_json(each) for each in items}


_HANDLERS: dict[str, Callable[[str, Any, Any], Iterator[Change]]] = {
    "description": _description,
    "authoritativeDefinitions": _definitions,
    "customProperties": _custom,
    "slaProperties": _sla,
    "price": _price,
}
