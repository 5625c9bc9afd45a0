"""One difference between two contracts, as its recipient sees it.

breaking     the recipient must change something, gets less, or is promised less than before
compatible   what the recipient has goes on working: a sharper promise, a longer term
editorial    other words; nothing that is delivered or promised changes

Apart from that, a change may need a new request (Nieuwe aanvraag): another purpose or legal basis, another recipient,
or more columns or rows than were asked for. Then the new text is not simply signed: why it may be given is asked anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.canonical import canonical_json

Kind = Literal["breaking", "compatible", "editorial"]
Raw = Mapping[str, Any]
Names = tuple[str, ...]
MISSING: Any = object()  # stands for what one of the two documents does not have


@dataclass(frozen=True)
class Change:
    """`path` is where, by names (`schema.people.id.enum`); `message` is a sentence without values of the document."""

    path: str
    kind: Kind
    message: str
    new_request: bool = False

    def as_json(self) -> dict[str, Any]:
        """The change as `gla contract diff --json` prints it."""
        return {"path": self.path, "kind": self.kind, "newRequest": self.new_request, "message": self.message}


def same(old: Any, new: Any) -> bool:
    """Whether two JSON values have one canonical form; 1 and 1.0 do."""
    if old is MISSING or new is MISSING:
        return old is new
    return canonical_json(old) == canonical_json(new)


def differing(old: Raw, new: Raw) -> Iterator[tuple[str, Any, Any]]:
    """The keys whose values differ, with both values."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, MISSING), new.get(key, MISSING)
        if not same(before, after):
            yield key, before, after


def became(old: Any, new: Any) -> str:
    """`was added`, `was removed` or `changed`."""
    return "was added" if old is MISSING else "was removed" if new is MISSING else "changed"


def same_words(old: Any, new: Any) -> bool:
    """Whether two texts differ in white space only."""
    return isinstance(old, str) and isinstance(new, str) and old.split() == new.split()
