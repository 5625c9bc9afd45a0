"""The public test vectors of the age format (C2SP/CCTV): each gives its own class of failure, or its own content.

Read in place. Vectors that need a passphrase are not ours: we know no passphrase recipients.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.envelope.armor import ArmorWriter, dearmor
from keys.envelope.errors import ArmorInvalid, EnvelopeError, HeaderInvalid, HmacMismatch, NoMatchingKey, PayloadInvalid
from keys.envelope.format import parse_header
from keys.envelope.inspection import inspect
from keys.private.identities import Identity, parse_identities
from keys.private.opening import open_into, open_pieces

FAILURES: dict[type[EnvelopeError], str] = {
    ArmorInvalid: "armor failure",
    HeaderInvalid: "header failure",
    HmacMismatch: "HMAC failure",
    NoMatchingKey: "no match",
    PayloadInvalid: "payload failure",
}
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "age"
NAMES = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []


@dataclass(frozen=True)
class Vector:
    expect: str
    payload: str | None
    identities: list[Identity]
    armored: bool
    file: bytes


@pytest.fixture
def vector(request: pytest.FixtureRequest, shared_vectors: Path) -> Vector:
    head, _, file = (shared_vectors / "age" / request.param).read_bytes().partition(b"\n\n")
    lines = [line.split(": ", 1) for line in head.decode().splitlines()]
    fields = dict(lines)
    if fields.get("compressed") == "zlib":
        file = zlib.decompress(file)
    secrets = "\n".join(value for key, value in lines if key == "identity")
    return Vector(
        fields["expect"],
        fields.get("payload"),
        parse_identities(secrets) if secrets else [],
        "armored" in fields,
        file,
    )


def test_the_vectors_are_there(shared_vectors: Path) -> None:
    assert len(list((shared_vectors / "age").iterdir())) > 50


@pytest.mark.parametrize("vector", NAMES, indirect=True)
def test_a_vector_ends_as_it_says_and_releases_what_it_says(vector: Vector) -> None:
    released = io.BytesIO()
    outcome = "success"
    try:
        for piece in open_pieces(io.BytesIO(vector.file), vector.identities):
            released.write(piece)
    except EnvelopeError as error:
        outcome = FAILURES[type(error)]
    assert outcome == vector.expect
    if vector.payload is not None:
        assert hashlib.sha256(released.getvalue()).hexdigest() == vector.payload


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("vector", NAMES, indirect=True)
def test_opening_into_a_file_ends_the_same_and_releases_no_more(vector: Vector, threads: int) -> None:
    released = io.BytesIO()
    outcome = "success"
    try:
        open_into(io.BytesIO(vector.file), vector.identities, released, threads=threads)
    except EnvelopeError as error:
        outcome = FAILURES[type(error)]
    assert outcome == vector.expect
    if vector.payload is not None:
        assert hashlib.sha256(released.getvalue()).hexdigest() == vector.payload


@pytest.mark.parametrize("vector", NAMES, indirect=True)
def test_inspection_needs_no_key_and_tells_the_size_of_what_opens(vector: Vector) -> None:
    if vector.expect in ("header failure", "armor failure", "payload failure"):
        with contextlib.suppress(HeaderInvalid, ArmorInvalid, PayloadInvalid):  # some show only to who has the key
            inspect(io.BytesIO(vector.file))
        return
    found = inspect(io.BytesIO(vector.file))
    assert found.armored == vector.armored
    if vector.expect == "success":
        content = b"".join(bytes(piece) for piece in open_pieces(io.BytesIO(vector.file), vector.identities))
        assert found.payload_size == len(content)


@pytest.mark.parametrize("vector", NAMES, indirect=True)
def test_a_header_or_an_armor_that_is_read_is_written_the_same(vector: Vector) -> None:
    binary = vector.file
    if vector.armored:
        with contextlib.suppress(ArmorInvalid):
            binary = b"".join(dearmor(io.BytesIO(vector.file)))
            assert rearmored(binary) == vector.file.replace(b"\r\n", b"\n").strip() + b"\n"
    if vector.expect in ("header failure", "armor failure"):
        return
    source = io.BytesIO(binary)
    assert parse_header(source).serialise() + source.read() == binary


def rearmored(binary: bytes) -> bytes:
    target = io.BytesIO()
    writer = ArmorWriter(target)
    writer.write(binary)
    writer.close()
    return target.getvalue()
