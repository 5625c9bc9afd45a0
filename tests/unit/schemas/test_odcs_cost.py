"""What the standard's JSON Schema asks of a document is found in time that grows with the document, not faster."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft201909Validator

from schemas.odcs import first_violation, violations

SECONDS = 30  # generous: each takes about a second at most, and took minutes or for ever without care
HEAD = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0", "status": "active"}


def contract(*properties: dict[str, Any]) -> dict[str, Any]:
    return HEAD | {"schema": [{"name": "t", "properties": list(properties)}]}


def nested(levels: int, innermost: dict[str, Any], wrap: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    for _ in range(levels):
        innermost = wrap(innermost)
    return {"name": "a"} | innermost


def array(inner: dict[str, Any]) -> dict[str, Any]:
    return {"logicalType": "array", "items": {key: inner[key] for key in inner if key != "name"}}


def record(inner: dict[str, Any]) -> dict[str, Any]:
    return {"name": "a", "logicalType": "object", "properties": [inner]}


TEXT = {"name": "a", "logicalType": "string"}
NONSENSE = {"name": "a", "logicalType": "nonsense"}
SOUND = {
    "nested arrays": contract(nested(12, TEXT, array)),
    "nested objects": contract(nested(11, TEXT, record)),
    "a long enum": contract(TEXT | {"enum": [{"value": f"v{at}"} for at in range(6_000)]}),
    "numbers of one hash": contract(TEXT | {"enum": [{"value": at * (2**61 - 1)} for at in range(5_000)]}),
}
BROKEN = {
    "nested arrays": contract(nested(12, NONSENSE, array)),
    "nested objects": contract(nested(11, NONSENSE, record)),
    "twice in a long enum": contract(TEXT | {"enum": [{"value": f"v{at % 5_999}"} for at in range(6_000)]}),
    "many unknown keys": contract(*(TEXT | {"nonsense": at, "required": "no"} for at in range(300))),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_documents(name):
    started = time.process_time()
    assert first_violation(SOUND[name]) is None
    assert violations(SOUND[name]) == []
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("name", BROKEN)
def test_broken_documents(name):
    started = time.process_time()
    found = first_violation(BROKEN[name])
    assert found is not None
    assert found in violations(BROKEN[name])
    assert time.process_time() - started < SECONDS


VALUES = st.sampled_from([0, 1, 1.0, True, False, None, "1", "", -0.0, 1e300, [1], [True], {"a": 1}, {"a": 1.0}, {}])


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, max_size=4))
def test_equal_items_are_those_of_json(items):
    schema = {"type": "array", "uniqueItems": True}
    enum = contract(TEXT | {"enum": [{"value": each} for each in items]})
    unique = Draft201909Validator(schema).is_valid([{"value": each} for each in items])
    assert any(each.rule == "uniqueItems" for each in violations(enum)) == (not unique)
