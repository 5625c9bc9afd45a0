"""What must hold for any content and any damage: it opens to the same, or it is refused in one of our words."""

from __future__ import annotations

import base64
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import EnvelopeError, KeyUnusable, SignerUnknown
from keys.envelope import bech32
from keys.envelope.armor import ArmorWriter, dearmor
from keys.envelope.format import parse_header
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.envelope.stream import BATCH, CHUNK
from keys.private.identities import Identity, generate_identity, parse_identities
from keys.private.opening import open_envelope
from keys.private.signing import Signer
from keys.sshsig import parse_public_key, verify
from tests.soak import examples

KEYS: dict[str, Identity] = {"hybrid": generate_identity("hybrid"), "x25519": generate_identity("x25519")}
SIGNER = Signer.generate()
kinds = st.sampled_from(sorted(KEYS))
# Sizes near the borders of chunks and batches, where the final chunk is easily got wrong.
sizes = st.one_of(
    st.integers(0, 200),
    st.builds(
        lambda border, step: max(0, border + step), st.sampled_from([CHUNK, 2 * CHUNK, BATCH]), st.integers(-2, 2)
    ),
)


def seal(plain: bytes, key: Identity, cuts: list[int] | None = None) -> bytes:
    target = io.BytesIO()
    with Sealer(target, [key.recipient]) as sealer:
        for cut in cuts or []:
            sealer.write(plain[:cut])
            plain = plain[cut:]
        sealer.write(plain)
    return target.getvalue()


def unseal(sealed: bytes, key: Identity) -> bytes:
    with open_envelope(io.BytesIO(sealed), [key]) as reader:
        return reader.read()


