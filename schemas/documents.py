"""What the models of JSON documents with names in camelCase have in common: nothing unknown, nothing coerced."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

CAMEL_CASE = ConfigDict(
    frozen=True,
    extra="forbid",
    strict=True,
    alias_generator=to_camel,
    populate_by_name=True,
    hide_input_in_errors=True,
)
