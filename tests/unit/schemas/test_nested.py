"""Arrays and objects are judged inside, as a plain Python reading of the same promises judges them."""

import io
import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.table import Column, Table, read_table
from schemas.validation import Validator
from tests.soak import examples


def read(logical_type, **more):
    """The compiled table of one column `a`, read as from a contract."""
    prop = {"name": "a", "logicalType": logical_type} | more
    return compile_table(read_table({"name": "t", "properties": [prop]}))


def failures(compiled, values, dtype=None):
    judge = Validator(compiled)
    judge.check(pl.DataFrame({"a": pl.Series(values, dtype=dtype or compiled.dtypes["a"])}))
    return {(each.column, each.rule): each.count for each in judge.finish().failures}


def text(**more):
    return {"logicalType": "string"} | more


def named(name, logical_type="string", **more):
    return {"name": name, "logicalType": logical_type} | more


ADDRESS = [
    named("street", required=True),
    named("postcode", logicalTypeOptions={"pattern": "^[0-9]{4}[A-Z]{2}$"}),
    named("number", "integer", logicalTypeOptions={"minimum": 1}),
]


@pytest.mark.parametrize(
    ("options", "good", "bad"),
    [
        ({"minItems": 1}, [["x"], [None], None], [[]]),
        ({"maxItems": 1}, [["x"], [], None], [["x", "y"], [None, None]]),
        ({"uniqueItems": True}, [["x", "y"], [], None, ["x", None, None]], [["x", "x"], ["x", None, "x"]]),
        ({"uniqueItems": False}, [["x", "x"]], []),
    ],
)
def test_array_option_is_enforced_exactly(options, good, bad):
    compiled = read("array", items=text(), logicalTypeOptions=options)
    assert failures(compiled, good) == {}
    rule = next(iter(options))
    expected = {("a", rule): len(bad)} if bad else {}
    assert failures(compiled, [*good, *bad]) == expected


@pytest.mark.parametrize(
    ("items", "good", "bad", "rule"),
    [
        (text(required=True), [["x"], [], None], [[None], ["x", None]], "required"),
        (text(logicalTypeOptions={"pattern": "^x"}), [["x", "xx", None], [], None], [["x", "y"]], "pattern"),
        (text(enum=[{"value": "x"}]), [["x", None], [], None], [["y"]], "enum"),
        (text(customProperties=[{"property": "gla.rule", "value": "bsn"}]), [["111222333"]], [["123456789"]], "bsn"),
        ({"logicalType": "integer", "logicalTypeOptions": {"maximum": 1}}, [[1, None], []], [[0, 2]], "maximum"),
        ({"logicalType": "number"}, [[1.5]], [[math.nan], [1.0, math.inf]], "logicalType"),
        ({"logicalType": "integer", "logicalTypeOptions": {"format": "i8"}}, [[127]], [[128]], "format"),
        ({"logicalType": "integer", "logicalTypeOptions": {"format": "i64"}}, [[2**63 - 1], []], [], "format"),
    ],
)
def test_every_item_must_obey_and_a_row_counts_once(items, good, bad, rule):
    compiled = read("array", items=items)
    assert failures(compiled, good) == {}
    assert failures(compiled, good[:0]) == {}
    expected = {("a[]", rule): 2 * len(bad)} if bad else {}
    assert failures(compiled, [*good, *bad, *bad]) == expected


def test_property_of_an_object_is_named_by_its_place():
    compiled = read("object", properties=ADDRESS)
    good = [{"street": "s", "postcode": "1234AB", "number": 1}, {"street": "s", "postcode": None, "number": None}, None]
    bad = [{"street": None, "postcode": "x", "number": 0}, {"street": "s", "postcode": "", "number": 1}]
    assert failures(compiled, good) == {}
    expected = {("a.street", "required"): 1, ("a.postcode", "pattern"): 2, ("a.number", "minimum"): 1}
    assert failures(compiled, [*good, *bad]) == expected


def test_object_that_is_required_may_not_be_null_and_what_stands_in_null_is_not_required():
    assert failures(read("object", properties=ADDRESS, required=True), [None]) == {("a", "required"): 1}
    assert failures(read("object", properties=ADDRESS), [None]) == {}


