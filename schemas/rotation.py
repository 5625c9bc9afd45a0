"""The statement by which a recipient replaces a key: who, which key, by which, from when. No I/O, no signatures.

The recipient signs these very bytes (SSHSIG, namespace `gla-rotation`) with the key that signed its agreements. They
are kept as they came, so any JSON of this content will do; `to_bytes` writes the canonical form.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from core.canonical import canonical_json, parse_json
from core.errors import UnusableInput
from core.ids import NAME_LENGTH

LARGEST = 2 * 1024 * 1024  # bytes: an OpenPGP certificate may have 1 MiB


class RotationStatement(BaseModel):
    """`new_public_key` is the key as text; `valid_from` is a day in the Netherlands."""

    model_config = ConfigDict(
        defer_build=True, frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )

    statement: Literal["gla-rotation"] = "gla-rotation"
    version: Literal[1] = 1
    recipient: str = Field(min_length=1, max_length=NAME_LENGTH)
    old_fingerprint: str = Field(min_length=1, max_length=NAME_LENGTH)
    new_public_key: str = Field(min_length=1)
    valid_from: date = Field(strict=False)

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785)."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a statement; `UnusableInput` names what is wrong, never what was written there."""
        if len(data) > LARGEST:
            raise UnusableInput(f"the statement is larger than {LARGEST} bytes: make it with gla keys statement")
        document = parse_json(data, "the statement")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            wrong = sorted({str(problem["loc"][0]) if problem["loc"] else "it" for problem in error.errors()})
        known = ", ".join(name for name in wrong if name in _NAMES) or "its form"
        raise UnusableInput(f"the statement is not usable ({known}): make it with gla keys statement")


_NAMES = frozenset(to_camel(name) for name in RotationStatement.model_fields)
