"""When an agreement can promise mutations, and every way in which its contract cannot."""

from __future__ import annotations

import copy

import pytest

from core.canonical import canonical_json
from schemas.agreement import load_agreement, term_problems
from schemas.contract import load_contract
from schemas.lint.findings import lint
from tests.unit.schemas.test_agreement import document, refusal

KEY = {"name": "id", "logicalType": "integer", "primaryKey": True}
AMOUNT = {"name": "amount", "logicalType": "integer"}
CODE = {"name": "code", "logicalType": "string", "required": True, "enum": [{"value": value} for value in "NWV"]}


def agreement(*properties, quality=(), relationships=(), **terms):
    value = document(**{"mutations": {"column": "code"}} | terms)
    table = {"name": "people", "properties": copy.deepcopy(list(properties or (KEY, AMOUNT, CODE)))}
    value["schema"] = [table | ({"quality": list(quality)} if quality else {})]
    if relationships:
        value["schema"][0]["relationships"] = list(relationships)
    return value


def load(value):
    return load_agreement(canonical_json(value))


def test_a_contract_with_a_key_and_room_for_ended_rows():
    term = load(agreement()).mutations
    assert (term.column, term.new, term.changed, term.ended, term.key) == ("code", "N", "W", "V", ("id",))


def test_without_the_term_every_delivery_is_full():
    assert load(document()).mutations is None


def test_codes_of_its_own():
    own = CODE | {"enum": [{"value": value} for value in ("insert", "update", "delete", "other")]}
    codes = {"new": "insert", "changed": "update", "ended": "delete"}
    term = load(agreement(KEY, own, mutations={"column": "code", **codes})).mutations
    assert (term.new, term.changed, term.ended) == ("insert", "update", "delete")


@pytest.mark.parametrize(
    "value",
    [
        "code", [], {}, {"column": 5}, {"column": "nothing"}, {"column": "amount"}, {"column": "id"},
        {"column": "code", "more": 1}, {"column": "code", "new": "X"}, {"column": "code", "new": "W"},
        {"column": "code", "new": ["N"]}, {"column": "code", "ended": None}, {"column": ["code"]},
    ],
)  # fmt: skip
def test_a_term_that_is_wrong_is_refused(value):
    assert "gla.mutations" in refusal(agreement(mutations=value))


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ((KEY | {"primaryKey": False}, AMOUNT, CODE), "primaryKey"),
        ((KEY, AMOUNT, CODE | {"primaryKey": True}), "column code may not be part of the primaryKey"),
        ((KEY, AMOUNT, {"name": "code", "logicalType": "string"}), "enum"),
        ((KEY, AMOUNT | {"required": True}, CODE), "column amount may not be required"),
    ],
)
def test_a_contract_that_leaves_no_room_is_refused(properties, said):
    assert said in refusal(agreement(*properties))


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "missingValues", "arguments": {"missingValues": [0]}, "mustBeLessThan": 50, "unit": "percent"},
    ],
)
def test_a_rule_that_ended_rows_would_break_is_refused(rule):
    assert "column amount may not have the quality rule" in refusal(agreement(KEY, AMOUNT | {"quality": [rule]}, CODE))


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "nullValues", "mustBe": 0, "severity": "warning"},
        {"metric": "nullValues", "mustBeLessOrEqualTo": 100, "unit": "percent"},
        {"metric": "duplicateValues", "mustBe": 0},
        {"metric": "invalidValues", "arguments": {"validValues": [1]}, "mustBe": 0},
    ],
)
def test_a_rule_that_ended_rows_keep_is_fine(rule):
    assert load(agreement(KEY, AMOUNT | {"quality": [rule]}, CODE)).mutations is not None


def test_what_takes_all_rows_to_hold_is_refused():
    pointing = {"name": "boss", "logicalType": "integer", "relationships": [{"to": "people.id"}]}
    assert "relationships" in refusal(agreement(KEY, pointing, CODE))
    total = {"rule": "sum-equals", "columns": ["id"], "over": "delivery"}
    summed = AMOUNT | {"customProperties": [{"property": "gla.rule", "value": total}]}
    assert "over delivery" in refusal(agreement(KEY, summed, CODE))


def test_no_row_is_chosen_by_a_column_that_the_source_lacks():
    condition = {"column": "code", "operator": "equals", "value": "N"}
    assert "gla.filter" in refusal(agreement(filter=[condition]))


def test_participants_must_be_known_by_the_key():
    bsn = {"name": "bsn", "logicalType": "string"}
    wrong = agreement(KEY, bsn, CODE, participants={"column": "bsn", "maximum": 10})
    assert "gla.participants.column" in refusal(wrong)
    right = agreement(bsn | {"primaryKey": True}, CODE, participants={"column": "bsn", "maximum": 10})
    assert load(right).mutations.key == ("bsn",)


def test_lint_tells_it_at_the_term():
    wrong = agreement(KEY, AMOUNT | {"required": True}, CODE)
    assert [name for name, _ in term_problems(load_contract(canonical_json(wrong)))] == ["gla.mutations"]


@pytest.mark.parametrize(
    ("column", "operator", "bound", "advised"),
    [("day", "greaterOrEqualTo", "period.start", True), ("day", "lessThan", "period.end", False)],
)
def test_lint_advises_against_rows_of_one_period_only(column, operator, bound, advised):
    day = {"name": "day", "logicalType": "date"}
    value = agreement(KEY, day, CODE, filter=[{"column": column, "operator": operator, "bound": bound}])
    sentences = [finding.message for finding in lint(canonical_json(value))]
    assert any("told as ended" in sentence for sentence in sentences) is advised
