"""Keyed digests: BLAKE2b as it is published, and another for each purpose and each key."""

from __future__ import annotations

import pytest

from keys.private.derived import LocalDerivingKey, expand
from keys.private.keyed import digest_by, is_digest, keyed_digest
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


KEYS = [LocalDerivingKey(SECRET), LocalDerivingKey(Secret(bytes(32)))]


def test_the_key_of_a_digest_is_derived_for_its_purpose() -> None:
    digest = digest_by(KEYS[0], "rows", b"data")
    assert digest == keyed_digest(expand(SECRET, b'["gla-digest-v1","rows"]'), "rows", b"data")
    assert digest == "bea01d0910b8abc16a8ee2f0c3c4b222ece515246819c46cb708bb483065009b"


@pytest.mark.parametrize("key", KEYS)
def test_a_digest_is_known_again_under_each_of_our_keys_and_for_nothing_else(key: LocalDerivingKey) -> None:
    digest = digest_by(key, "rows", b"data")
    assert is_digest(digest, KEYS, "rows", b"data")
    others = [(KEYS, "row", b"data"), (KEYS, "rows", b"date"), ([], "rows", b"data")]
    others += [([each for each in KEYS if each is not key], "rows", b"data")]
    assert not [each for each in others if is_digest(digest, *each)]


def test_digests_of_before_keys_were_derived_for_them_count_still() -> None:
    earlier = "75234f55ccf6ffc4b1afdea79dba6e0f38cde93db3b83c0ac02945fd5969f62e"
    assert is_digest(earlier, reversed(KEYS), "rows", b"data")
    assert not is_digest(earlier, KEYS[1:], "rows", b"data")
