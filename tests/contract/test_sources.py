"""Every kind of source keeps the same promises: exactly the planned columns and rows, of one state, in one order."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import flows.sources.base
from core.errors import GlaError, SourceColumnMissing, SourceUnavailable, UnusableInput
from core.period import Period
from flows.sources.plan import ExtractionPlan, PlannedColumn
from schemas.filters import parse_filter
from tests.source_worlds import Bucket, Csv, Dataset, DuckDb, ParquetFile, ParquetFolder, Postgres, Sqlite, World

JANUARY = Period.parse("2026-01")


def moment(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - a column without time zones


FRAME = pl.DataFrame(
    {
        "n": [1, 2, 3, None, -(2**62)],
        "small": pl.Series([1, 2, 32767, None, -32768], dtype=pl.Int16),
        "amount": pl.Series(
            [Decimal("0.10"), Decimal("1234567890.12"), Decimal("-5.00"), None, Decimal("0.11")],
            dtype=pl.Decimal(12, 2),
        ),
        "ratio": [0.5, 1.5, -0.25, None, 1e300],
        "s": ["a", "B", 'é "quoted", \\ and\nmore', None, ""],
        "flag": [True, False, True, None, False],
        "d": [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 31), None, date(2026, 2, 1)],
        "t": [
            moment(2025, 12, 31, 23, 59, 59),
            moment(2026, 1, 1),
            moment(2026, 1, 31, 23, 59, 59, 999_999),
            None,
            moment(2026, 2, 1),
        ],
        "z": pl.Series(
            [
                datetime(2025, 12, 31, 23, 59, tzinfo=UTC),
                datetime(2026, 1, 1, tzinfo=UTC),
                datetime(2026, 1, 31, 23, 59, tzinfo=UTC),
                None,
                datetime(2026, 2, 1, tzinfo=UTC),
            ],
            dtype=pl.Datetime("us", "UTC"),
        ),
        "clock": [time(0), time(10, 11, 12), time(23, 59, 59), None, time(12)],
        "day_text": ["20251231", "20260101", "20260131", None, "20260201"],
        "Odd \"name'; --": ["SECRET"] * 5,
    }
)
NUMBERS = pl.DataFrame({"n": range(2500), "s": [f"row {number}" for number in range(2500)]})


FILES = {
    "parquet": ParquetFile, "folder": ParquetFolder, "dataset": Dataset, "csv": Csv, "duckdb": DuckDb, "sqlite": Sqlite,
}  # fmt: skip


@pytest.fixture(params=[*FILES, "s3", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param in FILES:
        made: World = FILES[request.param](tmp_path)
        return made
    if request.param == "s3":
        return Bucket(tmp_path, request.getfixturevalue("s3"))
    server = request.getfixturevalue("postgresql_server")
    return Postgres(server, server.create_database())


def plan(frame: pl.DataFrame, *conditions: dict, names: list[str] | None = None, **renamed: str) -> ExtractionPlan:
    """The named columns (or all), and others under a new name."""
    pairs = [(name, name) for name in (frame.columns if names is None else names)]
    pairs += [(source, name) for name, source in renamed.items()]
    columns = tuple(PlannedColumn(source, name, _as_text(frame.schema[source])) for source, name in pairs)
    return ExtractionPlan(columns, parse_filter(list(conditions)), JANUARY)


def _as_text(dtype: pl.DataType) -> pl.DataType:
    """What the contract makes of text: it has no decimals."""
    return pl.Float64() if isinstance(dtype, pl.Decimal) else dtype


def read(world: World, a_plan: ExtractionPlan) -> pl.DataFrame:
    frames = list(world.source.batches(a_plan))
    return pl.concat(frames) if frames else pl.DataFrame()


def expected(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(dtype).cast(stored) for dtype, stored in world.stores_as.items())


def where(column: str, operator: str, **more: object) -> dict[str, object]:
    return {"column": column, "operator": operator} | more


def test_values_of_every_type_are_read_as_they_are(world: World) -> None:
    world.create(FRAME)
    frame = read(world, plan(FRAME))
    wanted = expected(world, FRAME)
    if not world.source.untyped():
        assert world.source.schema() == dict(wanted.schema)
    assert_frame_equal(frame, wanted)


def test_only_planned_columns_are_read_under_their_delivered_names(world: World) -> None:
    world.create(FRAME)
    frame = read(world, plan(FRAME, names=["s"], number="n", again="n"))
    assert frame.to_dict(as_series=False) == {
        "s": FRAME["s"].to_list(),
        "number": FRAME["n"].to_list(),
        "again": FRAME["n"].to_list(),
    }


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ([where("n", "equals", value=1)], [0]),
        ([where("n", "notEquals", value=1)], [1, 2, 4]),  # null is not certainly different
        ([where("n", "lessThan", value=2)], [0, 4]),
        ([where("n", "lessOrEqualTo", value=2)], [0, 1, 4]),
        ([where("n", "greaterThan", value=2)], [2]),
        ([where("n", "greaterOrEqualTo", value=2)], [1, 2]),
        ([where("n", "in", value=[1, 3, 99, 2**70])], [0, 2]),
        ([where("n", "in", value=[2**70])], []),
        ([where("n", "lessThan", value=2**70)], [0, 1, 2, 4]),
        ([where("n", "greaterThan", value=2**70)], []),
        ([where("n", "isNull")], [3]),
        ([where("n", "isNotNull")], [0, 1, 2, 4]),
        ([where("small", "greaterThan", value=40_000)], []),
        ([where("small", "lessThan", value=40_000)], [0, 1, 2, 4]),
        ([where("small", "equals", value=32767)], [2]),
        ([where("amount", "equals", value=0.1)], [0]),
        ([where("amount", "greaterThan", value=0.1)], [1, 4]),
        ([where("amount", "lessThan", value=0.105)], [0, 2]),
        ([where("amount", "equals", value=0.105)], []),
        ([where("amount", "notEquals", value=0.105)], [0, 1, 2, 4]),
        ([where("amount", "greaterThan", value=-5)], [0, 1, 4]),
        ([where("amount", "in", value=[0.1, -5, 7.123])], [0, 2]),
        ([where("ratio", "greaterThan", value=0)], [0, 1, 4]),
        ([where("ratio", "in", value=[0.5, 1e300])], [0, 4]),
        ([where("ratio", "in", value=[2, 1.5])], [1]),
        ([where("s", "equals", value="")], [4]),
        ([where("s", "equals", value='é "quoted", \\ and\nmore')], [2]),
        ([where("s", "equals", value="' OR 1=1 --")], []),
        ([where("s", "notEquals", value="a")], [1, 2, 4]),
        ([where("s", "lessThan", value="a")], [1, 4]),  # by code point: B is before a
        ([where("s", "greaterThan", value="z")], [2]),
        ([where("s", "in", value=["a", 'é "quoted", \\ and\nmore', "{}", ""])], [0, 2, 4]),
        ([where("flag", "equals", value=True)], [0, 2]),
        ([where("flag", "in", value=[False])], [1, 4]),
        ([where("d", "equals", value="2026-01-01")], [1]),
        ([where("d", "in", value=["2026-01-01", "2026-02-01"])], [1, 4]),
        ([where("d", "greaterOrEqualTo", bound="period.start"), where("d", "lessThan", bound="period.end")], [1, 2]),
        ([where("t", "greaterOrEqualTo", bound="period.start"), where("t", "lessThan", bound="period.end")], [1, 2]),
        ([where("t", "equals", value="2026-01-31T23:59:59.999999")], [2]),
        ([where("t", "in", value=["2026-01-01T00:00:00"])], [1]),
        ([where("z", "greaterOrEqualTo", bound="period.start"), where("z", "lessThan", bound="period.end")], [1, 2]),
        ([where("z", "in", value=["2026-01-01T00:00:00"])], [1]),
        ([where("day_text", "lessThan", bound="period.end", format="yyyyMMdd")], [0, 1, 2]),
        ([where("n", "greaterThan", value=0), where("s", "isNotNull"), where("flag", "equals", value=False)], [1]),
        ([where("Odd \"name'; --", "equals", value="SECRET"), where("n", "equals", value=3)], [2]),
    ],
)
def test_a_filter_keeps_the_same_rows_everywhere(world: World, conditions: list[dict], rows: list[int]) -> None:
    world.create(FRAME)
    columns = ["n", *(each["column"] for each in conditions)]
    frame = read(world, plan(FRAME, *conditions, names=list(dict.fromkeys(columns))))
    assert (frame["n"].to_list() if frame.width else []) == FRAME["n"].gather(rows).to_list()


@pytest.mark.parametrize("stored", ["UTC", "Europe/Amsterdam", "America/New_York"])
def test_the_contract_says_where_a_day_begins_and_not_the_source(world: World, stored: str) -> None:
    """In the Netherlands January begins at 23:00 UTC of the last day of December."""
    moments = pl.Series(
        "z",
        [
            datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC),
            datetime(2025, 12, 31, 23, tzinfo=UTC),
            datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC),
            datetime(2026, 1, 31, 23, tzinfo=UTC),
        ],
        dtype=pl.Datetime("us", "UTC"),
    )
    frame = pl.DataFrame([pl.Series("n", [0, 1, 2, 3]), moments.dt.convert_time_zone(stored)])
    world.create(frame)
    local = PlannedColumn("z", "moment", pl.Datetime("us", "Europe/Amsterdam"), zone="Europe/Amsterdam")
    month = [where("moment", "greaterOrEqualTo", bound="period.start"), where("moment", "lessThan", bound="period.end")]
    for conditions, rows in [
        (month, [1, 2]),
        ([where("moment", "equals", value="2026-01-01T00:00:00")], [1]),
        ([where("z", "in", value=["2026-01-31T23:59:59"])], [2]),
    ]:
        a_plan = ExtractionPlan((PlannedColumn("n", "n", pl.Int64()), local), parse_filter(conditions), JANUARY)
        assert read(world, a_plan)["n"].to_list() == rows
    if not world.source.untyped():
        without = ExtractionPlan(
            (PlannedColumn("n", "n", pl.Int64()),), parse_filter(month).renamed({"moment": "z"}), JANUARY
        )
        assert read(world, without)["n"].to_list() == [2, 3], "of a column that is not in the contract it is UTC"


def test_a_filter_may_use_a_column_that_is_not_delivered(world: World) -> None:
    world.create(FRAME)
    assert read(world, plan(FRAME, where("s", "equals", value="a"), names=["n"])).columns == ["n"]


def test_a_filter_of_another_type_is_refused(world: World) -> None:
    world.create(FRAME)
    with pytest.raises(UnusableInput, match="filter on n"):
        next(world.source.batches(plan(FRAME, where("n", "equals", value="1"), names=["n"])))


def test_a_missing_column_is_named_before_anything_is_read(world: World) -> None:
    world.create(FRAME)
    for absent in (plan(FRAME.with_columns(absent=1)), plan(FRAME, where("absent", "isNull"))):
        with pytest.raises(SourceColumnMissing, match="source src has no column absent"):
            next(world.source.batches(absent))


def test_a_renamed_column_is_missing_and_its_new_name_is_not_read_instead(world: World) -> None:
    world.create(FRAME.rename({"s": "S"}))
    with pytest.raises(SourceColumnMissing, match="source src has no column s"):
        next(world.source.batches(plan(FRAME, names=["s"])))


def test_a_table_that_is_gone_is_unavailable(world: World) -> None:
    world.create(FRAME)
    world.drop()
    for ask in (world.source.schema, lambda: list(world.source.batches(plan(FRAME)))):
        with pytest.raises(SourceUnavailable, match="source src") as caught:
            ask()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_a_changed_type_is_read_as_what_it_is_now_and_never_converted(world: World) -> None:
    world.create(FRAME.with_columns(pl.col("n").cast(pl.String)))
    if "n" in world.source.untyped():
        assert read(world, plan(FRAME, names=["n"]))["n"].to_list() == FRAME["n"].to_list()
    else:
        assert world.source.schema()["n"] == pl.String
        assert read(world, plan(FRAME, names=["n"]))["n"].to_list() == FRAME["n"].cast(pl.String).to_list()


def test_an_empty_table_has_a_schema_and_no_frames(world: World) -> None:
    world.create(FRAME.clear())
    assert list(world.source.schema()) == FRAME.columns
    assert list(world.source.batches(plan(FRAME))) == []


def test_frames_have_one_size_and_rows_the_order_in_which_they_are_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 1000)
    world.create(NUMBERS)
    for _ in range(2):
        frames = list(world.source.batches(plan(NUMBERS)))
        assert [frame.height for frame in frames] == [1000, 1000, 500]
        assert_frame_equal(pl.concat(frames), NUMBERS)


def test_reading_can_stop_early(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 1000)
    world.create(NUMBERS)
    frames = world.source.batches(plan(NUMBERS))
    assert next(frames).height == 1000
    frames.close()  # type: ignore[attr-defined]
    assert read(world, plan(NUMBERS)).height == 2500


def test_rows_that_arrive_while_reading_are_not_seen_or_end_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 1000)
    world.create(NUMBERS)
    frames = world.source.batches(plan(NUMBERS))
    rows = next(frames).height
    world.append(NUMBERS.with_columns(pl.col("n") + 2500))
    if world.keeps_a_snapshot:
        assert rows + sum(frame.height for frame in frames) == 2500
    else:
        with pytest.raises(SourceUnavailable, match="changed while it was read"):
            list(frames)
    if isinstance(world, DuckDb):
        world.arrive()
    assert read(world, plan(NUMBERS)).height == 5000


def test_the_state_that_is_read_is_told_once_and_differs_after_a_change(world: World) -> None:
    told: list[str] = []
    world.create(NUMBERS)
    for _ in range(2):
        list(world.source.batches(plan(NUMBERS, names=["n"]), told=told.append))
    world.append(NUMBERS)
    list(world.source.batches(plan(NUMBERS, names=["n"]), told=told.append))
    assert len(told) == 3
    assert told[0] == told[1] != told[2]


def test_errors_show_no_data(world: World) -> None:
    world.create(FRAME)
    with pytest.raises(GlaError) as caught:
        list(world.source.batches(plan(FRAME, where("s", "equals", value=1))))
    assert "SECRET" not in str(caught.value)
