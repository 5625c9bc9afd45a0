"""Rows as bytes: the same rows give the same file, and the contract reads what was written."""

import gzip
import io
from datetime import date, datetime, time
from functools import partial
from typing import get_args

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import flows.sources.text
from core.errors import RowsInvalid
from core.period import Period
from flows.sources.files import FileSource
from flows.sources.plan import ExtractionPlan, planned_columns
from flows.sources.strict_csv import whole_rows
from flows.steps.formats import CONTENT_TYPES, row_format
from flows.steps.staging import DigestingWriter
from schemas.agreement import FileFormat
from schemas.compiler import compile_table
from schemas.filters import parse_filter
from tests.agreements import an_agreement

MARCH = Period.parse("2026-03")
COUNTED = [
    {"name": "n", "logicalType": "integer", "logicalTypeOptions": {"minimum": 0, "maximum": 999}},
    {"name": "s", "logicalType": "string", "logicalTypeOptions": {"maxLength": 10}},
]
OPENED = {
    "csv": lambda content: content,
    "csv.gz": gzip.decompress,
    "csv.zst": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}


def written(agreement, *frames, empty=None):
    target = io.BytesIO()
    empty = frames[0].clear() if empty is None else empty
    form = row_format(agreement, MARCH, empty)
    with form.open(DigestingWriter(target)) as writer:
        for frame in frames:
            writer.write(form.encode(frame))
    return target.getvalue()


def one(column, *values, dtype=None):
    return pl.DataFrame({column["name"]: pl.Series(values, dtype=dtype)})


@given(st.lists(st.none() | st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 1, 1))))
@example([date(1, 1, 1), date(9999, 12, 31)])
@example([date(9999, 12, 31), None])
@example([None])
def test_dates_are_written_as_polars_writes_them(days):
    frame = pl.DataFrame({"d": days, "n": range(len(days))}, schema={"d": pl.Date, "n": pl.Int64})
    columns = [{"name": "d", "logicalType": "date"}, {"name": "n", "logicalType": "integer"}]
    assert written(an_agreement(columns, format="csv"), frame) == frame.write_csv(line_terminator="\r\n").encode()


@pytest.mark.parametrize("file_format", get_args(FileFormat))
def test_rows_read_in_other_pieces_give_the_same_bytes(file_format):
    whole = pl.DataFrame({"n": range(1000), "s": [f"text {at % 7}" for at in range(1000)]})
    pieces = pl.concat([whole.head(1), whole.slice(1, 600), whole.slice(601)], rechunk=False)
    assert pieces.n_chunks() == 3
    agreement = an_agreement(COUNTED, format=file_format)
    assert written(agreement, pieces) == written(agreement, whole)


