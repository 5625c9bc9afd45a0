"""The JSON Schema of a row, judged by the `jsonschema` library against what our own validator says of the same row."""

import json
from datetime import UTC, date, datetime, time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.export.json_schema import json_schema
from schemas.products import product_contract
from schemas.validation import Validator
from tests.soak import examples

HEAD = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0"}
WORDS = "the row obeys the schema exactly if the validator accepts it"


def exported(*properties, **table):
    data = json.dumps(HEAD | {"schema": [{"name": "t", "properties": list(properties)} | table]}).encode()
    contract = load_contract(data)
    compiled = compile_table(contract.table)
    schema = json_schema(contract, compiled)
    Draft202012Validator.check_schema(schema)
    return compiled, schema


def both(compiled, schema, row, dtypes=None):
    """What our validator and the JSON Schema say of one row."""
    validator = Validator(compiled)
    validator.check(pl.DataFrame([row], schema=dict(compiled.dtypes) | (dtypes or {})))
    return validator.finish().valid, Draft202012Validator(schema).is_valid(as_json(row))


def as_json(value):
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, date | time | datetime) else value


CASES = [
    ({"logicalType": "string"}, ["", "a", None], []),
    ({"logicalType": "string", "required": True}, [""], [None]),
    ({"logicalType": "string", "primaryKey": True}, ["a"], [None]),
    ({"logicalType": "string", "logicalTypeOptions": {"minLength": 2, "maxLength": 3}}, ["ab", "éé😀"], ["a", "abcd"]),
    ({"logicalType": "string", "logicalTypeOptions": {"pattern": "^[A-Z]{2}$"}}, ["NL", None], ["nl", "NLD"]),
    ({"logicalType": "string", "logicalTypeOptions": {"pattern": "b"}}, ["abc"], ["ac"]),
    ({"logicalType": "string", "logicalTypeOptions": {"format": "uuid"}},
     ["9b2f3c1e-0000-4000-8000-0123456789ab"], ["9b2f3c1e"]),
    ({"logicalType": "string", "logicalTypeOptions": {"format": "email"}}, ["a@b.nl"], ["a@", "a b@c"]),
    ({"logicalType": "string", "logicalTypeOptions": {"format": "ipv4"}}, ["10.0.0.1"], ["10.0.0.256", "10.0.0"]),
    ({"logicalType": "string", "logicalTypeOptions": {"format": "byte"}}, ["YQ==", ""], ["YQ", "!"]),
    ({"logicalType": "string", "logicalTypeOptions": {"format": "password"}}, ["anything"], []),
    ({"logicalType": "string", "enum": [{"value": "1", "label": "one"}, {"value": "2"}]}, ["1", None], ["3", ""]),
    ({"logicalType": "string", "required": True, "enum": [{"value": "1"}]}, ["1"], [None, "2"]),
    ({"logicalType": "integer", "logicalTypeOptions": {"minimum": -5, "exclusiveMaximum": 5}}, [-5, 4, 0], [-6, 5]),
    ({"logicalType": "integer", "logicalTypeOptions": {"exclusiveMinimum": 0, "maximum": 9.5}}, [1, 9], [0, 10]),
    ({"logicalType": "integer", "logicalTypeOptions": {"multipleOf": 5}}, [0, -5, 10], [1, 7]),
    ({"logicalType": "integer", "logicalTypeOptions": {"format": "u8"}}, [0, 255], [-1, 256]),
    ({"logicalType": "integer", "logicalTypeOptions": {"format": "i8", "minimum": -3}}, [-3, 127], [-4, 128]),
    ({"logicalType": "integer", "enum": [{"value": 1}, {"value": 3}]}, [1, 3, None], [2]),
    ({"logicalType": "number", "logicalTypeOptions": {"minimum": 0.5, "maximum": 2}}, [0.5, 2.0, 1.25], [0.4, 2.5]),
    ({"logicalType": "number", "logicalTypeOptions": {"multipleOf": 0.5}}, [0.5, 1.5, 0.0], [0.25]),
    ({"logicalType": "boolean"}, [True, False, None], []),
    ({"logicalType": "boolean", "enum": [{"value": True}]}, [True], [False]),
    ({"logicalType": "date"}, [date(2026, 2, 28), date(1, 1, 1), date(9999, 12, 31)], []),
    ({"logicalType": "date", "enum": [{"value": "2026-01-01"}]}, [date(2026, 1, 1)], [date(2026, 1, 2)]),
    ({"logicalType": "time"}, [time(0, 0, 0), time(23, 59, 59, 999999)], []),
    ({"logicalType": "timestamp"}, [datetime.fromisoformat("2026-01-01T01:02:03.000004")], []),
    ({"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}}, [datetime(2026, 1, 1, tzinfo=UTC)], []),
    ({"logicalType": "array", "logicalTypeOptions": {"minItems": 1, "maxItems": 2},
      "items": {"logicalType": "string", "logicalTypeOptions": {"maxLength": 1}}},
     [["a"], ["a", None], None], [[], ["a", "b", "c"], ["ab"]]),
    ({"logicalType": "array", "logicalTypeOptions": {"uniqueItems": True},
      "items": {"logicalType": "integer", "required": True}}, [[1, 2], []], [[1, 1], [None]]),
    ({"logicalType": "array", "logicalTypeOptions": {"uniqueItems": True}, "items": {"logicalType": "integer"}},
     [[None, None], [1, None]], []),
    ({"logicalType": "object", "logicalTypeOptions": {"required": ["a"]}, "properties": [
        {"name": "a", "logicalType": "string"},
        {"name": "b", "logicalType": "integer", "required": True, "logicalTypeOptions": {"maximum": 3}}]},
     [{"a": "x", "b": 3}, None], [{"a": None, "b": 3}, {"a": "x", "b": None}, {"a": "x", "b": 4}]),
    ({"logicalType": "array", "items": {"logicalType": "object", "properties": [
        {"name": "codes", "logicalType": "array", "items": {"logicalType": "string", "enum": [{"value": "a"}]}}]}},
     [[{"codes": ["a"]}], [{"codes": None}], [None]], [[{"codes": ["b"]}]]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "good", "bad"), CASES)
def test_schema_and_validator_agree(column, good, bad):
    compiled, schema = exported({"name": "c"} | column)
    for value in good:
        assert both(compiled, schema, {"c": value}) == (True, True), value
    for value in bad:
        assert both(compiled, schema, {"c": value}) == (False, False), value


RULES = [
    ("bsn", ["999999990", "999990019"], ["99999999", "a99999990"]),
    ("loonheffingennummer", ["999999990L01"], ["999999990", "999999990l01"]),
    ("kvk", ["90000102"], ["9000010"]),
    ("yyyymmdd-partial", ["20260200", "00000000", "20260131"], ["202602", "20261301"]),
]


@pytest.mark.parametrize(("rule", "good", "bad"), RULES)
def test_rules_by_name_ask_for_their_form(rule, good, bad):
    properties = {"customProperties": [{"property": "gla.rule", "value": rule}]}
    compiled, schema = exported({"name": "c", "logicalType": "string"} | properties)
    accepted = [value for value in good if both(compiled, schema, {"c": value})[0]]
    assert accepted
    assert all(both(compiled, schema, {"c": value}) == (True, True) for value in accepted)
    assert all(both(compiled, schema, {"c": value}) == (False, False) for value in bad)


def test_a_column_that_is_absent_or_extra_is_refused():
    _, schema = exported({"name": "a", "logicalType": "string"}, {"name": "b", "logicalType": "string"})
    judge = Draft202012Validator(schema)
    assert judge.is_valid({"a": None, "b": ""})
    assert not judge.is_valid({"a": ""})
    assert not judge.is_valid({"a": "", "b": "", "c": ""})
    assert not judge.is_valid({"a": 1, "b": ""})


def test_what_a_schema_cannot_say_is_told():
    compiled, schema = exported(
        {"name": "a", "logicalType": "date", "unique": True, "logicalTypeOptions": {"minimum": "2026-01-01"}},
        {"name": "b", "logicalType": "date", "customProperties": [
            {"property": "gla.rule", "value": {"rule": "not-before", "column": "a"}}]},
        quality=[{"metric": "rowCount", "mustBeGreaterThan": 0}],
    )  # fmt: skip
    assert "unique of a" in schema["$comment"]
    assert "rowCount of * (mustBeGreaterThan 0)" in schema["$comment"]
    assert schema["properties"]["a"]["$comment"] == "Also holds: minimum 2026-01-01."
    assert schema["properties"]["b"]["$comment"] == "Also holds: rule not-before."
    assert both(compiled, schema, {"a": date(2025, 1, 1), "b": None}) == (False, True)


def test_people_words_become_annotations():
    _, schema = exported({
        "name": "a", "logicalType": "string", "businessName": "Code", "description": "Which.",
        "classification": "public", "deprecated": True, "enum": [{"value": "1", "label": "one"}],
    })  # fmt: skip
    told = schema["properties"]["a"]
    assert (told["title"], told["description"], told["deprecated"]) == ("Code", "Which.", True)
    assert (told["x-classification"], told["x-labels"]) == ("public", {"1": "one"})


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "minimum": st.integers(-20, 20),
        "maximum": st.integers(-20, 20),
        "exclusiveMinimum": st.integers(-20, 20),
        "exclusiveMaximum": st.integers(-20, 20),
        "multipleOf": st.integers(1, 6),
        "format": st.sampled_from(["i8", "u8", "i64", "u64"]),
    },
)


