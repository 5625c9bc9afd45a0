"""What is in a delivery: the signed manifest (open, over ciphertext) and the sealed pakbon (counts, over plaintext).

The manifest is a superset of the metadata of Digikoppeling Grote Berichten (filename, size, checksum, contentType,
contextId, creationTime, expirationTime), but for its URLs: files are named beside the manifest, so that the same signed
bytes are good at every place where they stand. It is public to whoever stores the delivery, so it holds nothing about
the people in it: counts, sums and plaintext digests travel in the pakbon, which is sealed like the data. So does the
plan, what was read and how (its digest is public), and so does the page that shows the pakbon to people.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from core.canonical import MOST_EXACT, canonical_json, parse_json, sha256_hex
from core.clock import from_rfc3339, to_rfc3339
from core.errors import ManifestInvalid, UnusableInput
from core.ids import checked_name
from core.period import Period
from schemas.documents import CAMEL_CASE
from schemas.envelopes import FORMS
from schemas.invalid import places

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
PQ_SIGNATURE_NAME = "manifest.json.mldsa"  # a second signature, where one is configured
SENDER_KEYS_NAME = "sender-keys.jsonl"  # the history of the keys that signed, where it is not the key of the agreement
BESIDE = (MANIFEST_NAME, SIGNATURE_NAME, PQ_SIGNATURE_NAME, SENDER_KEYS_NAME)  # what a manifest itself does not list
PAKBON = "pakbon.json"  # and the suffix of what it is sealed with
PAKBON_PAGE = "pakbon.html"  # the same, for people (`schemas.pakbon_page`)
CHUNK_BYTES = 4 * 1024 * 1024  # a damaged file is repaired by chunks of this size; 1 GB has 256 digests

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _form(checked: Callable[[str], str]) -> AfterValidator:
    """Our own check as one of pydantic's, which names the field only for a ValueError."""

    def check(text: str) -> str:
        try:
            return checked(text)
        except UnusableInput:
            pass
        raise ValueError("not of the right form")

    return AfterValidator(check)


FileName = Annotated[str, _form(lambda text: checked_name(text, "a file name"))]
PeriodText = Annotated[str, _form(lambda text: str(Period.parse(text)))]
Timestamp = Annotated[str, AfterValidator(lambda text: to_rfc3339(from_rfc3339(text)))]
Count = Annotated[int, Field(ge=0, le=MOST_EXACT)]
Edition = Annotated[int, Field(ge=1, le=MOST_EXACT)]


def _is_none(value: object) -> bool:
    """For a field that older documents lack: they keep their bytes."""
    return value is None


class _Document(BaseModel):
    model_config = CAMEL_CASE

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785), the bytes that are signed or sealed."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse and check; `ManifestInvalid` names the fields that are wrong, never their values."""
        try:
            value = parse_json(data, cls.__name__.lower())
            return cls.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
        except UnusableInput:
            fields = "not JSON"
        except ValidationError as error:
            fields = places(error)
        raise ManifestInvalid(f"the {cls.__name__.lower()} is not valid ({fields}): ask the sender for a new delivery")


class _Named(Protocol):
    @property
    def filename(self) -> str: ...


_Files = TypeVar("_Files", bound=tuple[_Named, ...])


def _named_once(files: _Files) -> _Files:
    """Two files of one name would be one file; on some disks also if they differ in case only."""
    if len({file.filename.lower() for file in files}) != len(files):
        raise ValueError("two files have the same name")
    return files


