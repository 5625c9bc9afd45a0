"""What a contract says of its columns in words (labels, titles, classification), which compiled columns do not keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]


def raw_table(document: Raw, name: str) -> Raw:
    """The schema object of the table `name`, which the document has."""
    found: Raw = next(each for each in document["schema"] if each["name"] == name)
    return found


def raw_columns(document: Raw, table: str) -> dict[str, Raw]:
    """The columns of a table by their names."""
    return {each["name"]: each for each in raw_table(document, table)["properties"]}


def inner_raw(column: Raw) -> dict[str, Raw]:
    """What stands in a column: its properties by name, and its items as `[]`."""
    inner = {each["name"]: each for each in column.get("properties") or []}
    return inner | ({"[]": column["items"]} if column.get("items") else {})


def rule_name(value: Any) -> str:
    """The name in a value of `gla.rule`, which is the name itself or a mapping that has it."""
    return str(value["rule"] if isinstance(value, Mapping) else value)
