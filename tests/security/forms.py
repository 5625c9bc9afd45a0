"""Every form in which a secret could be written down: raw, as Python writes bytes, hexadecimal, base64, bech32."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from functools import lru_cache

_TO_BECH32 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")
_LEAST = 12  # bytes or characters: half of the shortest of our secrets, and more than chance makes


@lru_cache(maxsize=1)
def _lower(content: bytes) -> bytes:
    return content.lower()


class Forms:
    """Finds any of these in what it searches, in upper or lower case; faster than one regular expression for all."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._forms = sorted({form.lower() for form in forms}, key=len)

    def search(self, content: bytes) -> bool:
        lower = _lower(content)
        return any(form in lower for form in self._forms)


def pattern(*secrets: bytes | str) -> Forms:
    """Finds any of the secrets, or one half of it: what is shown of a long value is often cut."""
    found: set[bytes] = set()
    for secret in secrets:
        data = secret.encode() if isinstance(secret, str) else secret
        middle = len(data) // 2
        for part in (data[:middle], data[middle:]):
            assert len(part) >= _LEAST, "a secret this short is found by chance"
            found |= forms(part)
    return Forms(found)


def forms(data: bytes) -> set[bytes]:
    """`data` as it could stand inside something longer."""
    hexadecimal = data.hex().encode()
    # Python escapes a single quote where the whole holds a double one too; what is written as JSON, twice.
    python = {repr(data)[2:-1], repr(data + b'"')[2:-2]}
    written = {
        *(text.encode() for text in python),
        *(json.dumps(text)[1:-1].encode() for text in python),
        data,
        hexadecimal,
        data.hex(":").encode(),
        data.hex(" ").encode(),
        ", ".join(map(str, data)).encode(),  # a list of numbers
        ",".join(map(str, data)).encode(),
    }
    written |= _aligned(data, base64.b64encode, 6) | _aligned(data, base64.urlsafe_b64encode, 6)
    five = _aligned(data, base64.b32encode, 5)
    return written | five | {text.translate(_TO_BECH32) for text in five}


def _aligned(data: bytes, encode: Callable[[bytes], bytes], bits: int) -> set[bytes]:
    """The encoding at each place that it can have in a longer text, without what its neighbours decide."""
    return {
        encode(bytes(shift) + data)[-(-shift * 8 // bits) : (shift + len(data)) * 8 // bits] for shift in range(bits)
    }