@pytest.mark.parametrize(
    ("options", "good", "bad", "place"),
    [
        ({"required": ["x"]}, [{"x": 1, "y": None}, None], [{"x": None, "y": 1}], ("a.x", "required")),
        ({"minProperties": 1}, [{"x": 1, "y": None}, None], [{"x": None, "y": None}], ("a", "minProperties")),
        ({"maxProperties": 1}, [{"x": 1, "y": None}, None], [{"x": 1, "y": 1}], ("a", "maxProperties")),
        ({"minProperties": 0}, [{"x": None, "y": None}, None], [], None),
    ],
)
def test_object_option_is_enforced_exactly(options, good, bad, place):
    compiled = read("object", properties=[named("x", "integer"), named("y", "integer")], logicalTypeOptions=options)
    assert failures(compiled, good) == {}
    assert failures(compiled, [*good, *bad]) == ({place: 1} if bad else {})


def test_arrays_of_objects_of_arrays_are_judged_to_the_bottom():
    phones = named("phones", "array", items=text(required=True, logicalTypeOptions={"minLength": 2}))
    compiled = read("array", items={"logicalType": "object", "properties": [phones, named("id", "integer")]})
    rows = [
        [{"phones": ["12", "34"], "id": 1}, None],
        [],
        None,
        [{"phones": None, "id": None}],
        [{"phones": [], "id": 1}],
    ]
    assert failures(compiled, rows) == {}
    bad = [[{"phones": ["12"], "id": 1}, {"phones": ["1", None], "id": 2}], [{"phones": ["1"], "id": 3}]]
    assert failures(compiled, [*rows, *bad]) == {
        ("a[].phones[]", "minLength"): 2,
        ("a[].phones[]", "required"): 1,
    }


def test_unique_items_may_be_objects():
    compiled = read(
        "array",
        items={"logicalType": "object", "properties": [named("x", "integer"), named("y")]},
        logicalTypeOptions={"uniqueItems": True},
    )
    rows = [[{"x": 1, "y": "a"}, {"x": 1, "y": "b"}], [{"x": 1, "y": None}, None, None]]
    assert failures(compiled, rows) == {}
    assert failures(compiled, [[{"x": 1, "y": None}, {"x": 1, "y": None}]]) == {("a", "uniqueItems"): 1}


NO_DUPLICATES = {"metric": "duplicateValues", "mustBe": 0}
OBJECT = read("object", properties=ADDRESS)
STORED = {"street": pl.String(), "postcode": pl.String(), "number": pl.Int64()}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (STORED | {"number": pl.Int8()}, {}),
        (dict(reversed(STORED.items())), {}),
        (STORED | {"number": pl.String()}, {("a.number", "logicalType"): 2}),
        (STORED | {"extra": pl.String()}, {("a", "columnNotAgreed"): 1}),
        ({"street": pl.String(), "number": pl.Int64()}, {("a.postcode", "columnMissing"): 1}),
    ],
)
def test_stored_type_inside_is_never_coerced_and_the_difference_is_named(fields, expected):
    assert failures(OBJECT, [None, None], pl.Struct(fields)) == expected


def test_a_wrong_type_inside_fails_also_where_there_are_no_rows():
    for fields in (STORED | {"number": pl.String()}, STORED | {"extra": pl.String()}):
        assert failures(OBJECT, [], pl.Struct(fields)) != {}
    assert failures(OBJECT, [], pl.String) == {("a", "logicalType"): 1}
    assert failures(read("array", items=text()), [], pl.List(pl.Int8)) == {("a[]", "logicalType"): 1}
    assert failures(read("array", items=text()), ["x"], pl.String) == {("a", "logicalType"): 1}


def test_nothing_inside_is_judged_where_the_type_is_wrong():
    compiled = read("object", properties=ADDRESS)
    values = [{"street": None, "postcode": "x", "number": "y"}]
    assert failures(compiled, values, pl.Struct(STORED | {"number": pl.String()})) == {("a.number", "logicalType"): 1}


