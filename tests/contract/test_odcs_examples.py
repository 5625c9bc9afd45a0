"""Every public ODCS example compiles, or is refused with one sentence that says why."""

import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.reader import read_document
from schemas.table import read_table
from schemas.validation import Validator

REFUSED = {
    "all-data-types": "array without items",
    "azure-server": "describes no table",
    "basic-four-dpo": "describes no table",
    "column-accuracy": "type that is not supported",
    "column-custom": "type that is not supported",
    "database-table-sla": "describes no table",
    "kafka-schemaregistry": "no properties",
    "kafka-server": "no properties",
    "service-and-operational-roles": "describes no table",
}
COMPILED = {
    "column-completeness": 1,
    "column-validity": 1,
    "kafka-schema": 3,
    "table-column": 1,
    "table-column-description": 1,
    "table-columns-with-partition": 4,
}
SEVERAL_TABLES = {"all-schema-types", "full-example", "postgresql-adventureworks-contract"}


def example(shared_vectors, name):
    return (shared_vectors / "odcs" / f"{name}.odcs.yaml").read_bytes()


def test_every_example_is_expected_here(shared_vectors):
    names = {path.name.removesuffix(".odcs.yaml") for path in (shared_vectors / "odcs").iterdir()}
    assert names == REFUSED.keys() | COMPILED.keys() | SEVERAL_TABLES


@pytest.mark.parametrize("name", COMPILED)
def test_example_compiles(shared_vectors, name):
    compiled = compile_table(load_contract(example(shared_vectors, name)).table)
    assert len(compiled.columns) == COMPILED[name]
    Validator(compiled)


@pytest.mark.parametrize("name", REFUSED)
def test_example_is_refused_with_a_reason(shared_vectors, name):
    with pytest.raises(UnusableInput, match=REFUSED[name]):
        compile_table(load_contract(example(shared_vectors, name)).table)


@pytest.mark.parametrize("name", sorted(SEVERAL_TABLES))
def test_each_table_of_a_larger_example_compiles_or_is_refused_with_a_reason(shared_vectors, name):
    data = example(shared_vectors, name)
    with pytest.raises(UnusableInput, match="tables: name the one"):
        load_contract(data)
    schema = read_document(data, "the example")["schema"]
    outcomes = [outcome(each) for each in schema]
    assert ("compiled" in outcomes) == (name != "full-example")
    assert all(reason == "compiled" or (len(reason) < 200 and "\n" not in reason) for reason in outcomes)


def outcome(schema_object):
    try:
        compile_table(read_table(schema_object))
    except UnusableInput as error:
        return str(error)
    return "compiled"
