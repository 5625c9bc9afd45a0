"""The shipped products: real contracts that compile and say in Dutch what they are; and parts of them."""

import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.products import product_contract, product_document, product_names, product_table
from schemas.table import read_table

CLASSES = {"internal", "confidential", "restricted"}


@pytest.mark.parametrize("name", product_names())
def test_shipped_product_compiles(name):
    contract = load_contract(product_contract(name))
    assert contract.id == name
    assert len(compile_table(contract.table).columns) >= 12


@pytest.mark.parametrize("name", product_names())
def test_shipped_product_says_what_it_and_every_column_is(name):
    document = product_document(name)
    assert all(document["description"][each] for each in ("purpose", "usage", "limitations"))
    assert {each["property"] for each in document["slaProperties"]} == {"frequency", "latency", "retention"}
    table = document["schema"][0]
    assert table["businessName"]
    assert table["description"]
    for column in table["properties"]:
        assert column["businessName"], column["name"]
        assert column["description"], column["name"]
        assert column["classification"] in CLASSES, column["name"]
    assert next(each for each in table["properties"] if each["name"] == "bsn")["classification"] == "restricted"


@pytest.mark.parametrize("name", product_names())
def test_every_enum_of_a_product_is_a_versioned_code_list(name):
    table = load_contract(product_contract(name)).table
    assert [column.name for column in table.columns if (column.enum is None) != (column.code_list is None)] == []


@pytest.mark.parametrize("name", product_names())
def test_any_one_column_of_a_product_is_a_table_of_its_own(name):
    whole = read_table(product_table(name))
    for column in whole.columns:
        narrow = read_table(product_table(name, [column.name]))
        compile_table(narrow)
        assert [each.name for each in narrow.columns] == [column.name]
        assert narrow.columns[0].required == column.required
        assert narrow.primary_key == (
            () if len(read_table(product_table(name)).primary_key) > 1 else narrow.primary_key
        )


def test_rules_that_compare_stay_while_both_columns_do():
    both = ["datum_einde_tijdvak", "datum_aanvang_tijdvak", "bsn"]
    kept = {column.name: column.rules for column in read_table(product_table("inkomstenverhoudingen", both)).columns}
    assert kept["bsn"] == ("bsn",)
    assert kept["datum_einde_tijdvak"] == ({"rule": "not-before", "column": "datum_aanvang_tijdvak"},)
    alone = read_table(product_table("inkomstenverhoudingen", both[:1]))
    assert alone.columns[0].rules == ()


def test_the_whole_key_stays_a_key():
    key = ("loonheffingennummer", "bsn", "nummer_ikv", "datum_aanvang_tijdvak")
    assert read_table(product_table("inkomstenverhoudingen", [*key, "sv_loon"])).primary_key == key
    without = read_table(product_table("inkomstenverhoudingen", key[:3]))
    assert without.primary_key == ()
    assert all(column.required for column in without.columns)


def test_all_columns_are_the_product_itself():
    for name in product_names():
        assert product_table(name) == product_document(name)["schema"][0]


def test_unknown_product_is_refused_and_no_path():
    with pytest.raises(UnusableInput, match="inkomstenverhoudingen"):
        product_contract("../../core/settings")


def test_unknown_column_is_refused():
    with pytest.raises(UnusableInput, match="no column secret"):
        product_table("melding-aog", ["bsn", "secret"])