def test_parquet_keeps_the_difference_between_null_and_empty():
    compiled = read("array", items=text(required=True), logicalTypeOptions={"minItems": 1})
    target = io.BytesIO()
    pl.DataFrame({"a": [[], None, [None], ["x"]]}, schema=dict(compiled.dtypes)).write_parquet(target)
    target.seek(0)
    assert failures(compiled, pl.read_parquet(target)["a"]) == {("a", "minItems"): 1, ("a[]", "required"): 1}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"logicalType": "array"}, "array without items"),
        ({"logicalType": "array", "items": {}}, "array without items"),
        ({"logicalType": "array", "items": {"required": True}}, r"a\[\] has no logicalType"),
        ({"logicalType": "array", "items": {"logicalType": "map"}}, r"a\[\] has logicalType map"),
        ({"logicalType": "array", "items": text(unique=True)}, "unique, which only a whole column"),
        ({"logicalType": "array", "items": text(quality=[NO_DUPLICATES])}, "quality, which only"),
        ({"logicalType": "array", "items": text(properties=[named("x")])}, "only an object can have"),
        ({"logicalType": "array", "items": text(), "enum": [{"value": "x"}]}, "can have no enum"),
        ({"logicalType": "array", "items": text(), "unique": True}, "be no key"),
        ({"logicalType": "array", "items": text(), "primaryKey": True}, "be no key"),
        ({"logicalType": "array", "items": text(), "quality": [NO_DUPLICATES]}, "not fit an array"),
        ({"logicalType": "array", "items": text(), "logicalTypeOptions": {"minLength": 1}}, "logicalTypeOption"),
        ({"logicalType": "object"}, "object without properties"),
        ({"logicalType": "object", "properties": [named("x"), named("x")]}, "twice"),
        ({"logicalType": "object", "properties": [named("x", physicalName="X")]}, "only whole columns can be renamed"),
        ({"logicalType": "object", "properties": [named("x", primaryKey=True)]}, "primaryKey, which only a whole"),
        (
            {"logicalType": "object", "properties": [named("x", relationships=[{"to": "t.a"}])]},
            "relationships, which only",
        ),
        ({"logicalType": "object", "properties": [named("x")], "logicalTypeOptions": {"required": ["y"]}}, "requires"),
        (
            {"logicalType": "object", "properties": [named("x", logicalTypeOptions={"format": "binary"})]},
            r"a\.x has a string",
        ),
    ],
)
def test_nested_promise_that_cannot_be_kept_is_refused(more, reason):
    with pytest.raises(UnusableInput, match=reason):
        compile_table(read_table({"name": "t", "properties": [{"name": "a"} | more]}))


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "not-before", "column": "b"},
        {"rule": "sum-equals", "columns": ["b"]},
        {"rule": "sum-equals", "columns": ["b"], "over": "delivery"},
    ],
)
def test_rule_that_compares_columns_is_refused_inside_them(rule):
    kind = "date" if rule["rule"] == "not-before" else "integer"
    inner = named("x", kind, customProperties=[{"property": "gla.rule", "value": rule}])
    columns = [named("a", "object", properties=[inner]), named("b", kind)]
    with pytest.raises(UnusableInput, match="only a whole column"):
        compile_table(read_table({"name": "t", "properties": columns}))


def test_names_of_places_may_not_be_mixed_up_with_names_of_columns():
    columns = [named("a", "object", properties=[named("x")]), named("a.x")]
    with pytest.raises(UnusableInput, match="twice"):
        read_table({"name": "t", "properties": columns})


def test_deep_nesting_is_refused_in_one_sentence():
    inner = text()
    for _ in range(20):
        inner = {"logicalType": "array", "items": inner}
    with pytest.raises(UnusableInput, match="deeper than 8 levels"):
        read_table({"name": "t", "properties": [{"name": "a"} | inner]})


