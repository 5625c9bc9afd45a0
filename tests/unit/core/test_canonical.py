"""Canonical JSON: one form of bytes for one value, and nothing that JSON cannot hold."""

from __future__ import annotations

import contextlib
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical_json, digest, parse_json, sha256_hex
from core.errors import UnusableInput

SAFE_INTEGER = 2**53 - 1
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
    | st.floats(-SAFE_INTEGER, SAFE_INTEGER)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_the_example_of_rfc_8785_section_3_2_2() -> None:
    source = r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                  "string": "€$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    expected = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + r"'" + r'B\"\\\\\"/"}'
    )
    assert canonical_json(json.loads(source)) == expected.encode()


def test_the_digest_of_nothing_and_of_an_empty_object_are_known() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@given(_JSON)
def test_canonical_bytes_read_back_as_the_same_value(value: Any) -> None:
    data = canonical_json(value)
    assert canonical_json(parse_json(data, "it")) == data


@given(st.dictionaries(st.text(), st.integers(0, 9)))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), date(2026, 1, 1), 2**53, {1: "a"}, {"a": {"b": b"bytes"}}, "\ud800", {"\ud800": 1}],
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(UnusableInput) as caught:
        canonical_json(value)
    assert caught.value.__context__ is None


def test_a_value_nested_beyond_reason_is_refused() -> None:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnusableInput):
        canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b'{"a":{"b":1,"b":1}}',
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(UnusableInput, match="the file is not valid JSON") as caught:
        parse_json(data, "the file")
    assert caught.value.__context__ is None


@given(st.binary())
def test_no_bytes_break_the_parser(data: bytes) -> None:
    with contextlib.suppress(UnusableInput):
        parse_json(data, "it")


@pytest.mark.parametrize("number", [2.0**53, -(2.0**53), 9.99e20])
def test_a_fraction_that_would_be_written_as_an_integer_too_big_to_read_is_refused(number: float) -> None:
    with pytest.raises(UnusableInput, match="big integer"):
        canonical_json({"minimum": [number]})


@pytest.mark.parametrize("number", [0.5, 2.0**53 - 1, 1e21, -1e300])
def test_other_fractions_are_read_back_as_the_same_document(number: float) -> None:
    encoded = canonical_json({"minimum": number})
    assert canonical_json(parse_json(encoded, "the document")) == encoded
