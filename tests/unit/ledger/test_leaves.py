"""The leaf of an event: fixed for ever, touched by every field, and the JSON of RFC 8785."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical_json
from core.errors import UnusableInput
from ledger.leaves import FIELDS, EventBody, body_json, leaf_of

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
    row_digest=None,
    detail="{}",
)
NONCE = bytes(range(32))


def test_the_leaf_of_a_known_event_never_changes() -> None:
    assert leaf_of(NONCE, BODY).hex() == "0df161e9eda5f5f7e7ea0344c3ed4d04fa2fcca0e1b93100f6d057d4bbb1ac0e"


@pytest.mark.parametrize("name", [field.name for field in fields(EventBody)])
def test_every_field_is_in_the_leaf(name: str) -> None:
    changed = replace(BODY, **{name: 2 if name == "seq" else "another"})
    assert leaf_of(NONCE, changed) != leaf_of(NONCE, BODY)


def test_the_nonce_is_in_the_leaf() -> None:
    assert leaf_of(bytes(32), BODY) != leaf_of(NONCE, BODY)


def test_the_fields_are_in_the_order_of_their_names() -> None:
    assert list(FIELDS) == sorted(field.name for field in fields(EventBody))


@given(text=st.text(), other=st.none() | st.text(), seq=st.integers(1, 2**53 - 1))
def test_the_fast_form_is_that_of_rfc_8785(text: str, other: str | None, seq: int) -> None:
    body = replace(BODY, seq=seq, detail=text, actor=text, once=other)
    assert body_json(body) == canonical_json(vars(body))


def test_control_characters_are_written_as_rfc_8785_does() -> None:
    body = replace(BODY, detail="".join(map(chr, range(160))) + "\u2028\U0001f600")
    assert body_json(body) == canonical_json(vars(body))


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    one = replace(BODY, origin="ab", actor="c")
    other = replace(BODY, origin="a", actor="bc")
    assert leaf_of(NONCE, one) != leaf_of(NONCE, other)


def test_absent_is_not_empty() -> None:
    assert leaf_of(NONCE, replace(BODY, once="")) != leaf_of(NONCE, BODY)


@pytest.mark.parametrize("value", [b"{}", "\ud800"])
def test_what_is_no_text_has_no_leaf(value: object) -> None:
    with pytest.raises(UnusableInput) as caught:
        leaf_of(NONCE, replace(BODY, detail=value))
    assert caught.value.__context__ is None
