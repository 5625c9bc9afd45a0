"""Names that a recipient or a file system sees."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnusableInput
from core.ids import NAME_LENGTH, checked_name, new_id


@pytest.mark.parametrize("name", ["a", "0", "gemeente-voorbeeld", "part-1.parquet.age", "A_b.C-d", "a" * NAME_LENGTH])
def test_safe_names_are_returned_as_they_are(name: str) -> None:
    assert checked_name(name, "a name") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "_x",
        "a/b",
        "../a",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "é",
        "a:b",
        "a" * (NAME_LENGTH + 1),
    ],
)
def test_names_that_could_become_a_path_or_an_option_are_refused(name: str) -> None:
    with pytest.raises(UnusableInput, match="the file's name") as caught:
        checked_name(name, "the file's name")
    assert not name.strip("._-") or len(name) < 3 or name not in str(caught.value)


@given(st.text())
def test_a_name_that_passes_is_one_segment_of_ascii(text: str) -> None:
    try:
        name = checked_name(text, "it")
    except UnusableInput:
        return
    assert name.isascii()
    assert "/" not in name
    assert not name.startswith((".", "-"))


def test_ids_are_safe_names_and_never_repeat() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", each) and checked_name(each, "an id") for each in ids)
