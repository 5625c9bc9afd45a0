"""A contract as ODCS again: one text for one document, in YAML for people or in canonical JSON.

The keys stand in the order of the standard's own examples, whatever order they were read in, so that two files differ
only where their contracts do. What is written is read back before it is handed out: its digest is the document's.
Comments and anchors of the file that was read are lost; they are no part of a contract.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from core.canonical import canonical_json, digest
from core.errors import Unexpected
from schemas.reader import read_document

WIDTH = 120  # characters of a line, where a text can be folded
_ORDER = (
    *("apiVersion", "kind", "id", "name", "version", "status", "domain", "dataProduct", "tenant", "property", "value"),
    *("unit", "label", "businessName", "logicalType", "logicalTypeOptions", "physicalName", "physicalType", "type"),
    *("url", "description", "purpose", "usage", "limitations", "classification", "primaryKey", "primaryKeyPosition"),
    *("required", "unique", "enum", "items", "properties", "quality", "relationships", "schema", "price", "team"),
    *("roles", "support", "servers", "slaDefaultElement", "slaProperties", "authoritativeDefinitions"),
    *("customProperties", "tags", "contractCreatedTs"),
)
_RANK = {name: rank for rank, name in enumerate(_ORDER)}


class Dumper(yaml.SafeDumper):
    """Quotes all that YAML 1.1 or 1.2 would not take for text, such as `no` or `08888888`; repeats without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of PyYAML
        return True


Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text of several lines as a block; between double quotes, with escapes, what cannot be seen or breaks a line."""
    plain = all(letter.isprintable() or letter == "\n" for letter in text)
    style = ("|" if "\n" in text else None) if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _text)


def to_yaml(document: Mapping[str, Any]) -> bytes:
    """The document as YAML; `UnusableInput` if it has no canonical form, and could not be signed either."""
    return _proved(document, as_yaml(_ordered(document)).encode("utf-8", "surrogatepass"))


def to_json(document: Mapping[str, Any]) -> bytes:
    """The canonical JSON (RFC 8785) of the document: the bytes that are digested and signed.

    `UnusableInput` also for a fractional number beyond 2**53 - 1: its canonical form is a whole one that is not exact.
    """
    return _proved(document, canonical_json(document))


def as_yaml(value: Any) -> str:
    """Any JSON value as YAML that our reader, and PyYAML, read as the same value; keys stay in their order."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)


def _proved(document: Mapping[str, Any], written: bytes) -> bytes:
    wanted = digest(document)
    if digest(read_document(written, "the export")) != wanted:
        raise Unexpected("the exported contract is not the contract that was read")
    return written


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (_RANK.get(key, len(_RANK)), key))
        return {key: _ordered(value[key]) for key in keys}
    return [_ordered(each) for each in value] if isinstance(value, list) else value
