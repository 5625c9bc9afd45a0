"""Canaries planted in data appear in no verdict, error, log, warning or output, whatever rule they break."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.cli.contract import contract as contract_group
from core.errors import GlaError
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from schemas.compiler import compile_table
from schemas.table import Column, Table
from schemas.validation import Validator
from tests.soak import examples

CANARY_TEXT = "kanarie-7f3a9c"
CANARY_NUMBER = 987_654_321_123
CANARY_DAY = date(1234, 5, 6)
TRACES = (CANARY_TEXT, str(CANARY_NUMBER), CANARY_DAY.isoformat(), "date(1234")

QUALITY = (
    {"metric": "nullValues", "mustBe": 0},
    {"metric": "duplicateValues", "mustBe": 0},
    {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^good$"}},
)
TABLE = Table(
    "t",
    (
        Column("n", "n", "integer", {"maximum": 10, "multipleOf": 2, "format": "i32"}, required=True, enum=(2, 4)),
        Column("s", "s", "string", {"pattern": "^good$", "maxLength": 4}, rules=("bsn",), quality=QUALITY),
        Column("d", "d", "date", {"minimum": "2026-01-01"}, unique=True, primary_key=1),
        Column("u", "u", "string", unique=True, enum=("good",)),
    ),
    quality=({"metric": "rowCount", "mustBe": -1},),
)

canaries = {
    "n": st.sampled_from([2, CANARY_NUMBER, -CANARY_NUMBER, None]),
    "s": st.sampled_from(["good", CANARY_TEXT, CANARY_TEXT * 3, None]),
    "d": st.sampled_from([date(2026, 1, 1), CANARY_DAY, CANARY_DAY + timedelta(0), None]),
    "u": st.sampled_from(["good", CANARY_TEXT, None]),
}
rows = st.lists(st.fixed_dictionaries(canaries), min_size=1, max_size=8)
TYPES = {"n": pl.Int64, "s": pl.String, "d": pl.Date, "u": pl.String}


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
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(
    batches=st.lists(
        st.tuples(
            rows, st.sampled_from(["as it is", "column missing", "column extra", "types swapped", "nested", "as it is"])
        ),
        min_size=1,
        max_size=3,
    )
)
def test_canaries_stay_out_of_verdicts_and_errors(batches, caplog):
    caplog.set_level(logging.DEBUG)
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        judge = Validator(compile_table(TABLE))
        for records, how in batches:
            judge.check(broken(frame(records), how))
        verdict = judge.finish()
        try:
            verdict.require_valid()
        except GlaError as caught:
            error = caught
    assert not verdict.valid
    said = json.dumps(verdict.as_json()) + repr(verdict) + repr(judge) + everything_said(error, caplog, recorded)
    assert error is not None
    assert not [trace for trace in TRACES if trace in said]


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
