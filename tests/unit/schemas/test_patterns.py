"""ECMA-262 patterns keep their ECMA meaning on the Rust engine, or are refused."""

import polars as pl
import pytest

from core.errors import UnusableInput
from schemas.patterns import translate


def matches(pattern, text):
    return pl.Series([text]).str.contains(translate(pattern), strict=True).item()


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b", "abc", True),  # a search, as in JSON Schema
        ("^b", "abc", False),
        (r"^\d$", "7", True),
        (r"^\d$", "\u0663", False),  # an Arabic-Indic three is no ECMA digit
        (r"^\w$", "\u00e9", False),
        (r"^[\w-]+$", "a-b", True),
        (r"^\W$", "\u00e9", True),
        (r"^\s$", "\u00a0", True),
        (r"^\S$", " ", False),
        (r"^.$", "\r", False),
        (r"^.$", "\u2028", False),
        (r"^a$", "a\n", False),  # unlike Python's $
        (r"^[[]$", "[", True),
        (r"^[a&&b]+$", "a&b", True),
        (r"^[a~~b]$", "~", True),
        (r"^a\/b$", "a/b", True),
        (r"^\x41\u0042$", "AB", True),
        (r"^\-\_$", "-_", True),
        (r"^(?:a|b){2}$", "ab", True),
        (r"^(?<year>[0-9]{4})$", "2026", True),
        (r"\bcat\b", "a cat!", True),
        (r"^[\b]$", "\x08", True),
        (r"^[^\d]$", "x", True),
        (r"^\p{L}$", "\u00e9", True),
        (r"^\0$", "\x00", True),
        (r"^[-\w]+[\d-]+[^-\s]$", "a-1-b", True),  # a - that can be no range
        (r"^[\w\-~]+$", "a|b", False),
        (r"^[a-c-e]+$", "b-e", True),
        (r"^[\0-9]$", "5", True),
        (r"^a{2}b{1,}c{0,2}?$", "aabc", True),
        (r"^]}$", "]}", True),
        (r"^[\p{L}\-_{}]+\}$", "\u00e9-_{}}", True),
    ],
)
def test_pattern_means_what_ecma_says(pattern, text, expected):
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        *["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", r"\k<n>", "(?i)a", r"\cA", r"\B", r"\A", r"\z", r"\xZZ"],
        *["[a", "(a", "a)", "[]", "[^]", "[a--b]", "\\", "[z-a]", r"\u12", r"\p{", "a{1000}{1000}{1000}"],
        *[r"[\w-~]", r"[+-\w]", r"[$-\d]", r"[\w-\u00e9]", r"[\D-a]", r"[\p{L}-z]", "[--/]", r"[\d--]"],
        *["^[0-9]{1, 3}$", "a{ 1}", "a{1 ,3}", "a{,3}", "{", "a{", "a{b}", r"\01", r"[\07]"],
        *[r"\p{L}]", r"}\P{L}", r"\<\p{L}", r"\p{L}\-", r"[\_]\p{L}"],  # valid in no one mode of ECMA
        "x" * 3000,
    ],
)
def test_pattern_without_linear_time_meaning_is_refused(pattern):
    with pytest.raises(UnusableInput) as caught:
        translate(pattern)
    assert caught.value.__context__ is None


def test_catastrophic_pattern_runs_in_linear_time():
    assert matches(r"^(a+)+$", "a" * 100_000 + "!") is False
