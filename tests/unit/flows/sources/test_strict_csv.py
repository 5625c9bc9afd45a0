"""CSV bytes that are not RFC 4180 are refused while they are read, wherever the pieces are cut."""

import io
import re
import time
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.sources.strict_csv import MOST_COLUMNS, whole_rows

FIELD = r'(?:[^",\r\n]*|"(?:[^"]|"")*")'
RFC_4180 = re.compile(rf"{FIELD}(?:(?:,|\r|\n){FIELD})*")
WHOLE_ROW = re.compile(rf"(?:{FIELD}(?:,{FIELD})*[\r\n])+")


def pieces(data, piece=1 << 20):
    try:
        return list(whole_rows(io.BytesIO(data), piece))
    except pa.ArrowInvalid:
        return None


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='",\r\nabé', max_size=14), st.booleans())
def test_it_agrees_with_the_grammar(text, marked):
    found = pieces((("\ufeff" if marked else "") + text).encode())
    assert (found is not None) == bool(RFC_4180.fullmatch(text))
    assert found is None or b"".join(found) == text.encode()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(["a,b\n", '"a\n",\r\n', '"""",b\r', "\n", "é,\n"]), max_size=8), st.integers(8, 40))
def test_it_is_the_same_wherever_it_is_cut(rows, piece):
    text = "".join(rows).encode()
    found = pieces(text, piece)
    assert b"".join(found) == text
    assert all(WHOLE_ROW.fullmatch(each.decode()) for each in found)
    assert all(len(each) <= 2 * piece for each in found)
    assert not any(before.endswith(b"\r") and after.startswith(b"\n") for before, after in pairwise(found))


@pytest.mark.parametrize("data", [b'n,s\n1,"x\n', b'n,s\n1,"x"y\n', b'n,s\n1,x"y"\n', b'n,s\n1,"x" \n', b"n,s\n1,\0\n"])
@pytest.mark.parametrize("piece", [8, 9, 10, 11, 12, 100])
def test_broken_quoting_and_nul_bytes_are_refused(data, piece):
    assert pieces(data, piece) is None


@pytest.mark.parametrize(("length", "fine"), [(100, True), (300, False)])
def test_a_row_may_be_as_long_as_a_piece(length, fine):
    assert (pieces(b"n\n" + b"x" * length + b"\n1\n", 101) is not None) == fine


@pytest.mark.parametrize(("columns", "fine"), [(MOST_COLUMNS, True), (MOST_COLUMNS + 1, False)])
@pytest.mark.parametrize("name", [b"", b'"a,b\n"'])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_columns_are_counted_before_the_parser_sees_them(columns, fine, name, end):
    assert (pieces(b",".join([name] * columns) + end) is not None) == fine


def test_it_costs_little():
    data = b'1234567890,"some text, with a ""quote""",2026-01-01\n' * 150_000
    started = time.perf_counter()
    assert pieces(data) is not None
    assert time.perf_counter() - started < 5
