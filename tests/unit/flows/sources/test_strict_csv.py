"""CSV bytes that are not RFC 4180 are refused while they are read, wherever the pieces are cut."""

import io
import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.sources.strict_csv import MOST_COLUMNS, StrictCsv

FIELD = r'(?:[^",\r\n]*|"(?:[^"]|"")*")'
RFC_4180 = re.compile(rf"(?:\ufeff)?{FIELD}(?:(?:,|\r|\n){FIELD})*")


def accepted(data, piece=-1):
    source = StrictCsv(io.BytesIO(data))
    try:
        while source.read(piece):
            pass
    except pa.ArrowInvalid:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='",\r\nab\ufeff', max_size=14), st.integers(min_value=1, max_value=16))
def test_it_agrees_with_the_grammar_wherever_the_pieces_are_cut(text, piece):
    assume_start = max(piece, 4)  # the byte order mark is looked for in the first piece, which has 16 MiB
    assert accepted(text.encode(), assume_start) == bool(RFC_4180.fullmatch(text))


@pytest.mark.parametrize("piece", [4, 5, 6, 7, -1])
@pytest.mark.parametrize("data", [b'n,s\n1,"x\n', b'n,s\n1,"x"y\n', b'n,s\n1,x"y"\n', b'n,s\n1,"x" \n', b"n,s\n1,\0\n"])
def test_broken_quoting_and_nul_bytes_are_refused(data, piece):
    assert not accepted(data, piece)


@pytest.mark.parametrize("piece", [4, 1000, -1])
@pytest.mark.parametrize(("columns", "fine"), [(MOST_COLUMNS, True), (MOST_COLUMNS + 1, False)])
@pytest.mark.parametrize("name", [b"", b'"a,b\n"'])
def test_columns_are_counted_before_the_parser_sees_them(columns, fine, name, piece):
    data = b",".join([name] * columns) + b"\n" + b"1," * (2 * MOST_COLUMNS)
    assert accepted(data, piece) == fine


def test_it_costs_little():
    data = (b'1234567890,"some text, with a ""quote""",2026-01-01\n' * 200_000)[: 8 << 20]
    started = time.perf_counter()
    accepted(data)
    assert time.perf_counter() - started < 2
