"""What is in a delivery: the signed manifest (open, over ciphertext) and the sealed pakbon (counts, over plaintext).

The manifest is a superset of the metadata of Digikoppeling Grote Berichten (filename, size, checksum, contentType,
contextId, creationTime, expirationTime). It is public to whoever stores the delivery, so it holds nothing about the
people in it: counts, sums and plaintext digests travel in the pakbon, which is sealed like the data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from core.canonical import canonical_json, parse_json
from core.clock import from_rfc3339, to_rfc3339
from core.errors import ManifestInvalid, UnusableInput
from core.ids import checked_name
from core.period import Period

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
PAKBON_NAME = "pakbon.json.age"
CHUNK_BYTES = 4 * 1024 * 1024  # a damaged file is repaired by chunks of this size; 1 GB has 256 digests

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(lambda text: checked_name(text, "a file name"))]
PeriodText = Annotated[str, AfterValidator(lambda text: str(Period.parse(text)))]
Timestamp = Annotated[str, AfterValidator(lambda text: to_rfc3339(from_rfc3339(text)))]
Count = Annotated[int, Field(ge=0, le=2**53)]  # JSON numbers are exact up to here


class _Document(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785), the bytes that are signed or sealed."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse and check; `ManifestInvalid` names the fields that are wrong, never their values."""
        try:
            value = parse_json(data, cls.__name__.lower())
            return cls.model_validate_json(canonical_json(value))
        except UnusableInput:
            fields = "not JSON"
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False)[:5])
        raise ManifestInvalid(f"the {cls.__name__.lower()} is not valid ({fields}): ask the sender for a new delivery")


class ManifestFile(_Document):
    """One encrypted file: size in bytes and SHA-256 of the ciphertext, whole and per `chunk_size` bytes."""

    filename: FileName
    size: Count
    checksum: Sha256
    content_type: str
    chunk_size: Count = CHUNK_BYTES
    chunks: tuple[Sha256, ...]


class Manifest(_Document):
    """The public list of one delivery. `context_id` is the delivery's id in the sender's ledger."""

    version: Literal[1] = 1
    context_id: str
    agreement: FileName
    agreement_digest: Sha256
    recipient: FileName
    product: str
    period: PeriodText
    edition: Annotated[int, Field(ge=1)]
    supersedes: int | None
    creation_time: Timestamp
    expiration_time: Timestamp
    files: tuple[ManifestFile, ...]

    @property
    def expires(self) -> datetime:
        return from_rfc3339(self.expiration_time)


class PakbonFile(_Document):
    """One decrypted file: its name, size in bytes, SHA-256 and number of rows."""

    filename: FileName
    size: Count
    checksum: Sha256
    rows: Count


class Pakbon(_Document):
    """The sealed counts (tellingen) of one delivery; sums are decimal strings."""

    version: Literal[1] = 1
    context_id: str
    agreement_digest: Sha256
    period: PeriodText
    edition: Annotated[int, Field(ge=1)]
    rows: Count
    sums: dict[str, str]
    plan_digest: Sha256
    files: tuple[PakbonFile, ...]
