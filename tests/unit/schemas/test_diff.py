"""What a difference between two contracts means to the recipient; and that none can be overlooked."""

import copy
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.canonical import digest
from schemas.contract import read_contract
from schemas.diff.documents import differences
from schemas.products import product_contract, product_names
from tests.soak import examples

BASE = {
    "apiVersion": "v3.2.0", "kind": "DataContract", "id": "GLA-1", "version": "1.0.0", "name": "n", "tenant": "fonds",
    "description": {"purpose": "pensions", "usage": "once", "limitations": "none"},
    "authoritativeDefinitions": [
        {"type": "legalBasis", "url": "https://wetten.overheid.nl/x"}, {"type": "wiki", "url": "https://example.org"}],
    "price": {"priceAmount": 100, "priceCurrency": "EUR", "priceUnit": "delivery"},
    "schema": [{
        "name": "people", "description": "One row.", "quality": [
            {"metric": "rowCount", "mustBeGreaterThan": 0, "description": "never empty"}],
        "properties": [
            {"name": "id", "logicalType": "integer", "primaryKey": True,
             "logicalTypeOptions": {"minimum": 1, "maximum": 99}},
            {"name": "code", "physicalName": "CODE", "logicalType": "string", "unique": True, "required": True,
             "enum": [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}],
             "quality": [{"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}]},
            {"name": "bsn", "logicalType": "string", "classification": "restricted",
             "customProperties": [{"property": "gla.rule", "value": "bsn"}]},
            {"name": "home", "logicalType": "object", "properties": [
                {"name": "street", "logicalType": "string", "logicalTypeOptions": {"maxLength": 10}}]},
            {"name": "phones", "logicalType": "array", "items": {"logicalType": "string"}},
        ],
    }],
    "slaProperties": [
        {"property": "frequency", "value": 1, "unit": "month"}, {"property": "latency", "value": 3, "unit": "d"},
        {"property": "retention", "value": 30, "unit": "d"}],
    "customProperties": [
        {"property": "gla.recipient", "value": {"name": "fonds", "kvk": "90000102"}},
        {"property": "gla.recipientKeys", "value": ["SHA256:a", "SHA256:b"]},
        {"property": "gla.validUntil", "value": "2026-12-31"}, {"property": "gla.format", "value": "parquet"},
        {"property": "gla.filter", "value": [
            {"column": "kind", "operator": "in", "value": ["x", "y"]},
            {"column": "id", "operator": "lessThan", "value": 50},
            {"column": "day", "operator": "greaterOrEqualTo", "bound": "period.start"}]},
        {"property": "owner", "value": "team a"}],
}  # fmt: skip


def edited(*steps, value=None, remove=False):
    """BASE with one place changed; a step in a list is a position, or the name or property of the item."""
    document = copy.deepcopy(BASE)
    place = document
    for step in steps[:-1]:
        place = place[position(place, step)]
    if remove:
        del place[position(place, steps[-1])]
    elif steps[-1] is None:
        place.append(value)
    else:
        place[position(place, steps[-1])] = value
    return document


def position(place, step):
    if isinstance(place, list) and isinstance(step, str):
        return next(at for at, each in enumerate(place) if step in (each.get("name"), each.get("property")))
    return step


def column(*steps, **how):
    return edited("schema", 0, "properties", *steps, **how)


def term(name, value):
    return edited("customProperties", name, "value", value=value)


def told(new, old=BASE):
    return {(change.kind, change.new_request) for change in differences(old, new)}


BREAK, FIT, WORDS = ("breaking", False), ("compatible", False), ("editorial", False)
BREAK_ASK, FIT_ASK = ("breaking", True), ("compatible", True)
IN, LESS = {"column": "kind", "operator": "in"}, {"column": "id", "operator": "lessThan"}
START = {"column": "day", "operator": "greaterOrEqualTo", "bound": "period.start"}

CASES = {
    "purpose": (edited("description", "purpose", value="marketing"), {BREAK_ASK}),
    "usage": (edited("description", "usage", value="for ever"), {BREAK_ASK}),
    "purpose, white space": (edited("description", "purpose", value=" pensions\n"), {WORDS}),
    "limitations": (edited("description", "limitations", value="some"), {BREAK}),
    "legal basis": (edited("authoritativeDefinitions", 0, "url", value="https://wetten.overheid.nl/y"), {BREAK_ASK}),
    "legal basis gone": (edited("authoritativeDefinitions", 0, remove=True), {BREAK_ASK}),
    "other document": (edited("authoritativeDefinitions", 1, "url", value="https://example.net"), {WORDS}),
    "recipient": (term("gla.recipient", {"name": "other", "kvk": "90000102"}), {BREAK_ASK}),
    "tenant": (edited("tenant", value="other"), {BREAK_ASK}),
    "version": (edited("version", value="1.0.1"), {WORDS}),
    "id": (edited("id", value="GLA-2"), {BREAK}),
    "column added": (column(None, value={"name": "new", "logicalType": "string"}), {FIT_ASK}),
    "column removed": (column("bsn", remove=True), {BREAK}),
    "column renamed": (column("code", "name", value="sort"), {BREAK}),
    "column of another source column": (column("code", "physicalName", value="OTHER"), {BREAK_ASK}),
    "source name written out": (column("id", "physicalName", value="id"), {WORDS}),
    "type widened": (column("id", "logicalType", value="number"), {BREAK}),
    "type changed": (column("bsn", "logicalType", value="integer"), {BREAK}),
    "required relaxed": (column("code", "required", value=False), {BREAK}),
    "required added": (column("bsn", "required", value=True), {FIT}),
    "unique dropped": (column("code", "unique", remove=True), {BREAK}),
    "unique added": (column("bsn", "unique", value=True), {FIT}),
    "key dropped": (column("id", "primaryKey", remove=True), {BREAK}),
    "bound wider": (column("id", "logicalTypeOptions", "maximum", value=100), {BREAK}),
    "bound narrower": (column("id", "logicalTypeOptions", "maximum", value=98), {FIT}),
    "lower bound wider": (column("id", "logicalTypeOptions", "minimum", value=0), {BREAK}),
    "bound gone": (column("id", "logicalTypeOptions", "minimum", remove=True), {BREAK}),
    "pattern added": (column("bsn", "logicalTypeOptions", value={"pattern": "^x$"}), {FIT}),
    "code added": (column("code", "enum", None, value={"value": "c"}), {BREAK}),
    "code removed": (column("code", "enum", 1, remove=True), {FIT}),
    "label": (column("code", "enum", 1, "label", value="Bee"), {WORDS}),
    "enum gone": (column("code", "enum", remove=True), {BREAK}),
    "rule gone": (column("bsn", "customProperties", remove=True), {BREAK}),
    "rule added": (column("id", "customProperties", value=[{"property": "gla.rule", "value": "x"}]), {FIT}),
    "classification": (column("bsn", "classification", value="public"), {BREAK}),
    "description": (column("bsn", "description", value="who"), {WORDS}),
    "deprecated": (column("bsn", "deprecated", value=True), {FIT}),
    "threshold looser": (column("code", "quality", 0, "mustBeLessThan", value=6), {BREAK}),
    "threshold stricter": (column("code", "quality", 0, "mustBeLessThan", value=4), {FIT}),
    "threshold in another unit": (column("code", "quality", 0, "unit", value="rows"), {BREAK}),
    "only a warning": (column("code", "quality", 0, "severity", value="warning"), {BREAK}),
    "quality gone": (column("code", "quality", remove=True), {BREAK}),
    "quality added": (column("id", "quality", value=[{"metric": "nullValues", "mustBe": 0}]), {FIT}),
    "quality, words": (edited("schema", 0, "quality", 0, "description", value="other"), {WORDS}),
    "operator stricter": (
        edited("schema", 0, "quality", value=[{"metric": "rowCount", "mustBeBetween": [0, 9]}]), {FIT}),
    "nested bound": (column("home", "properties", "street", "logicalTypeOptions", "maxLength", value=11), {BREAK}),
    "nested column": (column("home", "properties", None, value={"name": "x", "logicalType": "string"}), {FIT_ASK}),
    "items": (column("phones", "items", "logicalType", value="integer"), {BREAK}),
    "items narrower": (column("phones", "items", "required", value=True), {FIT}),
    "table renamed": (edited("schema", 0, "name", value="persons"), {BREAK}),
    "table described": (edited("schema", 0, "description", value="A row."), {WORDS}),
    "second table": (edited("schema", None, value={"name": "t", "properties": []}), {FIT_ASK}),
    "price up": (edited("price", "priceAmount", value=101), {BREAK}),
    "price down": (edited("price", "priceAmount", value=99), {FIT}),
    "price in dollars": (edited("price", "priceCurrency", value="USD"), {BREAK}),
    "later": (edited("slaProperties", "latency", "value", value=4), {BREAK}),
    "sooner": (edited("slaProperties", "latency", "value", value=2), {FIT}),
    "kept shorter": (edited("slaProperties", "retention", "value", value=29), {BREAK}),
    "kept longer": (edited("slaProperties", "retention", "value", value=31), {FIT}),
    "other frequency": (edited("slaProperties", "frequency", "unit", value="year"), {BREAK}),
    "frequency described": (edited("slaProperties", "frequency", "description", value="often"), {WORDS}),
    "valid longer": (term("gla.validUntil", "2027-12-31"), {FIT}),
    "valid shorter": (term("gla.validUntil", "2026-06-30"), {BREAK}),
    "other format": (term("gla.format", "csv.zst"), {BREAK}),
    "a key more": (term("gla.recipientKeys", ["SHA256:a", "SHA256:b", "SHA256:c"]), {FIT}),
    "a key less": (term("gla.recipientKeys", ["SHA256:a"]), {BREAK}),
    "other source": (edited("customProperties", None, value={"property": "gla.source", "value": "s"}), {BREAK_ASK}),
    "participants": (edited("customProperties", None, value={"property": "gla.participants", "value": 1}), {BREAK}),
    "property of others": (term("owner", "team b"), {WORDS}),
    "no filter": (edited("customProperties", "gla.filter", remove=True), {FIT_ASK}),
    "one condition less": (term("gla.filter", [IN | {"value": ["x", "y"]}, LESS | {"value": 50}]), {FIT_ASK}),
    "more kinds": (term("gla.filter", [IN | {"value": ["x", "y", "z"]}, LESS | {"value": 50}, START]), {FIT_ASK}),
    "fewer kinds": (term("gla.filter", [IN | {"value": ["x"]}, LESS | {"value": 50}, START]), {BREAK}),
    "other kinds": (term("gla.filter", [IN | {"value": ["x", "z"]}, LESS | {"value": 50}, START]), {BREAK, FIT_ASK}),
    "higher": (term("gla.filter", [IN | {"value": ["x", "y"]}, LESS | {"value": 60}, START]), {FIT_ASK}),
    "lower": (term("gla.filter", [IN | {"value": ["x", "y"]}, LESS | {"value": 40}, START]), {BREAK}),
    "same conditions": (term("gla.filter", [START, LESS | {"value": 50}, IN | {"value": ["x", "y"]}]), {WORDS}),
    "unknown key": (edited("roles", value=[{"role": "r"}]), {BREAK}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_told_for_what_it_is(name):
    new, expected = CASES[name]
    assert told(new) == expected
    assert differences(copy.deepcopy(BASE), BASE) == []


def row_count(**rule):
    return edited("schema", 0, "quality", value=[{"metric": "rowCount", **rule}])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"mustBeBetween": [0, 10]}, {"mustBeBetween": [1, 10]}, FIT),
        ({"mustBeBetween": [0, 10]}, {"mustBeBetween": [0, 11]}, BREAK),
        ({"mustBeBetween": [0, 10]}, {"mustBe": 9}, FIT),
        ({"mustBeBetween": [0, 10]}, {"mustBe": 10}, BREAK),
        ({"mustBeBetween": [0, 10]}, {"mustBeGreaterOrEqualTo": 0}, BREAK),
        ({"mustBeLessThan": 10}, {"mustBeBetween": [0, 10]}, FIT),
    ],
)
def test_what_lies_between_two_bounds_is_neither_of_them(before, after, expected):
    assert told(row_count(**after), row_count(**before)) == {expected}