class ManifestFile(_Document):
    """One encrypted file: size in bytes and SHA-256 of the ciphertext, whole and per `chunk_size` bytes."""

    filename: FileName
    size: Count
    checksum: Sha256
    content_type: str
    chunk_size: Annotated[Count, Field(ge=1)] = CHUNK_BYTES
    chunks: tuple[Sha256, ...]

    @model_validator(mode="after")
    def _chunks_make_the_whole(self) -> Self:
        if len(self.chunks) != -(-self.size // self.chunk_size):
            raise ValueError("the number of chunks does not fit the size")
        return self


class Contact(_Document):
    """Whom to ask: the first of the agreement's `support` channels, with its URL (mailto:, https:) if it has one."""

    name: Annotated[str, Field(min_length=1)]
    url: str | None = None


class Manifest(_Document):
    """The public list of one delivery. `context_id` is the delivery's id in the sender's ledger."""

    version: Literal[1] = 1
    context_id: str
    agreement: FileName
    agreement_digest: Sha256
    recipient: FileName
    product: str
    period: PeriodText
    edition: Edition
    supersedes: Edition | None
    creation_time: Timestamp
    expiration_time: Timestamp
    contact: Contact | None = Field(default=None, exclude_if=_is_none)  # where the agreement names one
    plan_digest: Sha256 | None = Field(default=None, exclude_if=_is_none)  # of the pakbon's plan; not in older ones
    files: Annotated[tuple[ManifestFile, ...], AfterValidator(_named_once)]

    @property
    def pakbon(self) -> ManifestFile:
        """The sealed pakbon; its suffix says how the delivery is encrypted. `ManifestInvalid` if there is not one."""
        found = [file for file in self.files if file.filename in {f"{PAKBON}{form.suffix}" for form in FORMS}]
        if len(found) != 1:
            raise ManifestInvalid("the delivery has no pakbon, or more than one: ask the sender for a new delivery")
        return found[0]

    @property
    def page(self) -> ManifestFile | None:
        """The sealed page for people; older deliveries have none."""
        name = PAKBON_PAGE + self.pakbon.filename.removeprefix(PAKBON)
        return next((file for file in self.files if file.filename == name), None)

    @property
    def expires(self) -> datetime:
        return from_rfc3339(self.expiration_time)


class PlanColumn(_Document):
    """One column: its delivered name, its name in the source, and its type (Polars' word) where the source is text."""

    name: str
    source_name: str
    type: str


class EditionName(_Document):
    """Another delivery under the same agreement."""

    period: PeriodText
    edition: Edition


class Plan(_Document):
    """What was read, and how: whoever reads the same with the same plan has the same rows.

    `snapshot` names the state of the source, as far as it can tell. `participants` is the digest of the set of people
    about whom data could be delivered. `mutations` names the column of a mutation delivery that says what happened to a
    row since the delivery `base`; without a base every row is told as new.
    """

    agreement: FileName
    agreement_digest: Sha256
    source: str
    snapshot: str | None = Field(default=None, exclude_if=_is_none)
    columns: tuple[PlanColumn, ...]
    filter: tuple[dict[str, Any], ...]
    period: PeriodText
    participants: Sha256 | None = Field(default=None, exclude_if=_is_none)
    mutations: str | None = Field(default=None, exclude_if=_is_none)
    base: EditionName | None = Field(default=None, exclude_if=_is_none)

    @property
    def digest(self) -> str:
        return sha256_hex(self.to_bytes())


class PakbonFile(_Document):
    """One decrypted file: its name, size in bytes, SHA-256 and number of rows."""

    filename: FileName
    size: Count
    checksum: Sha256
    rows: Count


class MutationCounts(_Document):
    """How many rows of a mutation delivery are new, changed and ended since the delivery before it."""

    new: Count
    changed: Count
    ended: Count


class Pakbon(_Document):
    """The sealed counts (tellingen) of one delivery; sums are decimal strings. `reason`: why it replaces an edition."""

    version: Literal[1] = 1
    context_id: str
    agreement_digest: Sha256
    period: PeriodText
    edition: Edition
    reason: str | None = Field(default=None, exclude_if=_is_none)
    rows: Count
    sums: dict[str, str]
    plan_digest: Sha256
    plan: Plan | None = Field(default=None, exclude_if=_is_none)  # older ones have only its digest
    mutations: MutationCounts | None = Field(default=None, exclude_if=_is_none)
    files: Annotated[tuple[PakbonFile, ...], AfterValidator(_named_once)]

    @model_validator(mode="after")
    def _digest_is_that_of_the_plan(self) -> Self:
        if self.plan is not None and self.plan.digest != self.plan_digest:
            raise ValueError("the digest is not that of the plan")
        return self

    @model_validator(mode="after")
    def _rows_are_those_of_the_files(self) -> Self:
        if self.rows != sum(file.rows for file in self.files):
            raise ValueError("the number of rows is not that of the files")
        told = self.mutations
        if told is not None and self.rows != told.new + told.changed + told.ended:
            raise ValueError("the number of rows is not that of the mutations")
        return self
