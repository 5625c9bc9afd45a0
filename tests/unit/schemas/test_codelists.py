"""A code list has a name and version; a column that refers to one carries exactly its values."""

import importlib.resources
import itertools

import pytest

from core.errors import UnusableInput
from schemas.codelists import code_list, code_list_names
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.products import product_contract, product_names
from schemas.table import read_table

NAME = "soort-ikv/2022"


def column(enum, reference=NAME, **more):
    own = [{"property": "gla.codeList", "value": reference}]
    base = {"name": "a", "logicalType": "string", "customProperties": own}
    return base | ({} if enum is None else {"enum": [{"value": value} for value in enum]}) | more


def compiled(prop):
    return compile_table(read_table({"name": "t", "properties": [prop]}))


@pytest.mark.parametrize("name", code_list_names())
def test_shipped_list_is_sound(name):
    found = code_list(name)
    assert f"{found.name}/{found.version}" == name
    assert found.source
    assert found.values
    assert all(value and label for value, label in found.labels.items())
    file = importlib.resources.files("schemas.codelists") / f"{found.name}-{found.version}.yaml"
    assert file.read_text("utf-8").count("value:") == len(found.values)  # no value stands twice


def test_lists_of_the_polisadministratie_are_shipped():
    assert {"soort-ikv/2022", "aard-arbeidsverhouding/2022"} <= set(code_list_names())
    assert code_list(NAME).labels["15"] == "Overig loon"


def test_enum_with_the_values_of_the_list_compiles_in_any_order():
    assert compiled(column(reversed(code_list(NAME).values))).table.columns[0].code_list == NAME


@pytest.mark.parametrize(
    "enum",
    [
        None,
        code_list(NAME).values[1:],
        (*code_list(NAME).values, "99"),
        (*code_list(NAME).values[1:], "99"),
        (*code_list(NAME).values, None),
        code_list(NAME).values[1:] + code_list(NAME).values[-1:],
    ],
)
def test_enum_that_differs_from_the_list_is_refused(enum):
    with pytest.raises(UnusableInput, match=r"column a .*gla\.codeList"):
        compiled(column(enum))


@pytest.mark.parametrize(
    "reference",
    ["soort-ikv", "soort-ikv/1999", "soort-ikv/", "/2022", "soort/ikv-2022", "../codelists/soort-ikv/2022", "*/*", ""],
)
def test_unknown_list_is_refused(reference):
    with pytest.raises(UnusableInput, match=r"gla\.codeList that names no code list"):
        compiled(column(code_list(NAME).values, reference))


@pytest.mark.parametrize("reference", [1, None, ["soort-ikv/2022"], {"name": "soort-ikv"}])
def test_reference_that_is_no_text_is_refused(reference):
    with pytest.raises(UnusableInput, match="not one text"):
        compiled(column(code_list(NAME).values, reference))


def test_two_lists_on_one_column_or_a_list_of_numbers_are_refused():
    twice = column(code_list(NAME).values)
    with pytest.raises(UnusableInput, match="not one text"):
        compiled(twice | {"customProperties": twice["customProperties"] * 2})
    with pytest.raises(UnusableInput, match="must be text"):
        compiled(column((1,), logicalType="integer"))


def test_list_of_items_in_an_array_is_compared_too():
    items = column(["11"])
    with pytest.raises(UnusableInput, match=r"column a\[\] .*gla\.codeList"):
        compiled({"name": "a", "logicalType": "array", "items": items})


def test_products_refer_to_lists_that_exist():
    tables = [load_contract(product_contract(name)).table for name in product_names()]
    columns = itertools.chain.from_iterable(table.columns for table in tables)
    referred = {each.code_list for each in columns if each.code_list is not None}
    assert referred <= set(code_list_names())