@pytest.mark.parametrize(
    ("logical_type", "options", "before", "after", "expected"),
    [
        ("date", {}, "2026-12-31", "2026-12-30", FIT),
        ("date", {}, "2026-12-31", "20270101", BREAK),
        ("date", {}, "2026-W53-1", "2026-12-27", FIT),
        ("date", {"format": "dd-MM-yyyy"}, "31-01-2026", "01-12-2026", BREAK),
        ("date", {"format": "dd-MM-yyyy"}, "01-12-2026", "31-01-2026", FIT),
        ("date", {"format": "EEE"}, "b", "a", BREAK),  # of a document that does not compile
        ("time", {}, "12:00", "11:59:59", FIT),
        ("timestamp", {"timezone": True}, "2026-01-01T12:00:00+02:00", "2026-01-01T11:00:00+00:00", BREAK),
        ("timestamp", {"timezone": True}, "2026-01-01T12:00:00+02:00", "2026-01-01T09:00:00Z", FIT),
        ("timestamp", {}, "2026-01-01T12:00:00", "2026-01-01 11:00:00", FIT),
        ("integer", {}, 10, 9.5, FIT),
    ],
)
def test_bounds_are_compared_as_the_moments_that_they_mean(logical_type, options, before, after, expected):
    old, new = (
        column(None, value={"name": "x", "logicalType": logical_type, "logicalTypeOptions": {**options, "maximum": at}})
        for at in (before, after)
    )
    assert told(new, old) == {expected}


