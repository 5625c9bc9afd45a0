"""Load an ODCS contract: raw document first against the ODCS 3.2.0 JSON Schema, then into our own small model.

The pydantic model of `open-data-contract-standard` is not used: it drops unknown nested keys silently. Its package
supplies the JSON Schema. Nothing here interprets types or rules (see `schemas.compiler`), reads files or needs any
`gla.` property.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UnusableInput
from schemas.reader import read_document
from schemas.table import Table, read_table


@dataclass(frozen=True)
class Contract:
    """`document` is the raw JSON value (dates as text), the thing that is digested and signed: do not change it."""

    document: Mapping[str, Any]
    id: str
    version: str
    name: str
    table: Table

    def custom(self, name: str) -> Any | None:
        """The value of the contract-level custom property `name`, or None; named twice is `UnusableInput`."""
        values = [each["value"] for each in self.document.get("customProperties") or [] if each["property"] == name]
        if len(values) > 1:
            raise UnusableInput(f"the contract has the custom property {name} more than once")
        return values[0] if values else None


def load_contract(data: bytes, table: str | None = None, *, obeys: bool = False) -> Contract:
    """The contract in `data` (YAML or JSON) with its only table, or the one named `table`.

    Every defect is `UnusableInput`: one sentence that names a JSON path, never a value. `obeys`: these bytes were found
    to obey ODCS before, which is not asked again.
    """
    document = read_document(data, "the contract") if obeys else read_contract(data)
    return Contract(
        document=document,
        id=document["id"],
        version=document["version"],
        name=document.get("name") or document["id"],
        table=read_table(_chosen(document.get("schema") or [], table)),
    )


def read_contract(data: bytes) -> dict[str, Any]:
    """The raw document of a contract with any number of tables, which obeys ODCS 3.2.0; else `UnusableInput`."""
    from schemas.odcs import first_violation, json_path  # noqa: PLC0415 - slow to import, and not for what `obeys`

    document = read_document(data, "the contract")
    wrong = first_violation(document)
    if wrong is not None:
        raise UnusableInput(f"the contract does not obey ODCS 3.2.0 at {json_path(wrong.path)} ({wrong.rule})")
    return document


def _chosen(schema_objects: list[Mapping[str, Any]], table: str | None) -> Mapping[str, Any]:
    if table is not None:
        schema_objects = [each for each in schema_objects if each["name"] == table]
    if not schema_objects:
        raise UnusableInput("the contract describes no table" + (" of that name" if table is not None else ""))
    if len(schema_objects) > 1:
        raise UnusableInput(f"the contract describes {len(schema_objects)} tables: name the one that is meant")
    return schema_objects[0]
