"""Bech32 (BIP 173) without its length limit, as age writes keys. Not Bech32m; checks the form, knows no key types.

>>> decode(encode("age", b"12"))
('age', b'12')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import xor

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_FOLDED = [  # for each value of the five bits that leave, since a post-quantum key has 2,000 symbols
    reduce(xor, (generator for bit, generator in enumerate(_GENERATOR) if top >> bit & 1), 0) for top in range(32)
]
_CHECKSUM_LENGTH = 6  # symbols
_PREFIX = re.compile(r"[!-~]+")


def encode(prefix: str, data: bytes) -> str:
    """The lower-case Bech32 text of `data`, or the upper-case one where `prefix` is upper-case."""
    lower = prefix.lower()
    values = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(lower), *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    values += [checksum >> 5 * (5 - i) & 31 for i in range(_CHECKSUM_LENGTH)]
    text = lower + "1" + "".join(_ALPHABET[value] for value in values)
    return text.upper() if prefix.isupper() else text


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in its own case, and the data; raises ValueError (without the text) for anything not canonical."""
    if not text.isascii() or (text != text.lower() and text != text.upper()):
        raise ValueError("mixed case or a strange character")
    prefix, separator, symbols = text.rpartition("1")
    if not separator or not prefix or len(symbols) < _CHECKSUM_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError("no prefix or too short")
    values = [_VALUES.get(symbol, -1) for symbol in symbols.lower()]
    if -1 in values:
        raise ValueError("a character that Bech32 does not have")
    if _polymod([*_expand(prefix.lower()), *values]) != 1:
        raise ValueError("the checksum does not fit: a mistyped or cut text")
    return prefix, bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _FOLDED[top]
    return checksum


def _regroup(values: bytes | Sequence[int], width_in: int, width_out: int, *, pad: bool) -> list[int]:
    """Cut the bits of `values` anew; without `pad`, left-over bits must be zero and fewer than `width_in`."""
    result, pending, bits = [], 0, 0
    for value in values:
        pending, bits = pending << width_in | value, bits + width_in
        while bits >= width_out:
            bits -= width_out
            result.append(pending >> bits)
            pending &= (1 << bits) - 1
    if pad and bits:
        result.append(pending << (width_out - bits))
    elif bits >= width_in or pending:
        raise ValueError("padding that is not zero")
    return result
