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


@pytest.mark.parametrize("stranger", "bio-_")
def test_a_strange_character_is_not_taken_for_one_of_the_alphabet(stranger: str) -> None:
    text = bech32.encode("age", bytes(range(64)))
    for symbol in set(text[4:]):
        with pytest.raises(ValueError, match=r"^a character that Bech32 does not have$"):
            bech32.decode("age1" + text[4:].replace(symbol, stranger, 1))


def test_five_left_over_bits_are_one_symbol_too_many() -> None:
    values = bech32._regroup(b"12345", 8, 5, pad=True)
    for extra in ([], [0]):
        checksum = bech32._polymod([*bech32._expand("age"), *values, *extra, *[0] * 6]) ^ 1
        symbols = [*values, *extra, *[checksum >> 5 * (5 - i) & 31 for i in range(6)]]
        text = "age1" + "".join(bech32._ALPHABET[symbol] for symbol in symbols)
        if extra:
            with pytest.raises(ValueError, match=r"^padding that is not zero$"):
                bech32.decode(text)
        else:
            assert bech32.decode(text) == ("age", b"12345")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Age1qqqqqq", "mixed case or a strange character"),
        ("qqqqqqqqqq", "no prefix or too short"),
        ("age1qqqqq", "no prefix or too short"),
        ("age1qqqqqq", "the checksum does not fit: a mistyped or cut text"),
    ],
)
def test_the_reason_is_told_without_the_text(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        bech32.decode(text)
