"""Canonical JSON (RFC 8785) and SHA-256 over it: one form of bytes for everything that is digested or signed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

from core.errors import UnusableInput

MOST_EXACT = 2**53 - 1  # JSON numbers are exact up to here (RFC 8259, section 6)
_EXPONENT_FROM = 1e21  # ECMAScript writes larger numbers with an exponent, which is read back as a float


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value; raises `UnusableInput` for NaN, dates, big integers and lone surrogates."""
    try:
        encoded = bytes(rfc8785.dumps(value))
        if not _is_written_as_big_integer(value):
            return encoded
        reason = "a fraction that is a big integer"
    except (rfc8785.CanonicalizationError, TypeError, RecursionError, UnicodeEncodeError) as error:
        reason = type(error).__name__
    raise UnusableInput(f"the document has no canonical JSON form ({reason}): quote dates, use strings for big numbers")


def _is_written_as_big_integer(value: Any) -> bool:
    """Whether a float in `value` becomes an integer without exponent that is too big to be read back."""
    if isinstance(value, float):
        return MOST_EXACT < abs(value) < _EXPONENT_FROM  # every float of this size is whole
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(_is_written_as_big_integer(child) for child in children)


def parse_json(data: bytes, what: str) -> Any:
    """Parse UTF-8 JSON that we did not necessarily write; duplicate keys and NaN are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("duplicate key")
        return result

    def no_constant(name: str) -> Any:
        raise ValueError(name)

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError):
        pass
    raise UnusableInput(f"{what} is not valid JSON")


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 over the canonical JSON of `value`, as 64 hexadecimal characters."""
    return sha256_hex(canonical_json(value))