NEW_KEY = {"name": "new", "logicalType": "string", "primaryKey": True}


@pytest.mark.parametrize("grown", [column("bsn", "primaryKey", value=True), column(None, value=NEW_KEY)])
def test_a_key_of_more_columns_lets_what_was_the_key_repeat(grown):
    assert BREAK in told(grown)
    unique = copy.deepcopy(grown)
    unique["schema"][0]["properties"][0]["unique"] = True
    assert not any(kind == "breaking" for kind, _ in told(unique))


@pytest.mark.parametrize("by_position", ["csv", "csv.gz", "csv.zst", "fixed"])
def test_columns_in_another_order_break_only_who_may_count_them(by_position):
    document = copy.deepcopy(BASE)
    document["schema"][0]["properties"].reverse()
    assert told(document) == {FIT}
    counted = term("gla.format", by_position)
    other = copy.deepcopy(counted)
    other["schema"][0]["properties"].reverse()
    assert told(other, counted) == {BREAK}


def test_a_first_key_promises_more():
    keyless = column("id", "primaryKey", remove=True)
    assert told(BASE, keyless) == {FIT}


def test_a_rename_is_not_told_as_a_new_column():
    (change,) = differences(BASE, column("code", "name", value="sort"))
    assert change.message == "column code is now called sort"
    assert change.path == "schema.people.sort"