def test_nested_contract_is_loaded_as_odcs():
    contract = b"""
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
  - name: t
    properties:
      - name: a
        logicalType: array
        logicalTypeOptions: {maxItems: 1}
        items:
          logicalType: object
          properties: [{name: zip, logicalType: string, logicalTypeOptions: {maxLength: 4}}]
"""
    compiled = compile_table(load_contract(contract).table)
    assert failures(compiled, [[{"zip": "12345"}], [{"zip": "1"}, {"zip": None}]]) == {
        ("a[].zip", "maxLength"): 1,
        ("a", "maxItems"): 1,
    }


# A naive reading of the same promises, value by value.


def broken(column, value, place):
    """The (place, rule) pairs that one value breaks."""
    found = set()
    if value is None:
        return {(place, "required")} if column.required else found
    options = column.options
    if column.logical_type == "array":
        kept = [each for each in value if each is not None]
        found |= {(place, "minItems")} if len(value) < options.get("minItems", 0) else set()
        found |= {(place, "maxItems")} if len(value) > options.get("maxItems", math.inf) else set()
        repeated = any(each in kept[:at] for at, each in enumerate(kept))
        found |= {(place, "uniqueItems")} if options.get("uniqueItems") and repeated else set()
        for each in value:
            found |= broken(column.items, each, f"{place}[]")
    elif column.logical_type == "object":
        present = sum(each is not None for each in value.values())
        found |= {(place, "minProperties")} if present < options.get("minProperties", 0) else set()
        found |= {(place, "maxProperties")} if present > options.get("maxProperties", math.inf) else set()
        for name, inner in column.properties.items():
            if name in options.get("required", ()) and value[name] is None:
                found |= {(f"{place}.{name}", "required")}
            found |= broken(inner, value[name], f"{place}.{name}")
    elif column.logical_type == "integer":
        found |= {(place, "minimum")} if value < options.get("minimum", -math.inf) else set()
        found |= {(place, "enum")} if column.enum is not None and value not in column.enum else set()
    else:
        found |= {(place, "maxLength")} if len(value) > options.get("maxLength", math.inf) else set()
    return found


def option(name, values):
    return st.just({}) | st.fixed_dictionaries({name: values})


def leaves(name):
    flags = st.booleans()
    texts = st.builds(
        lambda options, required: Column(name, name, "string", options, required),
        option("maxLength", st.integers(0, 2)),
        flags,
    )
    numbers = st.builds(
        lambda options, required, enum: Column(name, name, "integer", options, required, enum=enum),
        option("minimum", st.integers(-1, 2)),
        flags,
        st.none() | st.just((0, 1, 2)),
    )
    return texts | numbers


def columns(name, depth):
    if depth == 0:
        return leaves(name)
    small = st.integers(0, 2)
    arrays = st.builds(
        lambda items, least, most, unique, required: Column(
            name, name, "array", least | most | unique, required, items=items
        ),
        columns(f"{name}[]", depth - 1),
        option("minItems", small),
        option("maxItems", small),
        option("uniqueItems", st.booleans()),
        st.booleans(),
    )
    objects = st.builds(
        lambda x, y, least, most, needed, required: Column(
            name, name, "object", least | most | needed, required, properties={"x": x, "y": y}
        ),
        columns(f"{name}.x", depth - 1),
        columns(f"{name}.y", depth - 1),
        option("minProperties", small),
        option("maxProperties", small),
        option("required", st.just(["x"])),
        st.booleans(),
    )
    return leaves(name) | arrays | objects


def values(column):
    if column.logical_type == "array":
        return st.none() | st.lists(values(column.items), max_size=3)
    if column.logical_type == "object":
        return st.none() | st.fixed_dictionaries({name: values(each) for name, each in column.properties.items()})
    return st.none() | (st.integers(-2, 3) if column.logical_type == "integer" else st.text("ab", max_size=3))


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(40))
@given(columns("a", 3).flatmap(lambda column: st.tuples(st.just(column), st.lists(values(column), max_size=6))))
def test_nested_promises_agree_with_a_naive_reading(case):
    column, rows = case
    expected = {}
    for row in rows:
        for place in broken(column, row, "a"):
            expected[place] = expected.get(place, 0) + 1
    assert failures(compile_table(Table("t", (column,))), rows) == expected
