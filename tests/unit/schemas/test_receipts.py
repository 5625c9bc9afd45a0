"""What a recipient writes by hand is read kindly, and what is no receipt is told so without a word of what it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnusableInput
from schemas.receipts import (
    RECEIPT_BYTES,
    RECEIPT_NAME,
    ReceiptText,
    Rejection,
    parse_receipt,
    receipt_name,
)

DIGEST = "0123456789abcdef" * 4
digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@pytest.mark.parametrize(
    "line",
    [
        DIGEST,
        f"{DIGEST}  manifest.json",
        f"{DIGEST} *manifest.json",
        f"{DIGEST}  deliveries/GLA-1/2026-03/edition-1/manifest.json",
        f"\\{DIGEST}  deliveries\\GLA-1/manifest.json",
        DIGEST.upper(),
        f"\ufeff{DIGEST}",
        f"\n  {DIGEST}\t manifest.json  \r\n\r\n",
    ],
)
def test_the_digest_is_read_as_programs_print_it(line: str) -> None:
    assert parse_receipt("x.ack", line.encode()) == ReceiptText(DIGEST)


@pytest.mark.parametrize("reason", Rejection)
def test_a_negative_one_has_a_reason(reason: Rejection) -> None:
    assert parse_receipt("x.nack", f"{DIGEST}\r\n{reason}\r\n".encode()) == ReceiptText(DIGEST, reason)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.ack", b""),
        ("x.ack", b"ok"),
        ("x.ack", DIGEST[:-1].encode()),
        ("x.ack", f"{DIGEST}0".encode()),
        ("x.ack", f"{DIGEST}  pakbon.json".encode()),
        ("x.ack", f"{DIGEST}\ndamaged".encode()),
        ("x.ack", DIGEST.encode("utf-16")),
        ("x.ack", b"\xff" * 64),
        ("x.ack", f"{DIGEST}\n".encode() + b" " * RECEIPT_BYTES),
        ("x.nack", DIGEST.encode()),
        ("x.nack", f"{DIGEST}\nbroken".encode()),
        ("x.nack", f"{DIGEST}\ndamaged\ncontent".encode()),
        ("x.nack", f"{DIGEST}\nDAMAGED".encode()),
        ("x.txt", DIGEST.encode()),
    ],
)
def test_what_is_no_receipt_is_refused_without_its_content(name: str, content: bytes) -> None:
    with pytest.raises(UnusableInput) as caught:
        parse_receipt(name, content)
    assert DIGEST[:20] not in str(caught.value)
    assert "broken" not in str(caught.value)


@given(digests, st.none() | st.sampled_from(Rejection))
def test_what_we_write_is_what_we_read(digest: str, reason: Rejection | None) -> None:
    text = ReceiptText(digest, reason)
    name = receipt_name("GLA-1", "2026-01-01--2026-01-17", 12, text.suffix)
    assert RECEIPT_NAME.fullmatch(name)
    assert RECEIPT_NAME.fullmatch(f"{name}.sig")
    assert parse_receipt(name, text.to_bytes()) == text


@given(st.sampled_from(["x.ack", "x.nack", "x", ".ack"]), st.binary(max_size=2 * RECEIPT_BYTES))
def test_no_bytes_get_through_but_a_receipt(name: str, content: bytes) -> None:
    try:
        found = parse_receipt(name, content)
    except UnusableInput:
        return
    assert len(found.manifest) == 64


@pytest.mark.parametrize(
    "name", [".x.ack", "x.ack.exe", "a/b.ack", "x.ACK", "x.ack.sig.sig", "x.ack\n", "a" * 152 + ".ack"]
)
def test_no_other_name_is_one_of_a_receipt(name: str) -> None:
    assert not RECEIPT_NAME.fullmatch(name)
