from __future__ import annotations

import pytest

from keys.envelope import bech32


@pytest.mark.parametrize("prefix", ["age", "age1pq", "AGE-SECRET-KEY-"])
@pytest.mark.parametrize("data", [b"", b"\x00", bytes(range(256)), bytes(1216)])
def test_what_is_encoded_decodes_to_the_same(prefix: str, data: bytes) -> None:
    assert bech32.decode(bech32.encode(prefix, data)) == (prefix, data)


def test_the_example_of_the_age_specification() -> None:
    text = "AGE-SECRET-KEY-" + "1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    assert bech32.decode(text) == ("AGE-SECRET-KEY-", b"B" * 32)
    assert bech32.encode("AGE-SECRET-KEY-", b"B" * 32) == text


@pytest.mark.parametrize("text", ["A12UEL5L", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl"])
def test_valid_strings_of_bip_173_are_read(text: str) -> None:
    bech32.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "age1",
        "pzry9x0s0muk",  # no separator
        "1pzry9x0s0muk",  # no prefix
        "x1b4n0q5v",  # a character that is not in the alphabet
        "li1dgmt3",  # too short a checksum
        "A1G7SGD8",  # the checksum of the upper-case prefix
        "a12UEL5L",  # mixed case
        "a12uel5m",  # a wrong checksum
        "\x201nwldj5",  # BIP 173 counts a space as outside the prefix's range
        "ag\u00e91qqqqqqqq",
    ],
)
def test_what_is_not_bech32_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        bech32.decode(text)


def test_padding_bits_that_are_not_zero_are_refused() -> None:
    values = [0, 0, 0, 1]  # 20 bits: two bytes and four padding bits, of which one is set
    checksum = bech32._polymod([*bech32._expand("age"), *values, *[0] * 6]) ^ 1
    symbols = values + [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    with pytest.raises(ValueError, match="padding"):
        bech32.decode("age1" + "".join(bech32._ALPHABET[symbol] for symbol in symbols))