def test_the_gravest_comes_first_and_no_value_is_told():
    document = edited("description", "purpose", value="SECRET")
    document["version"] = "SECRET"
    document["customProperties"][4]["value"][0]["value"] = ["SECRET"]
    changes = differences(BASE, document)
    assert [change.new_request for change in changes] == sorted(
        [change.new_request for change in changes], reverse=True
    )
    assert "SECRET" not in json.dumps([change.as_json() for change in changes])


def places(value, path=()):
    """Every place of a document, itself excepted."""
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))


DOCUMENTS = [BASE, *(read_contract(product_contract(name)) for name in product_names())]


@pytest.mark.soak
@settings(max_examples=examples(80), deadline=None)
@given(st.data())
def test_no_edit_goes_unseen(data):
    """Drop, repeat or replace something anywhere: there is a change exactly if the digest is another one."""
    old = data.draw(st.sampled_from(DOCUMENTS))
    new = copy.deepcopy(old)
    *steps, last = data.draw(st.sampled_from(list(places(new))))
    owner = new
    for step in steps:
        owner = owner[step]
    how = data.draw(st.sampled_from(["remove", "replace", "reverse"]))
    if how == "remove" and last not in ("name", "property", "value", "type", "url"):
        del owner[last]
    elif how == "replace" and isinstance(owner[last], str):
        owner[last] = data.draw(st.sampled_from(["x", "2030-01-01", owner[last] + " "]))
    elif how == "reverse" and isinstance(owner[last], list):
        owner[last].reverse()
    assert bool(differences(old, new)) == (digest(old) != digest(new))
    assert bool(differences(new, old)) == (digest(old) != digest(new))


def test_what_the_public_examples_differ_in_is_told_too(shared_vectors):
    documents = [read_contract(path.read_bytes()) for path in sorted((shared_vectors / "odcs").iterdir())]
    for old, new in itertools.pairwise(documents):
        assert differences(old, old) == []
        assert differences(old, new)
