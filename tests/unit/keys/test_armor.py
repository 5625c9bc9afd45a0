from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from keys.envelope.armor import BEGIN, END, ArmorWriter, dearmor
from keys.envelope.errors import ArmorInvalid
from keys.private.identities import Identity


def armored(data: bytes, step: int = 1000) -> bytes:
    target = io.BytesIO()
    writer = ArmorWriter(target)
    for start in range(0, len(data), step):
        assert writer.write(data[start : start + step]) == len(data[start : start + step])
    writer.close()
    return target.getvalue()


def plain(text: bytes) -> bytes:
    return b"".join(dearmor(io.BytesIO(text)))


@pytest.mark.parametrize("size", [0, 1, 47, 48, 49, 96, 5000])
@pytest.mark.parametrize("step", [1, 48, 1000])
def test_the_text_form_reads_back_whatever_the_size_of_the_writes(size: int, step: int) -> None:
    data = bytes(i % 251 for i in range(size))
    text = armored(data, step)
    assert text == armored(data)
    assert plain(text) == data
    assert plain(text.replace(b"\n", b"\r\n")) == data
    assert plain(b"\n \t\r\n" + text + b"  \n\n") == data
    assert max(map(len, text.splitlines())) <= 64


def test_an_armored_envelope_is_recognised(
    identity: Identity, seal: Callable[..., bytes], unseal: Callable[..., bytes]
) -> None:
    assert unseal(armored(seal(b"content", identity)), identity) == b"content"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        BEGIN,
        BEGIN + b"\nQUJD\n",
        BEGIN + b"\nQUJD\n" + END + b"\nQUJD",
        BEGIN + b"\nQUJD\nQUJD\n" + END,
        BEGIN + b"\n\n" + END,
        BEGIN + b"\nQUJD\n\n" + END,
        BEGIN + b"\nQUJ\n" + END,
        BEGIN + b"\nQR==\n" + END,
        BEGIN + b"\nQQ\n" + END,
        BEGIN + b"\nQUJD \n" + END,
        BEGIN + b" \nQUJD\n" + END,
        BEGIN + b"\nQUJD\r" + END,
        BEGIN + b"\n" + b"QUJD" * 17 + b"\n" + END,
        BEGIN + b"\n" + b"QUJD" * 10_000 + b"\n" + END,
        BEGIN + b"\nQUJD\n" + END.lower(),
        BEGIN + b"\nQUJD\n" + END + b"\n" + b" " * 70_000,
        b" " * 70_000 + BEGIN + b"\nQUJD\n" + END,
        b"\n" * 70_000 + BEGIN + b"\nQUJD\n" + END,
    ],
)
def test_armor_that_is_not_strict_is_refused(text: bytes) -> None:
    with pytest.raises(ArmorInvalid):
        plain(text)
