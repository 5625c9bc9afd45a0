"""Relationships are read in both notations, and only those inside the one table of a delivery."""

import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.relationships import Reference
from schemas.table import read_table

ID = {"name": "id", "id": "id_field", "logicalType": "integer", "unique": True}
PARENT = {"name": "parent", "id": "parent_field", "logicalType": "integer"}


def compiled(*columns, **more):
    return compile_table(read_table({"name": "staff", "id": "staff_tbl", "properties": list(columns)} | more))


def pointing(to, **more):
    return PARENT | {"relationships": [{"to": to}]} | more


@pytest.mark.parametrize(
    "to", ["staff.id", "schema/staff_tbl/properties/id_field", "/schema/staff_tbl/properties/id_field", ["staff.id"]]
)
def test_reference_of_a_column_is_read_in_both_notations(to):
    (reference,) = compiled(ID, pointing(to)).references
    assert reference == Reference(("parent",), ("id",))
    assert (reference.label, reference.rule) == ("parent", "foreignKey(id)")


@pytest.mark.parametrize(
    ("origin", "to"),
    [
        (["staff.x", "staff.y"], ["staff.a", "staff.b"]),
        (
            ["schema/staff_tbl/properties/x_id", "schema/staff_tbl/properties/y_id"],
            ["schema/staff_tbl/properties/a_id", "schema/staff_tbl/properties/b_id"],
        ),
    ],
)
def test_composite_reference_of_the_table_keeps_its_pairs(origin, to):
    keys = [{"name": n, "id": f"{n}_id", "logicalType": "string", "primaryKey": True} for n in "ab"]
    others = [{"name": n, "id": f"{n}_id", "logicalType": "string"} for n in "xy"]
    table = compiled(*keys, *others, relationships=[{"from": origin, "to": to, "type": "foreignKey"}])
    assert table.references == (Reference(("x", "y"), ("a", "b")),)
    assert table.references[0].rule == "foreignKey(a,b)"


def test_column_may_have_several_and_the_table_too():
    other = {"name": "code", "logicalType": "integer", "unique": True}
    column = PARENT | {"relationships": [{"to": "staff.id"}, {"to": "staff.code"}]}
    table = compiled(ID, other, column, relationships=[{"from": "staff.code", "to": "staff.id"}])
    assert [(each.label, each.rule) for each in table.references] == [
        ("parent", "foreignKey(id)"),
        ("parent", "foreignKey(code)"),
        ("code", "foreignKey(id)"),
    ]


@pytest.mark.parametrize(
    "to",
    [
        "other.id",
        "staff2.id",
        "schema/other_tbl/properties/id_field",
        "schema/staff/properties/id_field",
        "https://example.com/data-contract-v1.yaml#/schema/staff_tbl/properties/id_field",
        "https://example.com/data-contract-v1.yaml#staff.id",
        "contract.yaml#/schema/staff_tbl/properties/id_field",
        "servers/staff_tbl/properties/id_field",
    ],
)
def test_reference_to_another_table_is_refused_since_a_delivery_has_one(to):
    with pytest.raises(UnusableInput, match="another table"):
        compiled(ID, pointing(to))


@pytest.mark.parametrize(
    ("columns", "more", "reason"),
    [
        ([ID, pointing("staff.absent")], {}, "not one of its columns"),
        ([ID, pointing("staff.id.inner")], {}, "not one of its columns"),
        ([ID, pointing("schema/staff_tbl/properties/id")], {}, "not one of its columns"),
        ([ID, pointing("schema/staff_tbl/properties/id_field/properties/x")], {}, "not one of its columns"),
        ([ID, pointing("schema/staff_tbl/properties/id_field", id="id_field")], {}, "not one of its columns"),
        ([ID | {"unique": False}, pointing("staff.id")], {}, "not unique or primaryKey"),
        ([ID | {"unique": False, "primaryKey": True}, PARENT | {"primaryKey": True}], {"relationships": [
            {"from": "staff.parent", "to": "staff.id"}]}, "not unique or primaryKey"),
        ([ID, pointing("staff.id", logicalType="string")], {}, "of one type"),
        ([ID | {"logicalType": "number"}, pointing("staff.id", logicalType="number")], {}, "of one type"),
        ([ID, pointing(["staff.id", "staff.parent"])], {}, "pair each column"),
        ([ID | {"relationships": [{"to": "staff.id"}]}], {}, "points to itself"),
        ([ID, PARENT], {"relationships": [{"from": ["staff.parent", "staff.parent"], "to": ["staff.id", "staff.id"]}]},
         "pair each column"),
        ([ID, pointing("staff.id")], {"relationships": [{"from": "staff.parent", "to": "staff.id"}]}, "twice"),
    ],
)  # fmt: skip
def test_reference_that_cannot_be_checked_is_refused(columns, more, reason):
    with pytest.raises(UnusableInput, match=reason):
        compiled(*columns, **more)


def test_relationships_are_loaded_from_a_contract():
    contract = b"""
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
  - name: staff
    properties:
      - {name: id, logicalType: integer, unique: true}
      - {name: boss, logicalType: integer, relationships: [{to: staff.id, type: foreignKey}]}
"""
    assert compile_table(load_contract(contract).table).references == (Reference(("boss",), ("id",)),)
