"""What changed in the quality rules of a table or column: which metrics are promised, and how many are allowed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from core.canonical import canonical_json
from schemas.diff.changes import Change, Kind, Names, Raw, same

_COUNTED = ("type", "metric", "rule", "arguments", "query", "engine", "implementation")
_SEVERITIES = ("info", "warning", "error")  # from weak to strong
_Interval = tuple[float, bool, float, bool]  # from, included, to, included


def quality_changes(old: Sequence[Raw], new: Sequence[Raw], path: Names) -> Iterator[Change]:
    """Every difference between two lists of rules; rules are the same if they count the same."""
    where = ".".join((*path, "quality"))
    if same(list(old), list(new)):
        return
    before, after = _by_what_is_counted(old), _by_what_is_counted(new)
    found = [
        change
        for identity in dict.fromkeys([*before, *after])
        for pair in zip_longest(before.get(identity, ()), after.get(identity, ()))
        for change in _rule_changes(*pair, where)
    ]
    yield from found or [Change(where, "editorial", "the quality rules stand in another order")]


def _by_what_is_counted(rules: Sequence[Raw]) -> dict[bytes, list[Raw]]:
    grouped: dict[bytes, list[Raw]] = defaultdict(list)
    for rule in rules:
        keys = _COUNTED if rule.get("type", "library") != "text" else ("type", "id", "name", "description")
        grouped[canonical_json({"type": "library"} | {key: rule[key] for key in keys if key in rule})].append(rule)
    return grouped


def _rule_changes(old: Raw | None, new: Raw | None, where: str) -> Iterator[Change]:
    name = str((new or old or {}).get("metric") or "in words")
    prose = (new or old or {}).get("type") == "text"  # nothing checks it
    if old is None or new is None:
        kind: Kind = "editorial" if prose else "compatible" if old is None else "breaking"
        yield Change(where, kind, f"a quality rule {name} {'was added' if old is None else 'was removed'}")
    elif not same(_promise(old), _promise(new)):
        if _is_as_strict(old, new):
            yield Change(where, "compatible", f"the quality rule {name} is stricter")
        else:
            yield Change(where, "breaking", f"the quality rule {name} is less strict, or cannot be compared")
    elif not same(old, new):
        yield Change(where, "editorial", f"the quality rule {name} is described otherwise")


def _operator(rule: Raw) -> str | None:
    return next((key for key in rule if key.startswith(("mustBe", "mustNotBe"))), None)


def _promise(rule: Raw) -> list[Any]:
    operator = _operator(rule)
    return [operator, rule.get(operator or ""), rule.get("unit", "rows"), rule.get("severity", "error")]


def _is_as_strict(old: Raw, new: Raw) -> bool:
    """Whether all that the new rule allows was allowed before, and breaking it weighs as much."""
    weights = [_SEVERITIES.index(each.get("severity", "error")) if each.get("severity", "error") in _SEVERITIES else -1
               for each in (old, new)]  # fmt: skip
    if weights[1] < weights[0] or old.get("unit", "rows") != new.get("unit", "rows"):
        return False
    before, after = _allowed(old), _allowed(new)
    if before is None or after is None:
        return same(_promise(old)[:3], _promise(new)[:3])
    return _starts_within(after, before) and _ends_within(after, before)


def _allowed(rule: Raw) -> _Interval | None:
    """The values that the metric may have, if they are one interval of numbers."""
    operator = _operator(rule)
    bound = rule.get(operator or "")
    low: Any
    high: Any
    low, high = bound if isinstance(bound, list) and len(bound) == 2 else (bound, bound)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (low, high)):
        return None
    intervals: dict[str, _Interval] = {
        "mustBe": (low, True, low, True),
        "mustBeBetween": (low, False, high, False),
        "mustBeGreaterThan": (low, False, math.inf, False),
        "mustBeGreaterOrEqualTo": (low, True, math.inf, False),
        "mustBeLessThan": (-math.inf, False, high, False),
        "mustBeLessOrEqualTo": (-math.inf, False, high, True),
    }
    return intervals.get(operator or "")


def _starts_within(inner: _Interval, outer: _Interval) -> bool:
    return inner[0] > outer[0] or (inner[0] == outer[0] and (outer[1] or not inner[1]))


def _ends_within(inner: _Interval, outer: _Interval) -> bool:
    return inner[2] < outer[2] or (inner[2] == outer[2] and (outer[3] or not inner[3]))
