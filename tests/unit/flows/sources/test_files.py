"""Files as sources: exactly the planned columns and rows, in a stable order, one snapshot, errors without data."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl
import pytest

import flows.sources.base
import flows.sources.text
from core.errors import RowsInvalid, SourceColumnMissing, SourceUnavailable, UnusableInput
from core.period import Period
from flows.sources.dataset import DatasetSource, LocalPlace
from flows.sources.files import ExtractionPlan, FileSource, PlannedColumn
from flows.sources.plan import planned_columns
from schemas.compiler import compile_table
from schemas.filters import parse_filter
from schemas.table import Column, Table

FRAME = pl.DataFrame(
    {
        "n": [1, 2, 3],
        "d": [date(2026, 1, 5), date(2026, 2, 1), None],
        "s": ["x", "y", None],
        "secret": ["SECRET", "SECRET", "SECRET"],
    }
)
JANUARY = parse_filter(
    [
        {"column": "d", "operator": "greaterOrEqualTo", "bound": "period.start"},
        {"column": "d", "operator": "lessThan", "bound": "period.end"},
    ]
)


def plan(*names, rows=None, **renamed):
    columns = [PlannedColumn(name, name, pl.String()) for name in names]
    columns += [PlannedColumn(source, name, pl.String()) for name, source in renamed.items()]
    return ExtractionPlan(tuple(columns), rows or parse_filter([]), Period.parse("2026-01"))


def read(source, *args, **kwargs):
    return pl.concat(source.batches(*args, **kwargs))


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "p.parquet"
    FRAME.write_parquet(path)
    return FileSource("src", path)


def text_source(tmp_path, text):
    path = tmp_path / "c.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return FileSource("src", path)


def test_only_planned_columns_under_their_delivered_names(parquet):
    frame = read(parquet, plan("s", number="n"))
    assert frame.to_dict(as_series=False) == {"s": ["x", "y", None], "number": [1, 2, 3]}


def test_one_source_column_may_be_delivered_twice(parquet):
    assert read(parquet, plan(a="n", b="n")).columns == ["a", "b"]


def test_filter_may_use_a_column_that_is_not_delivered(parquet):
    assert read(parquet, plan("n", rows=JANUARY)).to_dict(as_series=False) == {"n": [1]}


def test_filter_names_the_delivered_column_before_a_source_column_of_that_name(parquet):
    rows = parse_filter([{"column": "s", "operator": "equals", "value": 2}])
    assert read(parquet, plan(s="n", rows=rows)).to_dict(as_series=False) == {"s": [2]}


def test_no_rows_gives_no_batches(parquet):
    rows = parse_filter([{"column": "n", "operator": "equals", "value": 9}])
    assert list(parquet.batches(plan("n", rows=rows))) == []


def test_missing_column_is_named_before_anything_is_read(parquet):
    with pytest.raises(SourceColumnMissing, match="source src has no column absent"):
        next(parquet.batches(plan("n", "absent")))
    rows = parse_filter([{"column": "gone", "operator": "isNull"}])
    with pytest.raises(SourceColumnMissing, match="gone"):
        next(parquet.batches(plan("n", rows=rows)))


def test_filter_of_another_type_is_refused(parquet):
    rows = parse_filter([{"column": "n", "operator": "equals", "value": "1"}])
    with pytest.raises(UnusableInput, match="filter on n"):
        next(parquet.batches(plan("n", rows=rows)))


def test_batches_have_one_size_and_the_order_of_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 1000)
    folder = tmp_path / "many"
    folder.mkdir()
    for part in range(7):
        numbers = pl.DataFrame({"n": range(part * 637, (part + 1) * 637)})
        numbers.write_parquet(folder / f"{part}.parquet", row_group_size=100)
    (folder / "readme.txt").write_text("SECRET")
    batches = list(FileSource("src", folder).batches(plan("n")))
    assert [batch.height for batch in batches] == [1000, 1000, 1000, 1000, 459]
    assert pl.concat(batches)["n"].to_list() == list(range(4459))


def test_every_parquet_file_of_a_folder_is_read_however_its_ending_is_written(tmp_path):
    for name in ("a.parquet", "b.PARQUET", "c.Parquet"):
        FRAME.write_parquet(tmp_path / name)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".a.parquet.crc").touch()
    (tmp_path / "_temporary" / "0").mkdir(parents=True)
    FRAME.write_parquet(tmp_path / "_temporary" / "0" / "part.parquet")
    source = FileSource("src", tmp_path)
    assert read(source, plan("n")).height == source.row_count() == 9


@pytest.mark.parametrize("name", ["later/b.parquet", "later/more/B.PARQUET", "_delta_log/1.checkpoint.parquet"])
def test_folder_with_rows_in_a_subfolder_is_refused_and_not_read_without_them(tmp_path, name):
    FRAME.write_parquet(tmp_path / "a.parquet")
    (tmp_path / name).parent.mkdir(parents=True)
    FRAME.write_parquet(tmp_path / name)
    for ask in (FileSource("src", tmp_path).schema, FileSource("src", tmp_path).row_count):
        with pytest.raises(SourceUnavailable, match="subfolder"):
            ask()


@pytest.mark.parametrize("target", ["elsewhere", "absent"])
def test_folder_with_a_link_that_is_not_followed_is_refused(tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("elsewhere/b.parquet", "data/a.parquet"):
        FRAME.write_parquet(tmp_path / name)
    (tmp_path / "data" / "more.parquet").symlink_to(tmp_path / target)
    with pytest.raises(SourceUnavailable):
        FileSource("src", tmp_path / "data").schema()


def test_folder_whose_files_differ_in_other_columns_is_read(tmp_path):
    FRAME.write_parquet(tmp_path / "a.parquet")
    FRAME.with_columns(extra=1).write_parquet(tmp_path / "b.parquet")
    assert read(FileSource("src", tmp_path), plan("n")).height == 6


def test_folder_whose_files_differ_in_type_is_refused(tmp_path):
    FRAME.write_parquet(tmp_path / "a.parquet")
    FRAME.with_columns(pl.col("n").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(SourceUnavailable):
        list(FileSource("src", tmp_path).batches(plan("n")))


def test_wildcards_in_a_path_and_values_in_folder_names_mean_nothing(tmp_path):
    folder = tmp_path / "year=2026"
    folder.mkdir()
    FRAME.write_parquet(folder / "*.parquet")
    FRAME.write_parquet(folder / "other.parquet")
    source = FileSource("src", folder / "*.parquet")
    assert "year" not in source.schema()
    assert read(source, plan("n")).height == 3


def test_categories_are_read_as_the_text_they_stand_for(tmp_path):
    FRAME.with_columns(pl.col("s").cast(pl.Categorical)).write_parquet(tmp_path / "p.parquet")
    source = FileSource("src", tmp_path / "p.parquet")
    rows = parse_filter([{"column": "s", "operator": "equals", "value": "y"}])
    assert source.schema()["s"] == pl.String
    assert read(source, plan("s", rows=rows)).to_dict(as_series=False) == {"s": ["y"]}


def test_file_that_changes_while_it_is_read_is_no_snapshot(parquet, monkeypatch):
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 1)
    batches = parquet.batches(plan("n"))
    next(batches)
    FRAME.head(2).write_parquet(parquet.path)
    with pytest.raises(SourceUnavailable):
        list(batches)


@pytest.mark.parametrize(
    "damage",
    [b"", b"PAR1", b"PAR1SECRETxxxxPAR1", b"SECRET" * 1000],
)
def test_damaged_parquet_is_unavailable_and_says_nothing_about_its_content(tmp_path, damage):
    path = tmp_path / "p.parquet"
    path.write_bytes(damage)
    with pytest.raises(SourceUnavailable, match="source src cannot be read") as caught:
        list(FileSource("src", path).batches(plan("n")))
    assert caught.value.__context__ is None
    assert "SECRET" not in str(caught.value)


def test_truncated_parquet_is_unavailable(parquet):
    whole = parquet.path.read_bytes()
    parquet.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceUnavailable):
        list(parquet.batches(plan("n")))


def test_absent_file_and_empty_folder_and_other_kinds(tmp_path):
    with pytest.raises(SourceUnavailable, match="does not exist"):
        FileSource("src", tmp_path / "absent.parquet").schema()
    with pytest.raises(SourceUnavailable, match="does not exist"):
        FileSource("src", tmp_path / "absent.csv").schema()
    with pytest.raises(SourceUnavailable, match="no Parquet files"):
        FileSource("src", tmp_path).schema()
    with pytest.raises(UnusableInput, match="must be a"):
        FileSource("src", Path("x.xlsx")).schema()


@pytest.mark.parametrize("name", ["loop.parquet", "loop.csv"])
def test_file_that_the_system_cannot_open_is_unavailable(tmp_path, name):
    path = tmp_path / name
    path.symlink_to(path)
    with pytest.raises(SourceUnavailable):
        FileSource("src", path).schema()


TYPED = ExtractionPlan(
    (
        PlannedColumn("i", "i", pl.Int64()),
        PlannedColumn("f", "f", pl.Float64()),
        PlannedColumn("b", "b", pl.Boolean()),
        PlannedColumn("d", "d", pl.Date()),
        PlannedColumn("t", "t", pl.Datetime("us")),
        PlannedColumn("c", "c", pl.Time()),
        PlannedColumn("s", "s", pl.String()),
        PlannedColumn("k", "k", pl.Date(), text_format="%Y%m%d"),
    )
)


def test_csv_is_read_as_the_contract_types_it(tmp_path):
    text = (
        "\ufeffextra,i,f,b,d,t,c,s,k\r\n"
        'x,-7,1.5e3,true,2026-01-05,2026-01-05T01:02:03.5,12:00:00,"a, ""b""\r\nc",20260105\r\n'
        'x,,,,,,,"",\r\n'
    )
    frame = read(text_source(tmp_path, text), TYPED)
    assert frame.rows() == [
        (
            *(-7, 1500.0, True, date(2026, 1, 5), datetime.fromisoformat("2026-01-05T01:02:03.5"), time(12)),
            *('a, "b"\r\nc', date(2026, 1, 5)),
        ),
        (None, None, None, None, None, None, "", None),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("i", text) for text in ("1.0", " 1", "1_0", "0x1", "99999999999999999999", "x", "1e3")],
        *[("f", text) for text in ("nan", "inf", "1,5", "1_0", " 1")],
        *[("b", text) for text in ("TRUE", "1", "ja", "t")],
        *[("d", text) for text in ("2026-1-5", "05-01-2026", "2026-02-30", "20260105", "2026-01-05 ", "2026-01-05T00")],
        *[("d", text) for text in ("+10000-01-01", "-0001-01-01", "0000-12-31")],
        *[("t", text) for text in ("+10000-01-01T00:00:00", "0000-12-31T23:59:59.999999")],
        *[("t", text) for text in ("2026-01-05", "2026-01-05T25:00:00", "2026-01-05T00:00:00+01:00")],
        *[("t", f"2016-12-31T23:59:{text}") for text in ("60", "60.5", "59.1234567", "59.123456001")],
        *[("c", text) for text in ("12:00", "24:00:00", "12:60:00", "23:59:60", "1:2:3", "12:00:00.", "noon")],
        ("c", "12:00:00.1234567890"),
        *[("k", text) for text in ("2026-01-05", "20260230", "202615", "00000000")],
    ],
)
def test_text_that_is_not_exactly_of_its_type_is_counted_and_not_converted(tmp_path, name, text):
    source = text_source(tmp_path, f'{name},z\n"{text}",1\n,1\n')
    one = ExtractionPlan(tuple(column for column in TYPED.columns if column.name == name))
    counted = []
    frame = read(source, one, lambda column, count: counted.append((column, count)))
    assert counted == [(name, 1)]
    assert frame[name].to_list() == [None, None]
    with pytest.raises(RowsInvalid, match=f"column {name} has 1 values") as caught:
        read(source, one)
    assert str(caught.value) == f"column {name} has 1 values that cannot be read as its type"


def test_decimals_beyond_microseconds_may_be_zeros(tmp_path):
    source = text_source(tmp_path, "t\n2026-01-05T00:00:00.1200000\n2026-01-05T00:00:00.120000000\n")
    frame = read(source, ExtractionPlan((PlannedColumn("t", "t", pl.Datetime("us")),)))
    assert frame["t"].to_list() == [datetime.fromisoformat("2026-01-05T00:00:00.12")] * 2


def test_a_time_may_have_a_fraction(tmp_path):
    source = text_source(tmp_path, "c\n13:45:00\n13:45:00.5\n13:45:00.500000\n00:00:00.000000001\n23:59:59.999999999\n")
    frame = read(source, ExtractionPlan((PlannedColumn("c", "c", pl.Time()),)))
    day = 24 * 3600 * 10**9
    assert frame["c"].to_physical().to_list() == [49_500 * 10**9, *[49_500_500_000_000] * 2, 1, day - 1]


def test_text_that_is_to_be_delivered_as_two_types_is_refused_and_not_read_as_one_of_them(tmp_path):
    (tmp_path / "set" / "d=20260301").mkdir(parents=True)
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "set" / "d=20260301" / "x.parquet")
    columns = (
        PlannedColumn("d", "a", pl.String()),
        PlannedColumn("d", "b", pl.Date(), "%Y%m%d"),
        PlannedColumn("d", "c", pl.Date()),
    )
    for source in (text_source(tmp_path, "d\n20260301\n"), DatasetSource("src", LocalPlace(tmp_path / "set"))):
        for first, second in ((0, 1), (1, 2)):
            two = ExtractionPlan((columns[first], columns[second]))
            with pytest.raises(UnusableInput, match=f"for {columns[first].name} and {columns[second].name}, which"):
                next(source.batches(two))
        assert read(source, plan(a="d", b="d")).row(0) == ("20260301", "20260301")


def test_days_and_moments_beyond_the_years_of_a_type_are_null_and_counted(tmp_path):
    days = pl.Series([2_932_897, 2_932_896, -719_162, -719_163, None], dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"d": days, "t": days.cast(pl.Datetime("ms")), "s": "x"})
    expected = [None, date(9999, 12, 31), date(1, 1, 1), None, None]
    frame.write_parquet(tmp_path / "x.parquet")
    (tmp_path / "set" / "k=1").mkdir(parents=True)
    frame.write_parquet(tmp_path / "set" / "k=1" / "x.parquet")
    for source in (
        FileSource("src", tmp_path / "x.parquet"),
        FileSource("src", tmp_path / "x.parquet", verify=True),
        DatasetSource("src", LocalPlace(tmp_path / "set")),
    ):
        lost = {}
        found = read(source, plan("t", "s", day="d"), lost.__setitem__)
        assert lost == {"day": 2, "t": 2}
        assert found["day"].to_list() == expected
        assert found["t"].cast(pl.Date).to_list() == expected
        with pytest.raises(RowsInvalid, match="column day has 2 values"):
            read(source, plan(day="d"))


def in_form(tmp_path, form, *texts):
    """The moments of texts in a form of a contract, in UTC."""
    column = Column("t", "t", "timestamp", {"timezone": True, "format": form})
    source = text_source(tmp_path, "t\n" + "".join(f'"{text}"\n' for text in texts))
    plan = ExtractionPlan(planned_columns(compile_table(Table("x", (column,)))))
    return read(source, plan, lambda _column, _count: None)["t"].to_list()


FIRST = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "texts"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssXXX", ["2026-03-01T01:00:00+01:00", "2026-03-01T00:00:00Z"]),
        ("yyyy-MM-dd HH:mm:ssxx", ["2026-03-01 01:00:00+0100", "2026-02-28 20:30:00-0330"]),
        ("xx yyyyMMddHHmmss", ["+0100 20260301010000"]),
        ("XXX yyyyMMddHHmmss.SSS", ["+01:00 20260301010000.000", "Z 20260301000000.000"]),
        ("yyyyMMddHHmmssSSSSSSSSSZ", ["20260301010000000000000+0100"]),
    ],
)
def test_a_format_may_have_an_offset_anywhere(tmp_path, form, texts):
    assert in_form(tmp_path, form, *texts) == [FIRST] * len(texts)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *[
            ("yyyy-MM-dd'T'HH:mm:ssXXX", f"{day}T{time}")
            for day, time in [
                ("2026-3-1", "0:0:0+01:00"),
                ("2026- 3- 1", "00:00:00+01:00"),
                ("2026-02-30", "00:00:00+01:00"),
                ("2026-03-01", "00:00:00+0100"),
                ("2026-03-01", "00:00:00 +01:00"),
                ("2026-03-01", "00:00:00+01"),
                ("2026-03-01", "00:00:00"),
                ("2026-03-01", "24:00:00+01:00"),
                ("2026-03-01", "23:59:60Z"),
                ("2026-03-01", "00:00:00+99:00"),
                ("2026-03-01", "00:00:00z"),
            ]
        ],
        ("yyyy-MM-dd HH:mm:ssxx", "0001-01-01 00:00:00+0100"),
        ("yyyy-MM-dd HH:mm:ssxx", "9999-12-31 23:59:59-0100"),
        ("yyyy-MM-dd HH:mm:ssxx", "2026-03-01 00:00:00Z"),
        ("yyyy-MM-dd HH:mm:ssxx", "2026-03-01 00:00:00+01:00"),
        ("yyyyMMddHHmmssSSSSSSSSSZ", "20260301010000000000001+0100"),
        ("yyyy-MM-dd HH.mm.ssxx", "2026-03-01 00:00:00+0100"),
    ],
)
def test_text_that_is_not_exactly_in_a_format_with_an_offset_is_unreadable(tmp_path, form, text):
    assert in_form(tmp_path, form, text) == [None]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_empty_line_is_a_null_where_there_is_one_column_and_no_row_where_there_are_two(tmp_path, end):
    lines = ["s", "", "a", "", '""', "", ""]
    assert read(text_source(tmp_path, end.join(lines)), plan("s"))["s"].to_list() == [None, "a", None, "", None]
    lines = ["s,n", "", "a,1", "", ",", ""]
    assert read(text_source(tmp_path, end.join(lines)), plan("s"))["s"].to_list() == ["a", None]


@pytest.mark.parametrize("block", range(12, 40))
def test_the_end_of_a_line_in_a_value_is_kept_wherever_the_parser_cuts_its_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(flows.sources.text, "BLOCK_BYTES", block)
    source = text_source(tmp_path, 's,n\r\n"a\r\nb",1\r\n"\r\n",2\r\n,3\r\n"c\r\n\r\nd",4\r\n')
    assert read(source, plan("s"))["s"].to_list() == ["a\r\nb", "\r\n", None, "c\r\n\r\nd"]


def test_timestamps_with_zone_are_read_as_moments(tmp_path):
    source = text_source(tmp_path, "t\n2026-01-05T00:00:00Z\n2026-01-05T01:00:00+01:00\n2026-01-05 01:00:00\n")
    zoned = ExtractionPlan((PlannedColumn("t", "t", pl.Datetime("us", "Europe/Amsterdam")),))
    assert read(source, zoned)["t"].n_unique() == 1


def test_csv_rows_are_filtered_by_typed_values(tmp_path):
    source = text_source(tmp_path, "n,d\n1,2026-01-31\n2,2026-02-01\n3,\n")
    january = ExtractionPlan(
        (PlannedColumn("n", "n", pl.Int64()), PlannedColumn("d", "d", pl.Date())), JANUARY, Period.parse("2026-01")
    )
    assert read(source, january).rows() == [(1, date(2026, 1, 31))]


def test_unreadable_value_in_a_filtered_column_is_reported_and_not_just_dropped(tmp_path):
    source = text_source(tmp_path, "d\n2026-01-31\nSECRET\n")
    january = ExtractionPlan((PlannedColumn("d", "d", pl.Date()),), JANUARY, Period.parse("2026-01"))
    with pytest.raises(RowsInvalid, match="column d has 1 values"):
        read(source, january)


@pytest.mark.parametrize(
    "text",
    [
        "n,m\n1\n",
        "n,m\n1,2,3\n",
        'n,m\n"SECRET,2\n',
        b"n,m\n\xff\xfeSECRET,2\n",
        "n,n\n1,2\n",
        "",
    ],
)
def test_csv_that_is_no_table_is_refused_without_quoting_it(tmp_path, text):
    with pytest.raises(SourceUnavailable) as caught:
        list(text_source(tmp_path, text).batches(plan("n", "m")))
    assert "SECRET" not in str(caught.value)
    assert caught.value.__context__ is None
