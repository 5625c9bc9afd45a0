"""Whatever the contract allows comes back from a fixed-width file by the page that describes it, or is refused."""

from __future__ import annotations

import datetime as dt
import io
import string
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RowsInvalid
from core.period import Period
from flows.steps.formats import row_format
from flows.steps.staging import DigestingWriter
from tests.agreements import an_agreement
from tests.fixed_reader import FixedFile, read, width_of
from tests.soak import examples

MARCH = Period.parse("2026-03")
LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"))
MOST_IN_JSON = 2**53 - 1
Made = tuple[dict[str, Any], st.SearchStrategy[Any], Any]


@st.composite
def texts(draw: st.DrawFn, name: str) -> Made:
    longest, required = draw(st.integers(1, 12)), draw(st.booleans())
    column = {"name": name, "logicalType": "string", "logicalTypeOptions": {"maxLength": longest}, "required": required}
    value = st.text(LETTERS, min_size=0 if required else 1, max_size=longest).filter(lambda it: not it.endswith(" "))
    return column, value if required else st.none() | value, pl.String


@st.composite
def integers(draw: st.DrawFn, name: str) -> Made:
    low, high = sorted(draw(st.tuples(*[st.integers(-MOST_IN_JSON, MOST_IN_JSON) | st.integers(-99, 99)] * 2)))
    options, low, high, dtype = draw(
        st.sampled_from([
            ({"minimum": low, "maximum": high}, low, high, pl.Int64),
            ({"format": "i64"}, -(2**63), 2**63 - 1, pl.Int64),
            ({"format": "u64"}, 0, 2**64 - 1, pl.UInt64),
            ({"format": "i8"}, -128, 127, pl.Int32),
        ])
    )  # fmt: skip
    column = {"name": name, "logicalType": "integer", "logicalTypeOptions": options}
    return column, _or_null(st.integers(low, high)), dtype


@st.composite
def decimals(draw: st.DrawFn, name: str) -> Made:
    places = draw(st.integers(0, 4))
    low, high = sorted(draw(st.tuples(*[st.integers(-(10**6), 10**6)] * 2)))
    options = {"minimum": low, "maximum": high, "multipleOf": float(Decimal(1).scaleb(-places))}
    units = st.integers(low * 10**places, high * 10**places)
    kind = draw(st.sampled_from([pl.Float64, pl.Decimal(20, places), pl.Decimal(20, places + 2)]))
    value = units.map(lambda it: Decimal(it).scaleb(-places))
    return {"name": name, "logicalType": "number", "logicalTypeOptions": options}, _or_null(value), kind


@st.composite
def moments(draw: st.DrawFn, name: str) -> Made:
    kind, form, value, dtype = draw(
        st.sampled_from([
            ("date", None, st.dates(), pl.Date),
            ("date", "dd-MM-yyyy", st.dates(), pl.Date),
            ("timestamp", "yyyyMMddHHmmssSSSSSS", st.datetimes(), pl.Datetime("us")),
            ("timestamp", "yyyy-MM-dd HH:mm", st.datetimes().map(_whole_minutes), pl.Datetime("us")),
            ("time", "HH:mm:ss", st.times().map(lambda it: it.replace(microsecond=0)), pl.Time),
        ])
    )  # fmt: skip
    options = {"logicalTypeOptions": {"format": form}} if form else {}
    return {"name": name, "logicalType": kind} | options, _or_null(value), dtype


def booleans(name: str) -> st.SearchStrategy[Made]:
    return st.just(({"name": name, "logicalType": "boolean"}, _or_null(st.booleans()), pl.Boolean))


def _or_null(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value


def _whole_minutes(moment: dt.datetime) -> dt.datetime:
    return moment.replace(second=0, microsecond=0)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], pl.DataFrame]:
    kinds = draw(st.lists(st.sampled_from([texts, integers, decimals, moments, booleans]), min_size=1, max_size=6))
    made = [draw(kind(letter)) for kind, letter in zip(kinds, string.ascii_lowercase, strict=False)]
    height = draw(st.integers(0, 5))
    series = []
    for column, value, dtype in made:
        values = draw(st.lists(value, min_size=height, max_size=height))
        held = [float(each) if dtype == pl.Float64 and each is not None else each for each in values]
        series.append(pl.Series(column["name"], held, dtype=dtype))
    return [column for column, _, _ in made], pl.DataFrame(series)


