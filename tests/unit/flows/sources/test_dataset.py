"""Partitioned datasets: columns in the names of folders, typed by the contract, and folders that are never opened."""

from datetime import date, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest

from core.errors import RowsInvalid, SourceColumnMissing, SourceUnavailable, UnusableInput
from core.period import Period
from flows.sources.dataset import DatasetSource, LocalPlace
from flows.sources.files import FileSource
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.registry import Sources
from schemas.filters import parse_filter

MOMENT = datetime(2026, 3, 1)  # noqa: DTZ001 - without a time zone


def plan(rows=None, period=None, **types):
    columns = tuple(PlannedColumn(name, name, dtype) for name, dtype in types.items())
    return ExtractionPlan(columns, parse_filter(rows), period)


@pytest.fixture
def months(tmp_path):
    """Three months of two rows each, and what another program left beside them."""
    for number, month in enumerate(["2026-01-01", "2026-02-01", "__HIVE_DEFAULT_PARTITION__"]):
        folder = tmp_path / "data" / f"month={month}" / f"code=0{number}%2Fx"
        folder.mkdir(parents=True)
        pl.DataFrame({"n": [number * 2, number * 2 + 1]}).write_parquet(folder / "part.parquet")
    (tmp_path / "data" / "_SUCCESS").write_text("")
    return tmp_path / "data"


@pytest.fixture
def source(months):
    return DatasetSource("src", LocalPlace(months))


def read(source, a_plan, **more):
    frames = list(source.batches(a_plan, **more))
    return pl.concat(frames).to_dict(as_series=False) if frames else {}


def test_keys_are_text_that_the_contract_types(source):
    assert source.schema() == {"n": pl.Int64(), "month": pl.String(), "code": pl.String()}
    assert source.untyped() == {"month", "code"}
    assert source.draft_schema() == {"n": pl.Int64(), "month": pl.Date(), "code": pl.String()}
    assert read(source, plan(n=pl.Int64(), month=pl.Date(), code=pl.String())) == {
        "n": [0, 1, 2, 3, 4, 5],
        "month": [date(2026, 1, 1)] * 2 + [date(2026, 2, 1)] * 2 + [None] * 2,
        "code": ["00/x"] * 2 + ["01/x"] * 2 + ["02/x"] * 2,
    }


def test_a_folder_that_the_filter_leaves_out_is_not_opened(source, months):
    for path in (months / "month=2026-02-01").rglob("*.parquet"):
        path.write_bytes(b"SECRET")
    rows = [
        {"column": "month", "operator": "greaterOrEqualTo", "bound": "period.start"},
        {"column": "month", "operator": "lessThan", "bound": "period.end"},
        {"column": "n", "operator": "greaterThan", "value": 0},
    ]
    assert read(source, plan(rows, Period.parse("2026-01"), n=pl.Int64(), month=pl.Date()))["n"] == [1]
    with pytest.raises(SourceUnavailable, match="is damaged") as caught:
        read(source, plan(n=pl.Int64()))
    assert caught.value.__context__ is None


def test_a_filter_on_a_key_that_is_not_delivered_compares_text(source):
    rows = [{"column": "code", "operator": "in", "value": ["00/x", "02/x"]}]
    assert read(source, plan(rows, n=pl.Int64()))["n"] == [0, 1, 4, 5]
    rows = [{"column": "month", "operator": "isNull"}]
    assert read(source, plan(rows, n=pl.Int64()))["n"] == [4, 5]
    with pytest.raises(UnusableInput, match="filter on month"):
        read(
            source,
            plan(
                [{"column": "month", "operator": "lessThan", "bound": "period.end"}], Period.parse("2026"), n=pl.Int64()
            ),
        )


def test_only_keys_can_be_delivered(source):
    assert read(source, plan(code=pl.String()))["code"] == ["00/x"] * 2 + ["01/x"] * 2 + ["02/x"] * 2


def test_a_key_that_is_not_of_its_type_is_counted(source):
    lost = {}
    frame = read(source, plan(code=pl.Int64(), n=pl.Int64()), unreadable=lost.__setitem__)
    assert frame["code"] == [None] * 6
    assert lost == {"code": 3}
    with pytest.raises(RowsInvalid, match="column code has 3 values"):
        read(source, plan(code=pl.Int64()))


def test_a_missing_key_is_a_missing_column(source):
    with pytest.raises(SourceColumnMissing, match="no column year"):
        read(source, plan(year=pl.Int64()))


@pytest.mark.parametrize(
    "folder", ["year=2026/code=1", "month=2026-03-01", "month=2026-03-01/code=1/more=1", "loose", "month=1/month=2"]
)
def test_folders_that_differ_in_their_keys_are_refused(source, months, folder):
    (months / folder).mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"n": [1]}).write_parquet(months / folder / "part.parquet")
    with pytest.raises(SourceUnavailable, match="no dataset"):
        source.schema()


