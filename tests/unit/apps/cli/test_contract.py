"""`gla contract check` and `gla data generate` as others call them."""

import json
import subprocess
import sys

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.contract import contract
from apps.cli.data import data
from core.errors import UnusableInput

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: c
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: id, physicalName: ID_1, logicalType: integer, primaryKey: true}
      - {name: code, logicalType: string, logicalTypeOptions: {pattern: "^[A-Z]{2}$"}}
      - {name: day, logicalType: date, logicalTypeOptions: {format: dd-MM-yyyy}}
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "c.yaml").write_text(CONTRACT)
    return tmp_path


def check(*arguments):
    result = CliRunner().invoke(contract, ["check", *map(str, arguments)], catch_exceptions=True)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.output


def verdict_of(files, text, name="d.csv"):
    (files / name).write_text(text)
    code, output = check(files / "c.yaml", files / name, "--json")
    verdict = json.loads(output)
    assert code == (0 if verdict["valid"] else 1)
    return verdict


def test_valid_csv(files):
    verdict = verdict_of(files, "id,code,day\n1,NL,31-01-2026\n2,,\n")
    assert verdict == {"valid": True, "rows": 2, "failures": []}


def test_columns_are_found_by_physical_name_too(files):
    assert verdict_of(files, "ID_1,code,day\n1,NL,\n")["valid"]


def test_every_failure_is_counted_by_column_and_rule(files):
    verdict = verdict_of(files, "id,code,day\n1,NL,31-01-2026\n1,nl,2026-01-31\nx,NLX,\n,NL,\n")
    assert verdict == {
        "valid": False,
        "rows": 4,
        "failures": [
            {"column": "code", "rule": "pattern", "count": 2},
            {"column": "day", "rule": "logicalType", "count": 1},
            {"column": "id", "rule": "logicalType", "count": 1},
            {"column": "id", "rule": "primaryKey", "count": 1},
            {"column": "id", "rule": "required", "count": 1},
        ],
    }


def test_missing_and_extra_columns_count_even_without_rows(files):
    verdict = verdict_of(files, "id,code,surprise\n")
    assert verdict["failures"] == [
        {"column": "*", "rule": "columnNotAgreed", "count": 1},
        {"column": "day", "rule": "columnMissing", "count": 1},
    ]


def test_parquet_of_another_type(files):
    pl.DataFrame({"id": ["1"], "code": ["NL"], "day": ["31-01-2026"]}).write_parquet(files / "d.parquet")
    code, output = check(files / "c.yaml", files / "d.parquet", "--json")
    assert code == 1
    assert [each["rule"] for each in json.loads(output)["failures"]] == ["logicalType", "logicalType"]


def test_people_can_read_the_verdict(files):
    (files / "d.csv").write_text("id,code,day\n1,nl,\n")
    assert check(files / "c.yaml", files / "d.csv") == (
        1,
        "INVALID: 1 rows\n  failure: column code, rule pattern, 1x\n",
    )


@pytest.mark.parametrize(
    ("contract_text", "data_text", "name"),
    [
        ("a: [", "id,code,day\n", "d.csv"),
        (CONTRACT, "id,code,day\n1\n", "d.csv"),
        (CONTRACT, "", "d.csv"),
        (CONTRACT, "PAR1", "d.parquet"),
        (CONTRACT, "x", "d.xlsx"),
        (CONTRACT.replace("logicalType: date,", "logicalType: object,"), "id,code,day\n", "d.csv"),
        (CONTRACT + "      - {name: id, logicalType: string}\n", "id,code,day\n", "d.csv"),
    ],
)
def test_unusable_input_is_one_sentence(files, contract_text, data_text, name):
    (files / "c.yaml").write_text(contract_text)
    (files / name).write_text(data_text)
    with pytest.raises(UnusableInput) as caught:
        check(files / "c.yaml", files / name)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_absent_files_are_unusable(files):
    for pair in [(files / "none.yaml", files / "d.csv"), (files / "c.yaml", files / "none.csv")]:
        with pytest.raises(UnusableInput):
            check(*pair)


def test_table_is_chosen_by_name(files):
    two = CONTRACT + "  - name: u\n    properties: [{name: x, logicalType: string}]\n"
    (files / "c.yaml").write_text(two)
    (files / "d.csv").write_text("x\na\n")
    assert check(files / "c.yaml", files / "d.csv", "--table", "u")[0] == 0
    with pytest.raises(UnusableInput, match="2 tables"):
        check(files / "c.yaml", files / "d.csv")


def test_generated_data_obeys_the_shipped_contract_through_the_real_program(tmp_path):
    made = tmp_path / "made.parquet"
    result = CliRunner().invoke(data, ["generate", "inkomstenverhoudingen", "--rows", "500", "--out", str(made)])
    assert result.exit_code == 0, result.output
    program = [sys.executable, "-c", "from apps.cli.main import main; main()", "contract", "check"]
    source = "schemas/products/inkomstenverhoudingen.odcs.yaml"
    good = subprocess.run([*program, source, made, "--json"], capture_output=True, text=True, check=False)
    assert (good.returncode, json.loads(good.stdout)) == (0, {"valid": True, "rows": 500, "failures": []})
    pl.read_parquet(made).with_columns(bsn=pl.lit("123456789")).write_parquet(made)
    bad = subprocess.run([*program, source, made, "--json"], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert {"column": "bsn", "rule": "bsn", "count": 500} in json.loads(bad.stdout)["failures"]
    unusable = subprocess.run([*program, made, source], capture_output=True, text=True, check=False)
    assert unusable.returncode == 2
    assert unusable.stderr.startswith("Error: ")
    assert unusable.stderr.count("\n") == 1
