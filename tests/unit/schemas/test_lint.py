"""Lint tells everything at once, where it stands, and never more of the document than names."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.lint.findings import lint
from schemas.products import product_contract, product_names

GOOD = """\
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
name: Good
description: {purpose: to test, usage: once}
schema:
  - name: t
    description: One row per code.
    properties:
      - name: code
        description: Which.
        classification: public
        logicalType: string
        primaryKey: true
        logicalTypeOptions: {maxLength: 3}
"""


def errors(text):
    return [(each.line, each.path, each.message) for each in lint(text.encode()) if each.severity == "error"]


def hints(text):
    return [each.message for each in lint(text.encode()) if each.severity == "advice"]


def with_columns(*columns, **table):
    head = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0"}
    return json.dumps(head | {"schema": [{"name": "t", "properties": list(columns)} | table]}, indent=1)


def test_a_contract_with_nothing_wrong_has_no_findings():
    assert lint(GOOD.encode()) == []


def test_all_violations_of_odcs_are_told_with_their_lines():
    text = GOOD.replace("kind: DataContract", "kind: Contract").replace("version: 1.0.0", "version: 1")
    text = text.replace("maxLength: 3", "maxLength: x").replace("classification", "clasification")
    told = errors(text)
    assert [line for line, _, _ in told] == [2, 4, 11, 16]
    assert told[0][1:] == ("$.kind", "must be DataContract")
    assert told[2][1:] == ("$.schema[0].properties[0]", "has a key that ODCS does not know: clasification")


def test_what_the_compiler_refuses_is_told_for_every_part_with_its_place():
    text = with_columns(
        {"name": "a", "logicalType": "string", "logicalTypeOptions": {"pattern": "(?=x)", "format": "nonsense"}},
        {"name": "b", "logicalType": "map", "map": {"key": {"logicalType": "date"}, "value": {"logicalType": "date"}}},
        {"name": "c", "logicalType": "date", "logicalTypeOptions": {"minimum": "soon", "maximum": "2026-01-01"}},
        {"name": "d", "logicalType": "integer", "enum": [{"value": "x"}], "quality": [
            {"metric": "nullValues", "mustBe": 0}, {"type": "sql", "query": "select 1", "mustBe": 1}]},
        {"name": "e", "logicalType": "string", "customProperties": [
            {"property": "gla.rule", "value": "bsn"}, {"property": "gla.rule", "value": "nobody knows"}]},
        quality=[{"metric": "rowCount", "mustBe": 1, "unit": "percent"}, {"metric": "rowCount", "mustBe": 1}],
    )  # fmt: skip
    assert [path for _, path, _ in errors(text)] == [
        "$.schema[0].properties[0].logicalTypeOptions.pattern",
        "$.schema[0].properties[0].logicalTypeOptions.format",
        "$.schema[0].properties[1]",
        "$.schema[0].properties[2].logicalTypeOptions.minimum",
        "$.schema[0].properties[3].enum",
        "$.schema[0].properties[3].quality[1]",
        "$.schema[0].properties[4].customProperties[1]",
        "$.schema[0].quality[0]",
    ]


def test_a_rule_that_names_another_column_is_judged_beside_it():
    rule = {"customProperties": [{"property": "gla.rule", "value": {"rule": "not-before", "column": "begin"}}]}
    begin = {"name": "begin", "logicalType": "date", "logicalTypeOptions": {"minimum": "soon"}}
    told = errors(with_columns(begin, {"name": "end", "logicalType": "date"} | rule))
    assert [path for _, path, _ in told] == ["$.schema[0].properties[0].logicalTypeOptions.minimum"]
    told = errors(
        with_columns({"name": "begin", "logicalType": "string"}, {"name": "end", "logicalType": "date"} | rule)
    )
    assert [path for _, path, _ in told] == ["$.schema[0].properties[1].customProperties[0]"]


def test_a_broken_column_hides_no_other():
    told = errors(with_columns({"name": "a"}, {"logicalType": "string"}, {"name": "c", "logicalType": "vector"}))
    assert ("$.schema[0].properties[0]", "lacks logicalType") in [each[1:] for each in told]
    assert ("$.schema[0].properties[1]", "lacks name") in [each[1:] for each in told]
    assert any(path.startswith("$.schema[0].properties[2]") for _, path, _ in told)


def test_two_columns_of_one_name_and_a_table_without_columns_are_told():
    column = {"name": "a", "logicalType": "string"}
    assert "names a column twice" in errors(with_columns(column, column))[0][2]
    assert "no properties" in errors(with_columns())[0][2]
    assert errors(GOOD[: GOOD.index("schema:")]) == [(1, "$", "describes no table")]


AGREEMENT = [
    {"property": "gla.source", "value": "no/path"},
    {"property": "gla.recipient", "value": {"name": "fonds"}},
    {"property": "gla.filtr", "value": []},
    {"property": "gla.validFrom", "value": "someday"},
]


def test_all_wrong_terms_of_an_agreement_are_told():
    document = json.loads(with_columns({"name": "a", "logicalType": "string"})) | {"customProperties": AGREEMENT}
    told = [path for _, path, _ in errors(json.dumps(document))]
    assert told.count("$.customProperties[0]") == told.count("$.customProperties[1]") == 1
    assert "$.customProperties[3]" in told
    assert len(told) == 8  # and the unknown name, and four that are absent


@pytest.mark.parametrize(("column", "words"), [
    ({"name": "a", "logicalType": "string"}, ["no description", "no classification", "free text"]),
    ({"name": "klant_bsn", "logicalType": "string"}, ["gla.rule with value bsn"]),
    ({"name": "bsn", "logicalType": "integer"}, ["make it a string"]),
    ({"name": "bsn", "logicalType": "string", "examples": ["999999990"]}, ["leave them out"]),
    ({"name": "a", "logicalType": "string", "logicalTypeOptions": {"pattern": "[0-9]"}}, ["begin with ^"]),
    ({"name": "a", "logicalType": "string", "enum": [{"value": "1"}]}, ["without a label"]),
    ({"name": "a", "logicalType": "string", "quality": [{"type": "text", "description": "ok"}]}, ["nothing checks it"]),
    ({"name": "a", "logicalType": "array", "items": {"logicalType": "string"}}, ["column a[] is free text"]),
])  # fmt: skip
def test_advice_is_given_with_its_reason(column, words):
    told = "\n".join(hints(with_columns(column)))
    assert all(word in told for word in words)


def test_a_column_without_a_check_on_purpose_gets_no_advice_about_it():
    ruled = {"name": "bsn", "logicalType": "string", "customProperties": [{"property": "gla.rule", "value": "bsn"}]}
    told = "\n".join(hints(with_columns(ruled)))
    assert "gla.rule" not in told
    assert "free text" not in told


@pytest.mark.parametrize("name", product_names())
def test_our_own_products_have_no_errors(name):
    assert [each for each in lint(product_contract(name)) if each.severity == "error"] == []


def test_lint_has_errors_exactly_where_the_loader_and_compiler_refuse(shared_vectors):
    for path in sorted((shared_vectors / "odcs").iterdir()):
        data = path.read_bytes()
        try:
            compile_table(load_contract(data).table)
            refused = False
        except UnusableInput as error:
            refused = "name the one" not in str(error)  # several tables are no defect of a contract
        if b"adventureworks" not in path.name.encode() and "several" not in path.name:
            told = [each for each in lint(data) if each.severity == "error"]
            assert bool(told) >= refused, path.name
            assert all(each.line and len(each.message) < 250 and "\n" not in each.message for each in told)


def test_a_contract_with_hundreds_of_bad_columns_is_told_in_seconds():
    bad = [{"name": f"c{at}", "logicalType": "string", "logicalTypeOptions": {"pattern": "(?=x)"}} for at in range(300)]
    started = time.monotonic()
    assert len(errors(with_columns(*bad))) == 300
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("data", [b"", b"[1]", b"a: [", b"\xff", b"!!python/object:os.system {}", b'{"a": 1, "a": 2}'])
def test_what_is_no_document_is_unusable(data):
    with pytest.raises(UnusableInput):
        lint(data)


@pytest.mark.parametrize("name", [["a"], {"a": 1}, 7, None])
def test_a_name_that_is_no_text_is_told_and_no_defect_of_lint(name):
    assert errors(with_columns({"name": name, "id": name, "quality": [{"metric": "nullValues"}]}, {"name": "b"}))


def test_values_are_never_told():
    text = with_columns({"name": "a", "logicalType": "SECRET", "SECRET x": "SECRET", "required": "SECRET"})
    assert all("SECRET" not in each.message + each.path for each in lint(text.encode()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "string", "bsn", "gla.rule", "v3.2.0"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([
        "schema", "properties", "name", "logicalType", "items", "quality", "enum", "customProperties", "property",
        "value", "description", "examples", "slaProperties", "logicalTypeOptions", "relationships", "price",
    ]), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["schema", "description", "customProperties", "slaProperties"]), JSON, min_size=1)
)
def test_any_document_is_told_about_and_none_is_a_defect_of_lint(document):
    assert lint(json.dumps(document).encode())
