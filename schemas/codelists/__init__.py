"""Versioned code lists that we ship as package data: which values a code may have, and what each means.

A column refers to one with customProperty `gla.codeList: "<name>/<version>"` and carries the values itself as ODCS
`enum`, so that a signed contract needs no other document. `check_code_list` refuses an enum that differs from its list;
labels may differ. A list never changes: new values are a new version, a file of their own.

>>> code_list("ja-nee/0801").values
('1', '2')
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UnusableInput
from schemas.reader import read_document
from schemas.table import Column

_SUFFIX = ".yaml"
_REFERENCE = re.compile(r"([a-z0-9-]{1,60})/([a-z0-9.-]{1,20})")


@dataclass(frozen=True)
class CodeList:
    """`source` says where the codes come from; `labels` maps each value to what it means, in the list's order."""

    name: str
    version: str
    source: str
    labels: Mapping[str, str]

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self.labels)


def code_list_names() -> list[str]:
    """What a contract may refer to, as name/version, sorted."""
    files = importlib.resources.files(__name__).iterdir()
    lists = (_read(file.read_bytes()) for file in files if file.name.endswith(_SUFFIX))
    return sorted(f"{each.name}/{each.version}" for each in lists)


@functools.cache
def code_list(reference: str) -> CodeList:
    """The list `name/version`; `UnusableInput` if there is none."""
    match = _REFERENCE.fullmatch(reference)
    file = importlib.resources.files(__name__).joinpath("-".join(match.groups()) + _SUFFIX) if match else None
    found = _read(file.read_bytes()) if file is not None and file.is_file() else None
    if found is None or f"{found.name}/{found.version}" != reference:  # a-b/1 and a/b-1 would be one file
        raise UnusableInput("there is no code list of that name and version")
    return found


def check_code_list(column: Column) -> None:
    """Raise `UnusableInput` unless the enum of a column that names a code list has exactly the values of that list."""
    if column.code_list is None:
        return
    try:
        values = set(code_list(column.code_list).values)
    except UnusableInput:
        values = set()
    if not values:
        raise UnusableInput(f"column {column.name} has a gla.codeList that names no code list and version of ours")
    if column.logical_type != "string" or column.enum is None or len(column.enum) != len(values):
        raise UnusableInput(f"column {column.name} must be text with the enum of its gla.codeList")
    if set(column.enum) != values:
        raise UnusableInput(f"column {column.name} has an enum that differs from its gla.codeList")


def _read(data: bytes) -> CodeList:
    document: dict[str, Any] = read_document(data, "a code list")
    labels = {each["value"]: each["label"] for each in document["values"]}
    return CodeList(document["name"], document["version"], document["source"], labels)