def armored(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = ArmorWriter(target)
    writer.write(data)
    writer.close()
    return target.getvalue()


SEALED = {(kind, size): seal(bytes(size), key) for kind, key in KEYS.items() for size in (0, 5, CHUNK, CHUNK + 1)}
cases = st.sampled_from(sorted(SEALED))


@given(
    kind=kinds,
    size=sizes,
    seed=st.binary(min_size=1, max_size=64),
    cuts=st.lists(st.integers(0, 2 * CHUNK), max_size=4),
)
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])
def test_whatever_was_sealed_opens_to_the_same(kind: str, size: int, seed: bytes, cuts: list[int]) -> None:
    plain = (seed * (size // len(seed) + 1))[:size]
    assert unseal(seal(plain, KEYS[kind], cuts), KEYS[kind]) == plain


@given(case=cases, position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(500))
def test_any_changed_byte_is_refused(case: tuple[str, int], position: float, flip: int) -> None:
    sealed = bytearray(SEALED[case])
    sealed[int(position * len(sealed))] ^= flip
    with pytest.raises(EnvelopeError):
        unseal(bytes(sealed), KEYS[case[0]])


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
def test_every_single_bit_of_a_small_file_counts(kind: str) -> None:
    sealed = SEALED[kind, 5]
    for index in range(len(sealed)):
        changed = bytearray(sealed)
        changed[index] ^= 1 << index % 8
        with pytest.raises(EnvelopeError):
            unseal(bytes(changed), KEYS[kind])


@given(case=cases, cut=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=examples(300))
def test_any_cut_file_is_refused(case: tuple[str, int], cut: float) -> None:
    sealed = SEALED[case]
    with pytest.raises(EnvelopeError):
        unseal(sealed[: int(cut * len(sealed))], KEYS[case[0]])


@pytest.mark.parametrize("case", sorted(SEALED))
def test_a_file_that_lacks_its_last_bytes_is_refused(case: tuple[str, int]) -> None:
    for missing in range(1, 40):
        with pytest.raises(EnvelopeError):
            unseal(SEALED[case][:-missing], KEYS[case[0]])


@given(case=cases, tail=st.binary(min_size=1, max_size=CHUNK))
@example(case=("x25519", CHUNK), tail=bytes(16))
@settings(deadline=None, max_examples=examples(200))
def test_any_appended_byte_is_refused(case: tuple[str, int], tail: bytes) -> None:
    with pytest.raises(EnvelopeError):
        unseal(SEALED[case] + tail, KEYS[case[0]])


@given(case=cases, position=st.floats(0, 1), inserted=st.binary(min_size=1, max_size=100))
@settings(deadline=None, max_examples=examples(300))
def test_any_inserted_byte_is_refused(case: tuple[str, int], position: float, inserted: bytes) -> None:
    sealed = SEALED[case]
    at = int(position * len(sealed))
    with pytest.raises(EnvelopeError):
        unseal(sealed[:at] + inserted + sealed[at:], KEYS[case[0]])


@given(first=cases, second=cases, position=st.floats(0, 1))
@settings(deadline=None, max_examples=examples(200))
def test_parts_of_two_files_do_not_make_a_third(
    first: tuple[str, int], second: tuple[str, int], position: float
) -> None:
    one, other = SEALED[first], SEALED[second]
    mixed = one[: int(position * len(one))] + other[int(position * len(other)) :]
    if mixed not in (one, other):
        with pytest.raises(EnvelopeError):
            unseal(mixed, KEYS[first[0]])


@given(data=st.one_of(st.binary(max_size=500), st.binary(max_size=500).map(b"age-encryption.org/v1\n".__add__)))
@settings(deadline=None, max_examples=examples(500))
def test_any_bytes_at_all_are_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        unseal(data, KEYS["hybrid"])


@given(
    text=st.from_regex(
        rb"age-encryption\.org/v1\n"
        rb"(-> [a-zA-Z0-9]{1,9}( [!-~]{1,5}){0,2}\n([A-Za-z0-9+/]{64}\n){0,2}[A-Za-z0-9+/]{0,63}\n){1,3}"
        rb"--- [A-Za-z0-9+/]{43}\n",
        fullmatch=True,
    )
)
@settings(deadline=None, max_examples=examples(300))
def test_whatever_parses_as_a_header_serialises_to_the_same_bytes(text: bytes) -> None:
    try:
        header = parse_header(io.BytesIO(text))
    except EnvelopeError:
        return
    assert header.serialise() == text


@given(data=st.binary(max_size=2000))
@settings(deadline=None)
def test_armor_reads_back(data: bytes) -> None:
    assert b"".join(dearmor(io.BytesIO(armored(data)))) == data


@given(data=st.binary(min_size=1, max_size=200), position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@settings(deadline=None, max_examples=examples(500))
def test_changed_armor_is_refused_or_means_something_else(data: bytes, position: float, byte: int) -> None:
    text = bytearray(armored(data))
    at = int(position * len(text))
    if text[at] == byte:
        return
    text[at] = byte
    try:
        changed = b"".join(dearmor(io.BytesIO(bytes(text))))
    except EnvelopeError:
        return
    assert changed != data or text[at : at + 1].isspace()  # only the whitespace after the END line says nothing


@given(prefix=st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-"]), data=st.binary(max_size=80))
def test_bech32_reads_back(prefix: str, data: bytes) -> None:
    assert bech32.decode(bech32.encode(prefix, data)) == (prefix, data)


@given(
    data=st.binary(min_size=32, max_size=32),
    position=st.integers(4, 61),
    symbol=st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"),
)
def test_bech32_finds_any_single_typing_error(data: bytes, position: int, symbol: str) -> None:
    text = bech32.encode("age", data)
    mistyped = text[:position] + symbol + text[position + 1 :]
    if mistyped != text:
        with pytest.raises(ValueError, match="checksum"):
            bech32.decode(mistyped)


@given(text=st.text(max_size=200))
def test_any_text_is_no_key_or_a_key_in_canonical_form(text: str) -> None:
    for parse in (parse_recipient, parse_identities, parse_public_key):
        with pytest.raises(KeyUnusable):
            parse(text)


@given(message=st.binary(max_size=200), position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(deadline=None, max_examples=examples(300))
def test_any_changed_byte_of_a_signature_is_refused(message: bytes, position: float, flip: int) -> None:
    lines = SIGNER.sign(message, "gla-receipt").splitlines()
    blob = bytearray(base64.b64decode("".join(lines[1:-1])))
    blob[int(position * len(blob))] ^= flip
    changed = "\n".join([lines[0], base64.b64encode(blob).decode(), lines[-1]])
    with pytest.raises(SignerUnknown):
        verify(changed, message, "gla-receipt")


@given(signature=st.text(max_size=300), message=st.binary(max_size=20))
def test_any_text_is_no_signature(signature: str, message: bytes) -> None:
    for text in (signature, f"-----BEGIN SSH SIGNATURE-----\n{signature}\n-----END SSH SIGNATURE-----"):
        with pytest.raises(SignerUnknown):
            verify(text, message, "gla-receipt")
