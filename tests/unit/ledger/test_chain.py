"""The hash of an event: fixed for ever, and touched by every field."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from core.errors import UnusableInput
from ledger.chain import GENESIS, EventBody, event_hash

BODY = EventBody(
    seq=1,
    at="2026-02-01T06:00:00.000Z",
    action="delivery.planned",
    object="delivery:gla-2026-001/2026-01/1",
    result="ok",
    origin="test",
    actor="operator",
    agreement_id="gla-2026-001",
    delivery_id="0" * 32,
    once=None,
    detail="{}",
)


def test_the_hash_of_a_known_event_never_changes() -> None:
    assert event_hash(GENESIS, BODY) == "873cb14efff53028a3eabd3b2ff8c2c02590d372779fc0595bf294f47a1931ca"


@pytest.mark.parametrize("name", [field.name for field in fields(EventBody)])
def test_every_field_is_in_the_hash(name: str) -> None:
    changed = replace(BODY, **{name: 2 if name == "seq" else "another"})
    assert event_hash(GENESIS, changed) != event_hash(GENESIS, BODY)


def test_the_previous_event_is_in_the_hash() -> None:
    assert event_hash("1" * 64, BODY) != event_hash(GENESIS, BODY)


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    one = replace(BODY, origin="ab", actor="c")
    other = replace(BODY, origin="a", actor="bc")
    assert event_hash(GENESIS, one) != event_hash(GENESIS, other)


def test_absent_is_not_empty() -> None:
    assert event_hash(GENESIS, replace(BODY, once="")) != event_hash(GENESIS, BODY)


def test_a_binary_value_has_no_hash() -> None:
    with pytest.raises(UnusableInput):
        event_hash(GENESIS, replace(BODY, detail=b"{}"))
