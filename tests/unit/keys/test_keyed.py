"""Keyed digests: BLAKE2b as it is published, and another for each purpose and each secret."""

from __future__ import annotations

import pytest

from keys.private.keyed import keyed_digest
from keys.private.secret import Secret

SECRET = Secret(bytes(range(32)))


def test_a_digest_is_blake2b_with_key_and_purpose() -> None:
    digest = keyed_digest(SECRET, "rows", b"data")
    assert digest == "75234f55ccf6ffc4b1afdea79dba6e0f38cde93db3b83c0ac02945fd5969f62e"


def test_another_secret_purpose_or_content_has_another_digest() -> None:
    digests = {
        keyed_digest(secret, purpose, data)
        for secret in (SECRET, Secret(bytes(32)))
        for purpose in ("a", "b", "a" * 16)
        for data in (b"", b"data")
    }
    assert len(digests) == 12


@pytest.mark.parametrize("purpose", ["", "a" * 17, "é" * 9])
def test_a_purpose_has_one_to_sixteen_bytes(purpose: str) -> None:
    with pytest.raises(ValueError, match=r"^a purpose has 1 to 16 bytes$"):
        keyed_digest(SECRET, purpose, b"data")
