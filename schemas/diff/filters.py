"""Whether another filter lets more or fewer rows through, as far as that can be told from its conditions alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.canonical import canonical_json
from schemas.diff.changes import MISSING, Change, Raw

_LESS = ("lessThan", "lessOrEqualTo")
_GREATER = ("greaterThan", "greaterOrEqualTo")


def filter_changes(old: Any, new: Any, where: str) -> Iterator[Change]:
    """More rows need a new request; fewer break what the recipient relies on; what cannot be told may be both."""
    before, after = _conditions(old), _conditions(new)
    dropped = [before[key] for key in before if key not in after]
    gained = [after[key] for key in after if key not in before]
    wider = narrower = False
    for condition in dropped:
        partner = next((each for each in gained if _alike(condition, each)), None)
        if partner is None:
            wider = True
            continue
        gained.remove(partner)
        looser, tighter = _compared(condition, partner)
        wider, narrower = wider or looser, narrower or tighter
    if wider:
        yield Change(where, "compatible", "the filter may let more rows through", new_request=True)
    if narrower or gained:
        yield Change(where, "breaking", "the filter may let fewer rows through")
    if not (wider or narrower or gained):
        yield Change(where, "editorial", "the filter says the same in another form")


def _conditions(value: Any) -> dict[bytes, Raw]:
    items = value if isinstance(value, list) else [] if value in (None, MISSING) else [value]
    return {canonical_json(each): each if isinstance(each, dict) else {"value": each} for each in items}


def _alike(one: Raw, other: Raw) -> bool:
    return all(one.get(key) == other.get(key) for key in ("column", "operator")) and "value" in one and "value" in other


def _compared(old: Raw, new: Raw) -> tuple[bool, bool]:
    """Whether the new condition lets through what the old one did not, and the other way round."""
    operator, before, after = old.get("operator"), old["value"], new["value"]
    if operator == "in" and isinstance(before, list) and isinstance(after, list):
        one, other = ({canonical_json(each) for each in items} for items in (before, after))
        return bool(other - one), bool(one - other)
    if operator in (*_LESS, *_GREATER) and _comparable(before, after):
        grows = after > before
        return (grows, not grows) if operator in _LESS else (not grows, grows)
    return True, True


def _comparable(one: Any, other: Any) -> bool:
    """Two numbers, or two dates in ISO 8601: text of the same length."""
    if isinstance(one, str) and isinstance(other, str):
        return len(one) == len(other) and one[:1].isdigit() and other[:1].isdigit()
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
