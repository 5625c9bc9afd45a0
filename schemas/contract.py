"""Load an ODCS contract: raw document first against the ODCS 3.2.0 JSON Schema, then into our own small model.

The pydantic model of `open-data-contract-standard` is not used: it drops unknown nested keys silently. Its package
supplies the JSON Schema. Nothing here interprets types or rules (see `schemas.compiler`), reads files or needs any
`gla.` property.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft201909Validator
from jsonschema.exceptions import ValidationError

from core.errors import UnusableInput
from schemas.reader import read_document
from schemas.table import Table, read_table

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")


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


def load_contract(data: bytes, table: str | None = None) -> Contract:
    """The contract in `data` (YAML or JSON) with its only table, or the one named `table`.

    Every defect is `UnusableInput`: one sentence that names a JSON path, never a value.
    """
    document = read_document(data, "the contract")
    _check_odcs(document)
    return Contract(
        document=document,
        id=document["id"],
        version=document["version"],
        name=document.get("name") or document["id"],
        table=read_table(_chosen(document.get("schema") or [], table)),
    )


def _check_odcs(document: Mapping[str, Any]) -> None:
    error = next(_odcs_schema().iter_errors(document), None)
    if error is not None:
        raise UnusableInput(f"the contract does not obey ODCS 3.2.0 at {_json_path(error)} ({_reason(error)})")


@functools.cache
def _odcs_schema() -> Draft201909Validator:
    text = importlib.resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8")
    return Draft201909Validator(json.loads(text))


def _reason(error: ValidationError) -> str:
    """The rule that is broken. Without a logicalType the schema asks for a `map`, which would mislead."""
    untyped = isinstance(error.instance, dict) and "logicalType" not in error.instance
    in_columns = len(error.absolute_path) > 1 and error.absolute_path[-2] == "properties"
    return "no logicalType" if error.validator == "required" and untyped and in_columns else str(error.validator)


def _json_path(error: ValidationError) -> str:
    """A JSON path of known-looking keys; other keys are the writer's own text and become `*`."""
    path = "$"
    for step in error.absolute_path:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if _PLAIN_KEY.fullmatch(step) else ".*"
    return path


def _chosen(schema_objects: list[Mapping[str, Any]], table: str | None) -> Mapping[str, Any]:
    if table is not None:
        schema_objects = [each for each in schema_objects if each["name"] == table]
    if not schema_objects:
        raise UnusableInput("the contract describes no table" + (" of that name" if table is not None else ""))
    if len(schema_objects) > 1:
        raise UnusableInput(f"the contract describes {len(schema_objects)} tables: name the one that is meant")
    return schema_objects[0]
