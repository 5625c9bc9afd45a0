"""docs/contract.md decides on every key that ODCS has, names every rule and type, and its examples compile."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import pytest

from schemas.compiler import compile_table
from schemas.conditions import STRING_FORMATS
from schemas.contract import load_contract
from schemas.reader import read_document
from schemas.rules import TEXT_RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs/contract.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ODCS = json.loads(importlib.resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
PARTS = {
    "Keys of the table": ("SchemaObject",),
    "Keys of a column": ("SchemaProperty", "SchemaItemProperty"),
    "Quality rules": ("DataQuality", "DataQualityOperators"),
}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def decided(title: str) -> set[str]:
    """The keys of the table rows that have a decision."""
    rows = re.findall(r"^\| (`.*?) \| (?:enforced|documentation|refused) \|", section(title), re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}


def keys(definition: Any) -> set[str]:
    """Every key that a definition of the JSON Schema allows, also by reference or on a condition."""
    if isinstance(definition, list):
        return set().union(*map(keys, definition))
    found = set(definition.get("properties") or {})
    if "$ref" in definition:
        found |= keys(ODCS["$defs"][definition["$ref"].rsplit("/", 1)[1]])
    for word in ("allOf", "anyOf", "oneOf"):
        found |= keys(definition.get(word) or [])
    return found | (keys(definition["then"]) if "then" in definition else set())


@pytest.mark.parametrize("title", PARTS)
def test_every_key_of_odcs_is_decided_and_no_other(title):
    assert decided(title) == set().union(*(keys(ODCS["$defs"][name]) for name in PARTS[title]))


def test_every_type_and_format_is_named():
    types = ODCS["$defs"]["SchemaBaseProperty"]["properties"]["logicalType"]["enum"]
    assert all(f"`{word}`" in section("Types") for word in [*types, *STRING_FORMATS])


def test_every_option_of_a_type_is_named():
    branches = [each for each in ODCS["$defs"]["SchemaBaseProperty"]["allOf"] if "then" in each]
    options = [each["then"]["properties"].get("logicalTypeOptions", {}).get("properties", {}) for each in branches]
    of_vectors = next(each for each in options if "dimensions" in each)
    named = {name for each in options if each is not of_vectors for name in each}
    assert all(f"`{name}`" in section("Types") for name in named)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_compiles(example):
    columns = read_document(f"properties:\n{example}".encode(), "the example")["properties"]
    contract = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0", "status": "active"}
    document = contract | {"schema": [{"name": "t", "properties": columns}]}
    assert compile_table(load_contract(json.dumps(document).encode()).table).columns


def test_every_rule_by_name_has_an_example():
    examples = "".join(EXAMPLES)
    assert all(f"value: {name}}}" in examples for name in (*TEXT_RULES, "within-period"))
    assert all(f"rule: {name}," in examples for name in ("not-before", "within-period", "sum-equals"))