@pytest.mark.soak
@settings(max_examples=examples(20), deadline=None)
@given(OPTIONS, st.booleans(), st.lists(st.one_of(st.none(), st.integers(-300, 300)), min_size=1, max_size=8))
def test_numbers_agree_whatever_their_bounds(options, required, values):
    column = {"name": "c", "logicalType": "integer", "required": required, "logicalTypeOptions": options}
    compiled, schema = exported(column)
    if compiled.dtypes["c"] == pl.UInt64:
        values = [value for value in values if value is None or value >= 0]
    for value in values:
        ours, theirs = both(compiled, schema, {"c": value})
        assert ours == theirs, WORDS


@pytest.mark.parametrize("product", ["inkomstenverhoudingen", "melding-aog", "uitkeringen-ao"])
def test_every_product_has_a_schema_that_its_made_up_rows_obey(product, tmp_path):
    contract = load_contract(product_contract(product))
    schema = json_schema(contract, compile_table(contract.table))
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    rows = made_up(product, tmp_path)
    assert rows
    assert all(judge.is_valid(as_json(row)) for row in rows)


def made_up(product, folder):
    from click.testing import CliRunner

    from apps.cli.data import data

    done = CliRunner().invoke(
        data, ["generate", product, "--rows", "200", "--seed", "1", "--out", f"{folder}/d.parquet"]
    )
    assert done.exit_code == 0, done.output
    return pl.read_parquet(folder / "d.parquet").to_dicts()