def test_parquet_of_every_number_is_read_alike_by_duckdb(tmp_path):
    """Numbers that do not repeat are packed, those that do have a dictionary; both have nulls and both ends."""
    count = 5_000
    columns = {}
    for dtype in (pl.Int32, pl.Int64, pl.UInt32, pl.UInt64):
        low, high = dtype.min(), dtype.max()
        ends = pl.select(low=low, high=high).row(0)
        columns[f"packed_{dtype}"] = pl.Series([*ends, None, *range(count - 3)], dtype=dtype)
        columns[f"repeated_{dtype}"] = pl.Series([*ends, None, *[7] * (count - 3)], dtype=dtype)
    columns["day"] = pl.Series([date(1, 1, 1), date(9999, 12, 31), None, *[date(2026, 1, 1)] * (count - 3)])
    columns["days"] = pl.Series(range(-count // 2, count // 2), dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame(columns)
    properties = [{"name": name, "logicalType": "date" if name.startswith("day") else "integer"} for name in columns]
    path = tmp_path / "numbers.parquet"
    path.write_bytes(written(an_agreement(properties), frame))
    assert_frame_equal(pl.read_parquet(path), frame)
    assert_frame_equal(duckdb.sql(f"SELECT * FROM '{path}'").pl(), frame)
    encodings = pq.ParquetFile(path).metadata.row_group(0).column(0).encodings
    assert "DELTA_BINARY_PACKED" in encodings


@pytest.mark.parametrize("file_format", get_args(FileFormat))
def test_columns_stand_in_the_order_of_the_contract_in_whatever_order_they_come(file_format):
    rows = pl.DataFrame({"n": [1, 2], "s": ["a", "b"]})
    agreement, empty = an_agreement(COUNTED, format=file_format), rows.clear()
    assert written(agreement, rows.select("s", "n"), empty=empty) == written(agreement, rows, empty=empty)


@pytest.mark.parametrize("file_format", OPENED)
def test_csv_has_a_header_crlf_quotes_where_needed_and_tells_null_from_empty_text(file_format):
    rows = pl.DataFrame({"n": [1, None, 3], "s": ['a "b"\r\nc', None, ""]})
    content = OPENED[file_format](written(an_agreement(COUNTED, format=file_format), rows))
    assert content == b'n,s\r\n1,"a ""b""\r\nc"\r\n,\r\n3,""\r\n'


@pytest.mark.parametrize("file_format", OPENED)
def test_csv_without_rows_is_its_header(file_format):
    empty = pl.DataFrame(schema={"n": pl.Int64, "s": pl.String})
    content = written(an_agreement(COUNTED, format=file_format), empty=empty)
    assert OPENED[file_format](content) == b"n,s\r\n"


def test_the_header_of_gzip_holds_no_time_and_no_name():
    content = written(an_agreement(COUNTED, format="csv.gz"), pl.DataFrame({"n": [1], "s": ["a"]}))
    assert content[:4] == b"\x1f\x8b\x08\x00"  # magic, deflate, and no flag: no name, no comment
    assert content[4:8] == bytes(4)  # mtime


def test_every_format_says_what_it_is():
    assert set(CONTENT_TYPES) == set(get_args(FileFormat))
    assert len(set(CONTENT_TYPES.values())) == len(CONTENT_TYPES)


at = datetime.fromisoformat


def timed(**options):
    return {"name": "t", "logicalType": "timestamp", "logicalTypeOptions": options}


ROUND_TRIPS = {
    "date": ({"name": "t", "logicalType": "date"}, one({"name": "t"}, date(2026, 3, 1), None)),
    "date in a form": (
        {"name": "t", "logicalType": "date", "logicalTypeOptions": {"format": "dd-MM-yyyy"}},
        one({"name": "t"}, date(2026, 3, 1), None),
    ),
    "time": (
        {"name": "t", "logicalType": "time"},
        one({"name": "t"}, time(1, 2, 3), time(13, 45, 0, 500_000), time(0, 0, 0, 1), None),
    ),
    "timestamp": (timed(), one({"name": "t"}, at("2026-03-01T01:02:03.000004"), None)),
    "timestamp in a form": (
        timed(format="yyyyMMddHHmmss"),
        one({"name": "t"}, at("2026-03-01T01:02:03"), None),
    ),
    "timestamp with zone": (
        timed(timezone=True, defaultTimezone="Europe/Amsterdam"),
        one({"name": "t"}, at("2026-07-01T01:02:03"), None).select(
            pl.col("t").dt.replace_time_zone("Europe/Amsterdam")
        ),
    ),
    "timestamp with zone in a form": (
        timed(timezone=True, defaultTimezone="Europe/Amsterdam", format="yyyy-MM-dd HH:mm"),
        one({"name": "t"}, at("2026-07-01T01:02:00"), None).select(
            pl.col("t").dt.replace_time_zone("Europe/Amsterdam")
        ),
    ),
    "timestamp with offset in a form": (
        timed(timezone=True, defaultTimezone="Europe/Amsterdam", format="yyyy-MM-dd HH:mmXXX"),
        one({"name": "t"}, at("2026-10-25T00:30:00"), at("2026-10-25T01:30:00"), None).select(
            pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Amsterdam")
        ),
    ),
    "timestamp with an offset before it": (
        timed(timezone=True, defaultTimezone="Europe/Amsterdam", format="xx yyyyMMddHHmmss"),
        one({"name": "t"}, at("2026-10-25T00:30:00"), at("2026-10-25T01:30:00"), None).select(
            pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Amsterdam")
        ),
    ),
    "timestamp whose format alone says that it has a zone": (
        timed(format="yyyy-MM-dd HH:mmXXX", defaultTimezone="Europe/Amsterdam"),
        one({"name": "t"}, at("2026-10-25T00:30:00"), at("2026-10-25T01:30:00"), None).select(
            pl.col("t").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Amsterdam")
        ),
    ),
    "float": ({"name": "t", "logicalType": "number"}, one({"name": "t"}, 1.0, 1e-7, -1e300, 0.1, None)),
    "boolean": ({"name": "t", "logicalType": "boolean"}, one({"name": "t"}, True, False, None)),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_csv_is_read_back_by_the_contract_that_it_was_written_under(tmp_path, name):
    column, rows = ROUND_TRIPS[name]
    rows = rows.with_columns(n=pl.int_range(pl.len()))
    agreement = an_agreement([column, COUNTED[0]], format="csv")
    path = tmp_path / "t.csv"
    path.write_bytes(written(agreement, rows))
    plan = ExtractionPlan(planned_columns(compile_table(agreement.contract.table)), parse_filter(None), MARCH)
    lost = []
    found = pl.concat(FileSource("t", path).batches(plan, lambda *it: lost.append(it)))
    assert_frame_equal(found, rows)
    assert lost == []


ROWS_OF_ONE = [["a", None, "", None, "b\r\nc", None, None, 'd "e"', None], [None], [None] * 9, [""], ["a"]]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("values", ROWS_OF_ONE)
def test_the_nulls_of_a_table_of_one_column_are_read_back_wherever_the_pieces_are_cut(
    tmp_path, monkeypatch, values, end
):
    """Such a null is an empty line, and nothing else tells it."""
    agreement = an_agreement([COUNTED[1]], format="csv")
    rows = one(COUNTED[1], *values, dtype=pl.String)
    content = written(agreement, rows).replace(b"\r\n", end)
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    plan = ExtractionPlan(planned_columns(compile_table(agreement.contract.table)), parse_filter(None), MARCH)
    expected = rows.with_columns(pl.col("s").str.replace("\r\n", end.decode(), literal=True))
    for piece in range(16, max(17, len(content)) + 1):
        monkeypatch.setattr(flows.sources.text, "whole_rows", partial(whole_rows, piece=piece))
        assert_frame_equal(pl.concat(FileSource("t", path).batches(plan)), expected)


LOSSES = {
    "seconds in a form without them": (timed(format="yyyyMMddHHmm"), one({"name": "t"}, at("2026-03-01T01:02:03"))),
    "microseconds in a form of milliseconds": (
        timed(format="yyyy-MM-dd HH:mm:ss.SSS"),
        one({"name": "t"}, at("2026-03-01T01:02:03.000004")),
    ),
    "nanoseconds in a form of microseconds": (
        timed(format="yyyy-MM-dd HH:mm:ss.SSSSSS"),
        one({"name": "t"}, 1, dtype=pl.Datetime("ns")),
    ),
    "the hour that comes twice, without offset": (
        timed(timezone=True, defaultTimezone="Europe/Amsterdam", format="yyyyMMddHHmmss"),
        one({"name": "t"}, at("2026-10-25T01:30:00")).select(pl.col("t").dt.replace_time_zone("UTC")),
    ),
    "a time with fractions": (
        {"name": "t", "logicalType": "time", "logicalTypeOptions": {"format": "HH:mm:ss"}},
        one({"name": "t"}, time(1, 2, 3, 4)),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_moment_that_its_format_cannot_hold_refuses_the_delivery_and_is_not_told(name):
    column, rows = LOSSES[name]
    with pytest.raises(RowsInvalid, match=r"GLA-1: .* cannot hold in t \(1\)") as caught:
        written(an_agreement([column], format="csv.zst"), rows)
    assert "2026" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"timezone": True}, {"format": "yyyyMMddHHmmssSSSSSSSSS"}])
def test_csv_refuses_a_timestamp_that_is_finer_than_it_is_read_back(options):
    agreement = an_agreement([timed(**options)], format="csv")
    stored = pl.Datetime("ns", "UTC" if options.get("timezone") else None)
    assert b"000001000" in written(agreement, one({"name": "t"}, 1_000, None, dtype=stored))
    with pytest.raises(RowsInvalid, match=r"cannot hold in t \(2\)"):
        written(agreement, one({"name": "t"}, 1_001, 7, None, dtype=stored))


def test_fixed_width_without_rows_is_its_header_and_a_trailer_that_counts_none():
    empty = pl.DataFrame(schema={"n": pl.Int64, "s": pl.String})
    content = written(an_agreement(COUNTED, format="fixed", sums=["n"]), empty=empty)
    head, tail, nothing = content.split(b"\r\n")
    assert (head[:1], tail, nothing) == (b"V", b"S" + b"0" * 15 + b"+" + b"0" * 31, b"")


@pytest.mark.parametrize("name", LOSSES)
def test_fixed_width_refuses_the_same_moments(name):
    column, rows = LOSSES[name]
    with pytest.raises(RowsInvalid, match=r"do not fit into their field in t \(1\)") as caught:
        written(an_agreement([column], format="fixed"), rows)
    assert "2026" not in str(caught.value)


FITTING = {"minimum": 0, "maximum": 9.99, "multipleOf": 0.01}
MISFITS = {
    "a decimal too many": pl.Series(["1.005"]).cast(pl.Decimal(10, 3)),
    "a digit too many": pl.Series(["10.00"]).cast(pl.Decimal(10, 2)),
    "a float that is too large": pl.Series([1e300]),
    "a float between two cents": pl.Series([1.005]),
    "a float of 32 bits between two cents": pl.Series([1.005], dtype=pl.Float32),
    "a float that is no number": pl.Series([float("nan")]),
    "below zero without a sign": pl.Series([-0.01]),
}


@pytest.mark.parametrize("name", MISFITS)
def test_fixed_width_refuses_a_number_that_does_not_fit(name):
    column = {"name": "c", "logicalType": "number", "logicalTypeOptions": FITTING}
    rows = pl.DataFrame({"c": pl.concat([MISFITS[name], pl.Series([None], dtype=MISFITS[name].dtype)])})
    with pytest.raises(RowsInvalid, match=r"c \(1\)"):
        written(an_agreement([column], format="fixed"), rows)


def test_fixed_width_rounds_no_float_however_large():
    options = {"minimum": 0, "maximum": 10**14, "multipleOf": 0.01}
    agreement = an_agreement([{"name": "c", "logicalType": "number", "logicalTypeOptions": options}], format="fixed")
    with pytest.raises(RowsInvalid, match=r"c \(1\)"):
        written(agreement, pl.DataFrame({"c": [5_629_499_534_213.125, 12.34]}))
    content = written(agreement, pl.DataFrame({"c": pl.Series([12.34, 0.1], dtype=pl.Float32)}))
    assert [line[1:] for line in content.split(b"\r\n")[1:3]] == [b"000000000000012.34", b"000000000000000.10"]


def test_fixed_width_adds_up_more_than_64_bits():
    column = {"name": "n", "logicalType": "integer", "logicalTypeOptions": {"format": "i64"}}
    rows = one(column, 2**63 - 1, 2**63 - 1, None)
    content = written(an_agreement([column], format="fixed", sums=["n"]), rows, rows)
    assert content.endswith(b"+" + str(4 * (2**63 - 1)).zfill(31).encode() + b"\r\n")
