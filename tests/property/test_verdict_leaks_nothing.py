"""Canaries planted in data appear in no verdict, report, error, log, warning, output or scratch file, whatever rule
they break, in a column of any type and inside arrays and objects.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import traceback
import warnings
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path

import pandera.polars as pa
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas.whole
from apps.cli.contract import contract as contract_group
from core.errors import GlaError
from core.period import Period
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from keys.scratch import SealedScratch
from schemas.compiler import compile_table
from schemas.report import Report, Subject
from schemas.report_markdown import as_markdown
from schemas.report_page import as_html
from schemas.scratch import MemoryScratch
from schemas.table import Column, Table
from schemas.validation import Validator
from tests.soak import examples

CANARY_TEXT = "kanarie-7f3a9c"
CANARY_NUMBER = 987_654_321_123
CANARY_FRACTION = 98_765.4321
CANARY_DAY = date(1234, 5, 6)
CANARY_MOMENT = datetime(1235, 6, 7, 8, 9, 10, 111213)  # noqa: DTZ001 - stored without a zone
CANARY_TIME = time(3, 4, 5, 161718)
CANARY_AMOUNT = Decimal("7654321.98")
TRACES = (
    CANARY_TEXT, str(CANARY_NUMBER), str(CANARY_FRACTION), str(CANARY_AMOUNT),
    CANARY_DAY.isoformat(), "date(1234", "1235-06-07", "1235, 6, 7", "03:04:05", "time(3, 4",
)  # fmt: skip
RAW_TRACES = (
    CANARY_TEXT.encode(), CANARY_NUMBER.to_bytes(8, "little"), CANARY_NUMBER.to_bytes(8), str(CANARY_NUMBER).encode(),
    struct.pack("<d", CANARY_FRACTION), int(CANARY_AMOUNT * 100).to_bytes(8, "little"),
)  # fmt: skip

QUALITY = (
    {"metric": "nullValues", "mustBe": 0},
    {"metric": "duplicateValues", "mustBe": 0},
    {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^good$"}},
)
ADDS_UP = {"rule": "sum-equals", "columns": ["m"]}
WITHIN = {"rule": "within-period", "format": "yyyyMMdd"}
STREET = Column("o.street", "street", "string", {"maxLength": 4, "pattern": "^good$"}, required=True, rules=("kvk",))
HOUSE = Column("o.house", "house", "integer", {"maximum": 10}, enum=(2, 4))
ITEM = Column("l[]", "l[]", "string", {"pattern": "^good$"}, required=True, enum=("good",), rules=("bsn",))
TABLE = Table(
    "t",
    (
        Column(
            "n", "n", "integer", {"maximum": 10, "multipleOf": 2, "format": "i32"}, required=True, enum=(2, 4),
            rules=(ADDS_UP, {**ADDS_UP, "over": "delivery"}),
        ),
        Column("m", "m", "integer", {"exclusiveMinimum": 0}, relationships=(("t.k",),)),
        Column("k", "k", "integer", unique=True, quality=({"metric": "missingValues", "mustBe": 0,
                                                          "arguments": {"missingValues": [2]}},)),
        Column("s", "s", "string", {"pattern": "^good$", "maxLength": 4, "format": "uuid"}, quality=QUALITY,
               rules=("bsn", "rsin", "loonheffingennummer", "kvk", "yyyymmdd-partial", WITHIN)),
        Column("d", "d", "date", {"minimum": "2026-01-01"}, unique=True, primary_key=1, rules=("within-period",)),
        Column("e", "e", "date", rules=({"rule": "not-before", "column": "d"},)),
        Column("u", "u", "string", unique=True, enum=("good",), relationships=(("t.v",),)),
        Column("v", "v", "string", unique=True),
        Column("f", "f", "number", {"maximum": 10.0, "multipleOf": 0.5}, unique=True),
        Column("c", "c", "number", {"maximum": 10.0}, enum=(1.0,)),
        Column("ts", "ts", "timestamp", {"minimum": "2026-01-01T00:00:00"}, unique=True, rules=("within-period",)),
        Column("t", "t", "time", {"maximum": "01:00:00"}, unique=True),
        Column("o", "o", "object", {"minProperties": 2}, properties={"street": STREET, "house": HOUSE}),
        Column("l", "l", "array", {"maxItems": 1, "uniqueItems": True},
               items=ITEM),
    ),
    quality=({"metric": "rowCount", "mustBe": -1},),
)  # fmt: skip
PERIOD = Period.parse("2026-01")

texts = st.sampled_from(["good", CANARY_TEXT, CANARY_TEXT * 3, None])
numbers = st.sampled_from([2, CANARY_NUMBER, -CANARY_NUMBER, None])
canaries = {
    "n": numbers,
    "m": numbers,
    "k": numbers,
    "s": texts,
    "d": st.sampled_from([date(2026, 1, 1), CANARY_DAY, None]),
    "e": st.sampled_from([date(2026, 1, 1), CANARY_DAY, None]),
    "u": texts,
    "v": texts,
    "f": st.sampled_from([1.0, CANARY_FRACTION, float("nan"), float("inf"), None]),
    "c": st.sampled_from([Decimal(1), CANARY_AMOUNT, None]),
    "ts": st.sampled_from([datetime(2026, 1, 1), CANARY_MOMENT, None]),  # noqa: DTZ001 - as stored
    "t": st.sampled_from([time(0), CANARY_TIME, None]),
    "o": st.none() | st.fixed_dictionaries({"street": texts, "house": numbers}),
    "l": st.none() | st.lists(texts, max_size=3),
}
rows = st.lists(st.fixed_dictionaries(canaries), min_size=1, max_size=8)
TYPES = {
    "n": pl.Int64, "m": pl.Int64, "k": pl.Int64, "s": pl.String, "d": pl.Date, "e": pl.Date, "u": pl.String,
    "v": pl.String, "f": pl.Float64, "c": pl.Decimal(20, 2), "ts": pl.Datetime("us"), "t": pl.Time,
    "o": pl.Struct({"street": pl.String, "house": pl.Int64}), "l": pl.List(pl.String),
}  # fmt: skip


SHAPES = ["column missing", "column extra", "types swapped", "nested", "flat", "another inside"]


def frame(records):
    return pl.DataFrame(records, schema=TYPES)


def broken(table: pl.DataFrame, how: str) -> pl.DataFrame:
    """A batch that is wrong in its shape as well, with canaries as column names."""
    changes = {
        "as it is": lambda: table,
        "column missing": lambda: table.drop("u"),
        "column extra": lambda: table.with_columns(pl.lit(CANARY_TEXT).alias(CANARY_TEXT)),
        "types swapped": lambda: table.with_columns(pl.col("n").cast(pl.String), pl.lit(CANARY_NUMBER).alias("s")),
        "nested": lambda: table.with_columns(pl.struct("s").alias("s")),
        "flat": lambda: table.with_columns(o=pl.col("o").struct.field("street"), l=pl.col("s")),
        "another inside": lambda: table.with_columns(o=pl.struct("s", pl.lit(CANARY_NUMBER).alias(CANARY_TEXT))),
    }
    return changes[how]()


def everything_said(caught: BaseException | None, caplog, recorded) -> str:
    said = [record.getMessage() + str(record.args) + str(record.exc_info) for record in caplog.records]
    said += [str(warning.message) for warning in recorded]
    while caught is not None:
        said += [str(caught), repr(caught), repr(caught.__dict__), *traceback.format_exception_only(caught)]
        caught = caught.__cause__ or caught.__context__
    return "\n".join(said)


SETTINGS = settings(
    max_examples=examples(20, soak=800), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(
    batches=st.lists(
        st.tuples(
            rows,
            st.sampled_from(["as it is"] * 3 + SHAPES),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_canaries_stay_out_of_verdicts_reports_errors_and_scratch(batches, caplog, tmp_path, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(schemas.whole, "ROOM", 20)  # two of each key
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as recorded, SealedScratch(tmp_path) as scratch:
        warnings.simplefilter("always")
        judge = Validator(compile_table(TABLE), PERIOD, scratch, sums=["n"])
        for records, how in batches:
            judge.check(broken(frame(records), how))
        verdict = judge.finish()
        disk = b"" if scratch._file is None else os.pread(scratch._file, 2**24, 0)
        left = list(tmp_path.iterdir())
        try:
            verdict.require_valid()
        except GlaError as caught:
            error = caught
    assert not verdict.valid
    report = Report.of(verdict, Subject("c", "1.0.0", "0" * 64, "p", str(PERIOD)), "2026-02-01T00:00:00Z")
    said = json.dumps(verdict.as_json()) + repr(judge) + everything_said(error, caplog, recorded)
    said += repr(verdict.results) + repr(dict(verdict.present))  # of the sums only what a report shows of them
    said += json.dumps(report.as_json()) + as_markdown(report) + as_html(report)
    assert error is not None
    assert not [trace for trace in TRACES if trace in said]
    assert not [trace for trace in RAW_TRACES if trace in disk]
    assert left == []


@settings(SETTINGS, max_examples=examples(10))
@given(batches=st.lists(rows, min_size=1, max_size=3))
def test_even_unsealed_a_scratch_holds_no_value(batches, monkeypatch):
    monkeypatch.setattr(schemas.whole, "ROOM", 1)
    scratch = MemoryScratch()
    judge = Validator(compile_table(TABLE), PERIOD, scratch)
    for records in batches:
        judge.check(frame(records))
    assert not [trace for trace in RAW_TRACES if trace in b"".join(scratch._blocks)]


@settings(SETTINGS, max_examples=examples(10))
@given(records=rows)
def test_the_quick_way_passes_exactly_what_passes_promise_by_promise(records):
    compiled, batch = compile_table(TABLE), frame(records)
    quick = passes(compiled.fast_schema_for(batch.schema, PERIOD), batch)
    assert quick == passes(compiled.schema_for(batch.schema, PERIOD), batch)


@SETTINGS
@given(records=rows, name=st.sampled_from(sorted(TYPES)))
def test_the_quick_way_agrees_about_every_single_column(records, name):
    """With all columns at once a frame is almost always bad; one column is often good."""
    column = replace(next(each for each in TABLE.columns if each.name == name), relationships=())
    others = tuple(replace(each, options={}, enum=None, rules=(), required=False, unique=False, primary_key=None,
                           quality=(), relationships=()) for each in TABLE.columns
                   if each.name in {"m", "d"} - {name})  # fmt: skip
    compiled = compile_table(Table("t", (column, *others)))
    batch = frame(records).select(compiled.columns)
    quick = passes(compiled.fast_schema_for(batch.schema, PERIOD), batch)
    assert quick == passes(compiled.schema_for(batch.schema, PERIOD), batch)


def passes(schema, batch) -> bool:
    try:
        schema.validate(batch, lazy=True)
    except pa.errors.SchemaErrors:
        return False
    return True


TEXTS = st.sampled_from(
    [CANARY_TEXT, str(CANARY_NUMBER), CANARY_DAY.isoformat(), "", '"', f'"{CANARY_TEXT}', "a,b", "2"]
)


@SETTINGS
@given(header=st.sampled_from(["n,s,d,u", f"n,s,d,{CANARY_TEXT}", f"{CANARY_TEXT},{CANARY_NUMBER},d,u", "n,n,d,u"]),
       lines=st.lists(st.lists(TEXTS, min_size=3, max_size=5), max_size=6), data=st.data())  # fmt: skip
def test_canaries_in_csv_stay_out_of_errors_and_of_the_command(header, lines, data, tmp_path_factory, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    path.write_text("\n".join([header, *(",".join(line) for line in lines)]) + "\n")
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        try:
            list(FileSource("src", path).batches(ExtractionPlan(planned_columns(compile_table(TABLE)))))
        except GlaError as caught:
            error = caught
    said = everything_said(error, caplog, recorded)
    if data.draw(st.booleans()):
        said += run_check(path)
    assert not [trace for trace in TRACES if trace in said]


CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: n, logicalType: integer, required: true, logicalTypeOptions: {maximum: 10}}
      - {name: s, logicalType: string, logicalTypeOptions: {pattern: ^good$}}
      - {name: d, logicalType: date, primaryKey: true}
      - {name: u, logicalType: string, unique: true}
"""


def run_check(data: Path) -> str:
    contract = data.parent / "contract.yaml"
    contract.write_text(CONTRACT)
    result = CliRunner().invoke(contract_group, ["check", str(contract), str(data), "--json"])
    return result.output + everything_said(result.exception, _NoLogs, [])


class _NoLogs:
    records: tuple[()] = ()


@pytest.mark.parametrize("damage", [10, 200, 400])
def test_canaries_in_a_damaged_parquet_file_stay_out_of_the_command(tmp_path, damage):
    path = tmp_path / "data.parquet"
    frame([{"n": CANARY_NUMBER, "s": CANARY_TEXT, "d": CANARY_DAY, "u": CANARY_TEXT}] * 50).write_parquet(path)
    data = bytearray(path.read_bytes())
    data[damage : damage + 40] = b"\xff" * 40
    path.write_bytes(data)
    assert not [trace for trace in TRACES if trace in run_check(path)]
