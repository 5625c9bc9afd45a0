"""Two readers of Parquet give the same frames; neither loses rows of a damaged file, nor ends the process."""

import io
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from core.errors import SourceUnavailable
from flows.sources import base as base_module
from flows.sources.files import ExtractionPlan, FileSource, PlannedColumn
from schemas.filters import parse_filter
from tests.fuzz import parquet_lies as lies

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 123000)  # noqa: DTZ001 - columns may have no zone
FRAME = pl.DataFrame(
    {
        "i8": pl.Series([1, None], dtype=pl.Int8),
        "u64": pl.Series([2**63, None], dtype=pl.UInt64),
        "i64": [-1, None],
        "f32": pl.Series([1.5, None], dtype=pl.Float32),
        "f64": [1.5, float("nan")],
        "b": [True, None],
        "s": ["text", ""],
        "bin": [b"\xff", None],
        "d": [date(2026, 1, 2), None],
        "t": [time(1, 2, 3), None],
        "ms": pl.Series([MOMENT, None], dtype=pl.Datetime("ms")),
        "ns": pl.Series([MOMENT, None], dtype=pl.Datetime("ns")),
        "zone": pl.Series([MOMENT, None], dtype=pl.Datetime("us")).dt.replace_time_zone("Europe/Amsterdam"),
        "dur": [timedelta(1), None],
        "dec": pl.Series([Decimal("1.25"), None], dtype=pl.Decimal(10, 2)),
        "cat": pl.Series(["a", None], dtype=pl.Categorical),
        "enum": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
        "list": [["a", "b"], None],
        "struct": [{"a": 1, "b": "x"}, None],
        "nested": [[{"a": [1]}], None],
        "null": pl.Series([None, None], dtype=pl.Null),
    }
)


def plan(*names, filter_=None):
    return ExtractionPlan(tuple(PlannedColumn(each, each, pl.Int64()) for each in names), parse_filter(filter_ or []))


def read(path, a_plan, *, verify):
    frames = list(FileSource("src", path, verify).batches(a_plan))
    return pl.concat(frames) if frames else None


@pytest.mark.parametrize("writer", ["polars", "arrow"])
def test_both_give_the_same_frames_of_every_type(tmp_path, writer):
    path = tmp_path / "data.parquet"
    pq.write_table(FRAME.to_arrow(), path) if writer == "arrow" else FRAME.write_parquet(path)
    fast, verified = (read(path, plan(*FRAME.columns), verify=verify) for verify in (False, True))
    assert_frame_equal(fast, verified)
    assert_frame_equal(fast, FRAME.with_columns(pl.col("cat", "enum").cast(pl.String)))
    assert FileSource("src", path).schema() == dict(fast.schema)


def test_both_filter(tmp_path):
    path = tmp_path / "data.parquet"
    pl.DataFrame({"n": range(1000), "s": [f"x{at % 7}" for at in range(1000)]}).write_parquet(path, row_group_size=100)
    where = [
        {"column": "n", "operator": "greaterThan", "value": 500},
        {"column": "s", "operator": "in", "value": ["x1"]},
    ]
    fast, verified = (read(path, plan("n", filter_=where), verify=verify) for verify in (False, True))
    assert_frame_equal(fast, verified)
    assert 0 < fast.height < 100


def test_a_folder_of_files(tmp_path):
    for at in range(3):
        pl.DataFrame({"n": [at], "s": [str(at)]}).write_parquet(tmp_path / f"{at}.parquet")
    assert read(tmp_path, plan("s"), verify=True)["s"].to_list() == ["0", "1", "2"]
    pl.DataFrame({"n": [3], "s": [3]}).write_parquet(tmp_path / "3.parquet")
    for verify in (False, True):
        with pytest.raises(SourceUnavailable):
            read(tmp_path, plan("s"), verify=verify)


def test_who_stops_early_leaves_no_thread_behind(tmp_path, recwarn):
    path = tmp_path / "data.parquet"
    pl.DataFrame({"n": range(100_000)}).write_parquet(path, row_group_size=1000)
    from threading import enumerate as threads

    frames = FileSource("src", path)._frames(plan("n"), {"n": pl.Int64()}, lambda *_: None)
    assert next(frames).height
    frames.close()
    assert "parquet" not in [each.name for each in threads()]


def test_long_texts_make_smaller_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(base_module, "BATCH_BYTES", 1 << 20)
    path = tmp_path / "data.parquet"
    pl.DataFrame({"s": [f"{at}" + "x" * 50_000 for at in range(500)]}).write_parquet(path, row_group_size=20)
    frames = list(FileSource("src", path, verify=True).batches(plan("s")))
    assert len(frames) > 5
    assert pl.concat(frames)["s"].str.len_bytes().sum() == 500 * 50_000 + sum(len(str(at)) for at in range(500))


def one_page(values):
    sink = io.BytesIO()
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    pq.write_table(pa.table({"n": values}), sink, **plain, write_page_checksum=True)
    return sink.getvalue()


INT32 = one_page(pa.array(range(1000), pa.int32()))
INT64 = one_page(pa.array(range(1000), pa.int64()))


def said_to_be_int64(footer):
    lies.put(footer[lies.SCHEMA][1][1], lies.ELEMENT_TYPE, 2)
    lies.put(lies.column(footer), lies.TYPE, 2)


def no_values(footer):
    lies.put(lies.column(footer), lies.NUM_VALUES, 0)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lies.with_footer(INT32, said_to_be_int64), id="shorter pages than said"),
        pytest.param(lies.with_footer(INT64, no_values), id="fewer values than rows"),
    ],
)
def test_a_reader_that_panics_is_no_end_of_the_data(tmp_path, data, verify):
    """Polars' `collect_batches` took a panic in one of its threads for the end, and gave no rows."""
    path = tmp_path / "data.parquet"
    path.write_bytes(data)
    with pytest.raises(SourceUnavailable) as caught:
        read(path, plan("n"), verify=verify)
    assert caught.value.__context__ is None


def test_a_flipped_bit_is_found_where_pages_have_checksums(tmp_path):
    path = tmp_path / "data.parquet"
    flipped = bytearray(INT64)
    flipped[lies.column(lies.footer_of(INT64))[lies.DATA_OFFSET][1] + 200] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(SourceUnavailable):
        read(path, plan("n"), verify=True)


@pytest.mark.parametrize("levels", [200, 20_000])
def test_a_schema_of_very_many_levels_is_no_stack_overflow(tmp_path, levels):
    def bury(footer):
        elements = footer[lies.SCHEMA][1]
        group = {lies.ELEMENT_REPETITION: (lies.I32, 0), lies.ELEMENT_NAME: (lies.BINARY, b"a")}
        elements[1:1] = [group | {lies.ELEMENT_CHILDREN: (lies.I32, 1)}] * levels

    path = tmp_path / "data.parquet"
    path.write_bytes(lies.with_footer(INT64, bury))
    with pytest.raises(SourceUnavailable):
        FileSource("src", path).schema()