def test_every_parquet_file_is_read_however_its_ending_is_written_and_what_is_unfinished_is_not(source, months):
    code = months / "month=2026-01-01" / "code=00%2Fx"
    (months / "_temporary" / "0").mkdir(parents=True)
    for folder in (code, months / "_temporary" / "0"):
        pl.DataFrame({"n": [9]}).write_parquet(folder / "a.PARQUET")
    assert read(source, plan(n=pl.Int64()))["n"] == [9, 0, 1, 2, 3, 4, 5]


def test_a_link_to_a_folder_is_refused_and_not_left_out(source, months, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (months / "month=2026-03-01").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceUnavailable, match="no dataset"):
        source.schema()


def test_a_column_that_is_in_the_files_too_is_refused(source, months):
    for path in months.rglob("*.parquet"):
        pl.DataFrame({"n": [1], "code": ["other"]}).write_parquet(path)
    with pytest.raises(SourceUnavailable, match="no dataset"):
        source.schema()


def test_files_that_differ_in_type_are_refused(source, months):
    path = months / "month=2026-02-01" / "code=01%2Fx" / "part.parquet"
    pl.DataFrame({"n": ["text"]}).write_parquet(path)
    with pytest.raises(SourceUnavailable):
        read(source, plan(n=pl.Int64()))


def as_struct(values):
    return values.to_frame("at").to_struct()


@pytest.mark.parametrize(
    "within", [lambda values: values, as_struct, lambda values: values.reshape((-1, 1)).arr.to_list()]
)
@pytest.mark.parametrize("zones", [(None, "UTC"), ("UTC", None)])
@pytest.mark.parametrize("kind", ["folder", "verified", "dataset"])
def test_files_with_and_without_a_time_zone_are_not_read_as_if_of_one_type(tmp_path, kind, zones, within):
    """Polars makes one column of them, which says of all moments what is true of those in the first file."""
    folder = tmp_path / "data" / "part=1"
    folder.mkdir(parents=True)
    for number, zone in enumerate(zones):
        moments = pl.Series("x", [MOMENT] * 2).dt.replace_time_zone(zone)
        pl.DataFrame({"n": [number] * 2, "x": within(moments)}).write_parquet(folder / f"{number}.parquet")
    made = {
        "folder": FileSource("src", folder),
        "verified": FileSource("src", folder, verify=True),
        "dataset": DatasetSource("src", LocalPlace(tmp_path / "data")),
    }[kind]
    rows = [{"column": "x", "operator": "isNotNull"}]
    for a_plan in (plan(x=pl.Datetime()), plan(rows, n=pl.Int64())):
        with pytest.raises(SourceUnavailable, match="column x with a time zone in one file and without in another"):
            read(made, a_plan)
    assert read(made, plan(n=pl.Int64()))["n"] == [0, 0, 1, 1]


def test_a_file_in_which_a_moment_is_never_known_is_read(tmp_path):
    pl.DataFrame({"x": [MOMENT]}).write_parquet(tmp_path / "0.parquet")
    pl.DataFrame({"x": [None]}).write_parquet(tmp_path / "1.parquet")
    assert read(FileSource("src", tmp_path), plan(x=pl.Datetime()))["x"] == [MOMENT, None]


def test_a_folder_without_files_has_nothing_to_offer(tmp_path):
    with pytest.raises(SourceUnavailable, match="no Parquet files"):
        DatasetSource("src", LocalPlace(tmp_path)).schema()


def test_a_folder_is_known_as_a_dataset_by_its_subfolders(months, tmp_path):
    sources = Sources(tmp_path / "config")
    sources.add("src", str(months))
    assert "month" in sources.get("src").schema()


@pytest.mark.parametrize("kind", ["file", "verified", "dataset"])
def test_bytes_of_other_columns_are_not_read(tmp_path, kind):
    folder = tmp_path / "data" / "part=1"
    folder.mkdir(parents=True)
    path = folder / "x.parquet"
    frame = pl.DataFrame(
        {"n": range(50_000), "secret": [f"geheim-{n}" for n in range(50_000)], "d": [date(2026, 1, 1)] * 50_000}
    )
    frame.write_parquet(path, row_group_size=10_000)
    a_plan = plan([{"column": "d", "operator": "isNotNull"}], n=pl.Int64())
    made = {
        "file": FileSource("src", path),
        "verified": FileSource("src", path, verify=True),
        "dataset": DatasetSource("src", LocalPlace(tmp_path / "data")),
    }[kind]
    before = read(made, a_plan)
    content = bytearray(path.read_bytes())
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(1)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(SourceUnavailable):
        read(made, plan(secret=pl.String()))
    assert read(made, a_plan) == before
    assert len(before["n"]) == 50_000
