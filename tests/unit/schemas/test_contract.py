"""Loading an ODCS contract: raw document check, one table, names that cannot widen a delivery."""

import json

import pytest

from core.errors import UnusableInput
from schemas.contract import load_contract

HEAD = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0"}


def contract(*tables, **more):
    return json.dumps(HEAD | {"schema": list(tables)} | more).encode()


def table(*properties, name="t", **more):
    return {"name": name, "properties": list(properties)} | more


def prop(name="a", **more):
    return {"name": name, "logicalType": "string"} | more


def test_names_types_and_keys_are_read():
    loaded = load_contract(
        contract(
            table(
                prop("x", physicalName="X_1", primaryKey=True, primaryKeyPosition=2),
                prop("y", primaryKey=True, primaryKeyPosition=1),
            ),
            name="Contract",
        )
    )
    assert (loaded.id, loaded.version, loaded.name, loaded.table.name) == ("c", "1.0.0", "Contract", "t")
    assert [(c.name, c.source_name, c.required) for c in loaded.table.columns] == [("x", "X_1", True), ("y", "y", True)]
    assert loaded.table.primary_key == ("y", "x")


def test_contract_without_our_custom_properties_is_fine():
    loaded = load_contract(contract(table(prop()), customProperties=[{"property": "owner", "value": {"a": [1]}}]))
    assert loaded.custom("owner") == {"a": [1]}
    assert loaded.custom("gla.source") is None


def test_custom_property_named_twice_is_refused():
    twice = [{"property": "gla.source", "value": value} for value in ("a", "b")]
    with pytest.raises(UnusableInput, match="more than once"):
        load_contract(contract(table(prop()), customProperties=twice)).custom("gla.source")


def test_one_of_several_tables_is_chosen_by_name():
    data = contract(table(prop("a"), name="one"), table(prop("b"), name="two"))
    assert load_contract(data, "two").table.columns[0].name == "b"
    with pytest.raises(UnusableInput, match="2 tables"):
        load_contract(data)
    with pytest.raises(UnusableInput, match="no table of that name"):
        load_contract(data, "three")


@pytest.mark.parametrize("name", ["*", "^.*$", "^a$", " a", "a\n", "a\x00", "x" * 201])
@pytest.mark.parametrize("key", ["name", "physicalName"])
def test_column_name_that_could_select_other_columns_is_refused(name, key):
    with pytest.raises(UnusableInput, match="column name"):
        load_contract(contract(table(prop() | {key: name})))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "C:\\a", "..", "."])
def test_name_that_could_become_a_path_is_refused(name):
    for data in (contract(table(prop(name))), contract(table(prop(), name=name))):
        with pytest.raises(UnusableInput, match="path"):
            load_contract(data)
    assert load_contract(contract(table(prop(physicalName="a/b")))).table.columns[0].source_name == "a/b"


def test_columns_beyond_the_limit_are_refused():
    with pytest.raises(UnusableInput, match="more than 500 columns"):
        load_contract(contract(table(*(prop(f"c{at}") for at in range(501)))))


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ([], "no properties"),
        ([prop(), prop()], "twice"),
        ([{"name": "a"}], "no logicalType"),
        ([prop(logicalType="object")], "without properties"),
        ([prop(logicalType="array")], "without items"),
        ([prop(logicalType="map", map={"key": {}, "value": {}})], "ODCS|not supported"),
        ([prop(logicalType="vector", logicalTypeOptions={"dimensions": 3})], "not supported"),
        ([prop(semanticType="measure")], "measure"),
        ([prop(customProperties=[{"property": "gla.unknown", "value": 1}])], "unknown here"),
    ],
)
def test_what_cannot_be_checked_is_refused_not_skipped(properties, reason):
    with pytest.raises(UnusableInput, match=reason):
        load_contract(contract(table(*properties)))


def test_document_without_table_is_refused():
    with pytest.raises(UnusableInput, match="no table"):
        load_contract(contract())


@pytest.mark.parametrize(
    "document",
    [
        contract(table(prop(surprise="SECRET"))),
        contract(table(prop(required="SECRET"))),
        contract(table(prop()), SECRET={"a": 1}),
        contract(table(prop()), price={"priceAmount": 1, "SECRET": 2}),
        json.dumps({"kind": "SECRET"}).encode(),
        json.dumps(HEAD | {"apiVersion": "SECRET"}).encode(),
        json.dumps(HEAD | {"schema": {"SECRET": "SECRET"}}).encode(),
    ],
)
def test_document_that_breaks_odcs_is_refused_with_a_path_and_no_value(document):
    with pytest.raises(UnusableInput, match=r"ODCS 3\.2\.0 at \$") as caught:
        load_contract(document)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__context__ is None


def test_unquoted_timestamp_stays_text_so_that_the_document_can_be_digested():
    text = "apiVersion: v3.2.0\nkind: DataContract\nid: c\nversion: 1.0.0\ncontractCreatedTs: 2026-01-01T00:00:00Z\n"
    loaded = load_contract((text + "schema: [{name: t, properties: [{name: a, logicalType: date}]}]").encode())
    assert loaded.document["contractCreatedTs"] == "2026-01-01T00:00:00Z"
