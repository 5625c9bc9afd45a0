"""Sealed sets of people: exact on what is in them, all buckets alike, and of one lasting form."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from core.errors import EnvelopeError, Unexpected
from keys.private.derived import LocalDerivingKey, expand
from keys.private.people import PeopleKey, context, is_in, seal_people
from keys.private.secret import Secret
from keys.published import check_value
from schemas.bsn_set import BsnSet, Numbers
from schemas.people import PeopleKept, people_in, telling
from schemas.table import Column

KEY = LocalDerivingKey(Secret(bytes(range(32))))
NAME = "0123456789abcdef0123456789abcdef-7"


def sealed(numbers: Numbers, key: LocalDerivingKey = KEY) -> tuple[BinaryIO, PeopleKept]:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    return file, seal_people(file, key, NAME, len(numbers), np.array_split(numbers, 3) if len(numbers) else [])


def asked(file: BinaryIO, kept: PeopleKept, number: int, name: str = NAME, key: LocalDerivingKey = KEY) -> bool:
    (secret,) = key.derive([context(name, kept.salt)])
    return is_in(file.fileno(), PeopleKey(secret), name, kept, number)


@pytest.mark.parametrize("count", [0, 1, 2, 1023, 1024, 5000])
def test_everybody_is_found_and_nobody_else(count: int) -> None:
    numbers = np.arange(10_000_000, 10_000_000 + 7 * count, 7, dtype=np.uint32)
    file, kept = sealed(numbers)
    with file:
        assert all(asked(file, kept, number) for number in numbers[::101].tolist())
        assert not any(asked(file, kept, number + 1) for number in numbers[::101].tolist() or [5])
        size = 4 + 6 * kept.room + 16
        assert file.seek(0, 2) == size << kept.bits
        assert (kept.people, kept.bits) == (count, (count // 1024).bit_length())


def test_a_set_of_now_is_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that are on disks: whoever changes them must be able to read the old ones too."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "5a" * size)
    for key, expected in (
        (KEY, "86c3c97cd54098fc88dcd9c429e5311a7008e542ef1e7bb65134bf2e640eb880"),
        (EarlierKey(KEY.secret), "adf0e6716d5e47bd9264b9003d511e47db8b1e86d5e30e8834231974f23bc0b2"),
    ):
        file, kept = sealed(np.arange(10_000_000, 10_003_000, dtype=np.uint32), key)
        with file:
            file.seek(0)
            assert hashlib.sha256(file.read()).hexdigest() == expected
            assert asked(file, kept, 10_000_005)
        assert (kept.bits, kept.room, kept.salt) == (2, 798, "5a" * 16)
        assert KEY.answers_to(kept.key)


class EarlierKey(LocalDerivingKey):
    """As keys were called before tokens held any."""

    name = check_value(bytes(range(32)))  # type: ignore[assignment]


def test_the_digest_is_aes_under_a_key_by_hkdf() -> None:
    """Made again from RFC 5869 and FIPS 197, without our code."""
    (secret,) = KEY.derive([context(NAME, "00" * 16)])

    def hkdf_expand(key: bytes, info: bytes) -> bytes:
        mac = hmac.HMAC(key, hashes.SHA256())
        mac.update(info + b"\x01")
        return mac.finalize()

    own = hkdf_expand(bytes(range(32)), f'["gla-people-v1","{NAME}","{"00" * 16}"]'.encode())
    assert secret.reveal() == own
    cipher = Cipher(algorithms.AES(hkdf_expand(own, b"digests")), modes.ECB()).encryptor()
    block = cipher.update((12_345_678).to_bytes(16))
    (digest,) = PeopleKey(secret).digests(np.array([12_345_678], dtype=np.uint32)).tolist()
    assert digest == int.from_bytes(block[:8])
    assert expand(secret, b"digests").reveal() != expand(secret, b"sealing").reveal()


def test_the_same_person_has_nothing_in_common_in_two_sets() -> None:
    first, second = (PeopleKey(KEY.derive([context(NAME, salt * 16)])[0]) for salt in ("00", "01"))
    number = np.array([12_345_678], dtype=np.uint32)
    assert first.digests(number)[0] != second.digests(number)[0]
    assert first.pseudonym(123456782) != second.pseudonym(123456782)
    assert int.from_bytes(bytes.fromhex(first.pseudonym(12_345_678))[:8]) != first.digests(number)[0]


@pytest.mark.parametrize("change", [{"people": 4999}, {"bits": 2}, {"room": 10}, {"salt": "0" * 32}, {"key": "x"}])
def test_what_is_recorded_of_a_set_is_part_of_it(change: dict[str, object]) -> None:
    file, kept = sealed(np.arange(5000, dtype=np.uint32))
    with file, pytest.raises(EnvelopeError):
        asked(file, PeopleKept(**{**vars(kept), **change}), 17)  # type: ignore[arg-type]


def test_a_set_of_another_name_or_key_is_no_answer() -> None:
    file, kept = sealed(np.arange(5000, dtype=np.uint32))
    with file:
        with pytest.raises(EnvelopeError):
            asked(file, kept, 17, name=f"{NAME}1")
        with pytest.raises(EnvelopeError):
            asked(file, kept, 17, key=LocalDerivingKey(Secret(b"k" * 32)))


def test_a_bucket_in_the_place_of_another_is_no_answer() -> None:
    file, kept = sealed(np.arange(5000, dtype=np.uint32))
    with file:
        size = 4 + 6 * kept.room + 16
        file.seek(0)
        buckets = [file.read(size) for _ in range(1 << kept.bits)]
        file.seek(0)
        file.write(b"".join(buckets[1:] + buckets[:1]))
        for number in (17, 18, 19):
            with pytest.raises(EnvelopeError):
                asked(file, kept, number)


def test_fewer_numbers_than_were_said_are_a_defect() -> None:
    with tempfile.TemporaryFile(buffering=0) as file, pytest.raises(ValueError, match="as many"):
        seal_people(file, KEY, NAME, 3, [np.arange(2, dtype=np.uint32)])


@pytest.mark.parametrize(
    "value",
    [None, {}, {"people": 1, "bits": 0, "room": 1, "salt": "x", "key": ""},
     {"people": -1, "bits": 0, "room": 1, "salt": "0" * 32, "key": ""},
     {"people": True, "bits": 0, "room": 1, "salt": "0" * 32, "key": ""}],
)  # fmt: skip
def test_what_is_no_record_of_a_set_is_refused(value: object) -> None:
    with pytest.raises(Unexpected):
        PeopleKept.parse(value)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column("a", "a", "string", rules=("bsn",)), pl.Series(["999990019", None]), [999990019]),
        (Column("a", "a", "integer"), pl.Series([999990019, None, 5]), [999990019, 5]),
        (
            Column("b", "b", "array", items=Column("b[]", "", "string", rules=("bsn",))),
            pl.Series([["999990019", None], [], None]),
            [999990019],
        ),
        (
            Column("b", "b", "object", properties={"n": Column("b.n", "", "string", rules=("bsn",))}),
            pl.Series([{"n": "999990019", "m": 1}, {"n": None, "m": 2}, None]),
            [999990019],
        ),
    ],
)
def test_people_are_found_wherever_they_stand(column: Column, values: pl.Series, expected: Sequence[int]) -> None:
    assert telling(column, "a")
    assert people_in(values, column, "a").tolist() == expected


def test_a_column_of_other_numbers_tells_of_nobody() -> None:
    assert not telling(Column("rsin", "rsin", "string", rules=("rsin",)), "bsn")


def test_marking_is_adding_without_an_answer() -> None:
    numbers = np.random.default_rng(1).integers(1, 10**9, 20_000).astype(np.uint32)
    numbers = np.concatenate([numbers, numbers[:100], np.arange(0, 2000, dtype=np.uint32)])  # many in one byte
    marked, added = BsnSet(), BsnSet()
    marked.mark(numbers)
    added.add(numbers)
    assert marked.count == added.count == len(np.unique(numbers // 10))
    assert marked.issubset(added)
    assert np.concatenate(list(marked.prefixes())).tolist() == np.unique(numbers // 10).tolist()