def written(columns: list[dict[str, Any]], *frames: pl.DataFrame, sums: list[str] | None = None) -> bytes:
    target = io.BytesIO()
    agreement = an_agreement(columns, format="fixed", sums=sums or [])
    form = row_format(agreement, MARCH, frames[0].clear())
    with form.open(DigestingWriter(target)) as writer:
        for frame in frames:
            writer.write(form.encode(frame))
    return target.getvalue()


def expected(columns: list[dict[str, Any]], frame: pl.DataFrame) -> list[dict[str, Any]]:
    rows = frame.to_dicts()
    for column in columns:
        if column["logicalType"] == "number":
            step = Decimal(str(column["logicalTypeOptions"]["multipleOf"]))
            for row in rows:
                value = row[column["name"]]
                row[column["name"]] = None if value is None else round(Decimal(value) / step) * step
    return rows


@settings(max_examples=examples(100, soak=6_000), deadline=None)
@given(tables(), st.integers(0, 5))
def test_what_is_written_is_read_back_by_who_only_read_the_page(
    made: tuple[list[dict[str, Any]], pl.DataFrame], cut: int
) -> None:
    columns, frame = made
    sums = [column["name"] for column in columns if column["logicalType"] == "integer"]
    content = written(columns, frame.head(cut), frame.slice(cut), sums=sums)
    found = read(content, columns)
    assert found == FixedFile("GLA-1", "20260301", "20260331", expected(columns, frame), found.sums)
    assert found.sums == [sum(value for value in frame[name].to_list() if value is not None) for name in sums]
    assert content == written(columns, frame, sums=sums)  # in whatever pieces the rows were read


@settings(max_examples=examples(150, soak=6_000), deadline=None)
@given(st.lists(st.text(max_size=6) | st.sampled_from(["a ", "", "\x85", "a\r\nG", "\u2028", "é" * 4]), max_size=4))
def test_any_text_comes_back_as_it_was_or_is_refused(values: list[str]) -> None:
    column = {"name": "s", "logicalType": "string", "logicalTypeOptions": {"maxLength": 4}}
    frame = pl.DataFrame({"s": pl.Series(values, dtype=pl.String)})
    bad = [it for it in values if len(it) > 4 or it[-1:] in ("", " ") or any(_ends_lines(each) for each in it)]
    if bad:
        with pytest.raises(RowsInvalid, match=rf"s \({len(bad)}\)"):
            written([column], frame)
    else:
        assert [row["s"] for row in read(written([column], frame), [column]).rows] == values


def _ends_lines(letter: str) -> bool:
    return letter < " " or "\x7f" <= letter <= "\x9f" or letter in "\u2028\u2029"


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1200, 1200), max_size=4), st.booleans())
def test_any_number_comes_back_as_it_was_or_is_refused(values: list[int], signed: bool) -> None:
    low = -999 if signed else 0
    column = {"name": "n", "logicalType": "integer", "logicalTypeOptions": {"minimum": low, "maximum": 999}}
    frame = pl.DataFrame({"n": pl.Series(values, dtype=pl.Int64)})
    bad = [value for value in values if not low <= value <= 999]
    if bad:
        with pytest.raises(RowsInvalid, match=rf"n \({len(bad)}\)"):
            written([column], frame)
    else:
        assert [row["n"] for row in read(written([column], frame), [column]).rows] == values


@settings(max_examples=examples(100), deadline=None)
@given(tables())
def test_the_width_of_a_record_is_the_one_that_follows_from_the_page(
    made: tuple[list[dict[str, Any]], pl.DataFrame],
) -> None:
    columns, frame = made
    records = written(columns, frame).decode().split("\r\n")[1:-2]
    assert {len(record) for record in records} <= {1 + sum(map(width_of, columns))}


def test_records_are_made_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    column = {"name": "n", "logicalType": "integer", "logicalTypeOptions": {"minimum": 0, "maximum": 9999}}
    frame = pl.DataFrame({"n": range(1000)})
    whole = written([column], frame)
    monkeypatch.setattr("flows.steps.formats.fixed._SLICE_BYTES", 100)
    sizes: list[int] = []
    original = DigestingWriter.write

    def watched(self: DigestingWriter, data: Any) -> int:
        sizes.append(len(memoryview(data).cast("B")))
        return original(self, data)

    monkeypatch.setattr(DigestingWriter, "write", watched)
    assert written([column], frame) == whole
    assert max(sizes[1:]) <= 100
