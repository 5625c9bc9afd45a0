"""Sets of people that nobody looks into without our key: keyed digests, in buckets that are sealed one by one.

A set has a key of its own, derived from the role person-digests over its name and a random salt, and from that one key
for digests and one for sealing. A digest is AES-256 of a number as one block of 16 bytes: a permutation that nobody can
tell from a random one without the key, and that takes millions of numbers in one call, where HMACs take a second a
million. Its first bits choose the bucket, the next 48 are kept: with a thousand digests in a bucket, somebody
who is not in a set is taken for one who is once in 2.7e11 sets.

A bucket is the number of its digests (4 bytes), the digests in ascending order, and zeros up to the room that the
fullest one takes, sealed with AES-256-GCM: nonce the bucket's number, associated data all that is recorded of the set.
So a bucket is found without an index, its size says nothing, and none can be exchanged or cut off unseen.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.canonical import canonical_json
from core.errors import EnvelopeError
from keys.private.derived import DerivingKey, expand
from keys.private.secret import Secret
from schemas.bsn_set import Numbers
from schemas.people import PeopleKept

_DOMAIN = "gla-people-v1"
_BLOCK = 16  # bytes, of AES
_TAG = 16  # bytes, of GCM
_NONCE = 12
_COUNT = 4
_KEPT = 6  # bytes of a digest
_PER_BUCKET = 1024  # people at most on average
_SALT = 16

Digests = npt.NDArray[np.uint64]


class PeopleKey:
    """The key of one set."""

    def __init__(self, secret: Secret) -> None:
        self._digests = algorithms.AES256(expand(secret, b"digests").reveal())
        self._sealing = expand(secret, b"sealing")

    def digests(self, numbers: Numbers) -> Digests:
        """The first eight bytes of each number's block, encrypted."""
        blocks = np.zeros((len(numbers), _BLOCK), dtype=np.uint8)
        blocks[:, -4:] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)
        encrypted = np.frombuffer(self._encrypted(blocks.data), dtype=">u8")
        return encrypted[::2].astype(np.uint64)

    def pseudonym(self, number: int) -> str:
        """A number encrypted as a block that is no digest of another one: hexadecimal, for this set alone."""
        return self._encrypted(b"\x01" + number.to_bytes(_BLOCK - 1)).hex()

    def _encrypted(self, blocks: bytes | memoryview) -> bytes:
        return Cipher(self._digests, modes.ECB()).encryptor().update(blocks)  # noqa: S305 - no two blocks are alike

    def sealer(self) -> AESGCM:
        return AESGCM(self._sealing.reveal())


def context(name: str, salt: str) -> bytes:
    """What the key of the set `name` is derived over."""
    return canonical_json([_DOMAIN, name, salt])


def seal_people(target: BinaryIO, key: DerivingKey, name: str, people: int, numbers: Iterable[Numbers]) -> PeopleKept:
    """Write the set `name` of `people` different numbers, which come in arrays; returns what is to be recorded.

    Takes eight bytes of memory for each person, and those of one array.
    """
    salt = secrets.token_hex(_SALT)
    own = PeopleKey(key.derive([context(name, salt)])[0])
    digests, at = np.empty(people, dtype=np.uint64), 0
    for each in numbers:
        digests[at : at + len(each)] = own.digests(each)
        at += len(each)
    if at != people:
        raise ValueError("there are not as many numbers as was said")
    digests.sort()
    bits = (people // _PER_BUCKET).bit_length()
    edges = _edges(digests, bits)
    kept = PeopleKept(people, bits, int(np.diff(edges).max()), salt, key.name)
    sealer, told = own.sealer(), _told(name, kept)
    for bucket in range(1 << bits):
        content = _content(digests[edges[bucket] : edges[bucket + 1]], kept)
        target.write(sealer.encrypt(bucket.to_bytes(_NONCE), content, told))
    return kept


def is_in(file: int, own: PeopleKey, name: str, kept: PeopleKept, number: int) -> bool:
    """Whether a number is in the set `name` in an open file, of which one bucket is read.

    `EnvelopeError` if the file does not hold what was recorded.
    """
    digest = own.digests(np.array([number], dtype=np.uint32))
    bucket = int(_bucket(digest, kept.bits)[0])
    size = _COUNT + kept.room * _KEPT + _TAG
    try:
        sealed = os.pread(file, size, bucket * size)
        content = own.sealer().decrypt(bucket.to_bytes(_NONCE), sealed, _told(name, kept))
    except (InvalidTag, ValueError, OSError):
        content = b""
    if not content:
        raise EnvelopeError("the people of the delivery are not kept as they were recorded: restore GLA_HOME/people")
    count = int.from_bytes(content[:_COUNT])
    held = np.frombuffer(content, dtype=np.uint8, count=count * _KEPT, offset=_COUNT).reshape(-1, _KEPT)
    return bool((held == _kept_bytes(digest, kept.bits)).all(axis=1).any())


def _content(digests: Digests, kept: PeopleKept) -> bytes:
    held = _kept_bytes(digests, kept.bits).tobytes()
    return len(digests).to_bytes(_COUNT) + held.ljust(kept.room * _KEPT, b"\0")


def _edges(digests: Digests, bits: int) -> npt.NDArray[np.int64]:
    """Where each bucket begins among sorted digests, and where the last one ends."""
    starts = np.arange(1 << bits, dtype=np.uint64) << np.uint64(63 - bits) << np.uint64(1)
    return np.append(np.searchsorted(digests, starts), len(digests))


def _bucket(digests: Digests, bits: int) -> Digests:
    return digests >> np.uint64(63 - bits) >> np.uint64(1)  # in two steps: by 64 bits at once nothing can be shifted


def _kept_bytes(digests: Digests, bits: int) -> npt.NDArray[np.uint8]:
    """The six bytes of each digest that follow its bucket's bits."""
    return (digests << np.uint64(bits)).astype(">u8").view(np.uint8).reshape(-1, 8)[:, :_KEPT]


def _told(name: str, kept: PeopleKept) -> bytes:
    return canonical_json([_DOMAIN, name, vars(kept)])
