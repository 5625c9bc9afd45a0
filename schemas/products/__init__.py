"""The data products that we ship: one ODCS contract each, as package data. Their names are the file names."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UnusableInput
from schemas.products.narrow import narrowed
from schemas.reader import read_document

_SUFFIX = ".odcs.yaml"


def product_names() -> list[str]:
    """The names of the shipped products, sorted."""
    files = importlib.resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def product_contract(name: str) -> bytes:
    """The contract of one product as YAML; `UnusableInput` if there is none of that name."""
    if name not in product_names():
        raise UnusableInput(f"there is no data product of that name: choose from {', '.join(product_names())}")
    return importlib.resources.files(__name__).joinpath(name + _SUFFIX).read_bytes()


def product_document(name: str) -> Mapping[str, Any]:
    """The contract of one product as a JSON value."""
    return read_document(product_contract(name), "the product")


def product_table(name: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    """The ODCS schema object of one product; with the named columns only, if some are named (see `narrow`)."""
    table: Mapping[str, Any] = product_document(name)["schema"][0]
    return narrowed(table, columns or [each["name"] for each in table["properties"]])
