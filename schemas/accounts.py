"""The documents that pass between the flows and the drop zone: who may log in, what was picked up, what was sent.

The flows write the accounts file and the drop zone reads it; the drop zone tells of pickups and uploads, for the flows.
Neither needs the database of the other. Reading and writing files is left to them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.canonical import MOST_EXACT, canonical_json, parse_json
from core.clock import from_rfc3339, to_rfc3339
from core.errors import UnusableInput
from core.ids import checked_name
from schemas.invalid import places
from schemas.spans import count, covers

ACCOUNTS_NAME = "accounts.json"  # beside `deliveries/`, `incoming/` and `spool/` in the drop zone
SPOOL = "spool"  # what was picked up, a file for each session
INCOMING = "incoming"  # with a folder for each recipient, and in it one for each agreement under which it may send

# What the SSH server of the drop zone can verify. Security keys (sk-) and certificates are not among it.
_KEY_LINE = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/]+={0,2})")


def key_blob(line: str) -> bytes:
    """The RFC 4253 public key blob of `TYPE BASE64`; ValueError if the type is not accepted or not the blob's own."""
    match = _KEY_LINE.fullmatch(line)
    if match is None:
        raise ValueError("not an SSH public key of an accepted type, without comment")
    try:
        blob = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        blob = b""
    name = match[1].encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        raise ValueError("the SSH public key is damaged")
    return blob


def blob_fingerprint(blob: bytes) -> str:
    """`SHA256:...` as OpenSSH prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _checked_key(line: str) -> str:
    key_blob(line)
    return line


RecipientName = Annotated[str, AfterValidator(lambda text: checked_name(text, "a recipient"))]
AgreementId = Annotated[str, AfterValidator(lambda text: checked_name(text, "an agreement"))]
KeyLine = Annotated[str, AfterValidator(_checked_key)]
Moment = Annotated[str, AfterValidator(lambda text: to_rfc3339(from_rfc3339(text)))]
Bytes = Annotated[int, Field(ge=0, le=MOST_EXACT)]


class _Document(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785) without a line break in it."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse and check; `UnusableInput` names the fields that are wrong, never their values."""
        what = f"the {cls.__name__.lower()} document"
        value = canonical_json(parse_json(data, what))
        try:
            return cls.model_validate_json(value)
        except ValidationError as error:
            fields = places(error)
        raise UnusableInput(f"{what} is not valid ({fields})")


class Account(_Document):
    """One recipient's login: the name is the SSH user name and the name of its folder.

    `revoked`: agreements of its own whose folders it does not see any more, though it may log in for others.
    """

    name: RecipientName
    keys: tuple[KeyLine, ...]
    revoked: tuple[AgreementId, ...] = ()

    def blobs(self) -> frozenset[bytes]:
        return frozenset(key_blob(line) for line in self.keys)


class Accounts(_Document):
    """Everyone who may log in. Who or what is not in it is refused."""

    version: Literal[1] = 1
    accounts: tuple[Account, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len({account.name for account in self.accounts}) != len(self.accounts):
            raise ValueError("two accounts have the same name")
        return self


class Pickup(_Document):
    """One file that a recipient opened and closed, or lost the connection to.

    `whole` says that every byte was sent and the recipient's program closed the file itself: strong evidence, not the
    recipient's signed receipt. After a resumed download no single pickup is whole: see `spans.whole_together`.
    """

    recipient: RecipientName
    path: str  # below the recipient's folder: agreement/period/edition/file
    size: Bytes
    bytes_read: Bytes  # different bytes, so reading the same ones twice counts once
    spans: tuple[tuple[Bytes, Bytes], ...]
    whole: bool
    closed: bool  # by the recipient's program, not by the end of the connection
    address: str
    session: str
    fingerprint: str  # of the SSH key that logged in
    started: Moment
    ended: Moment

    @model_validator(mode="after")
    def _sums_agree(self) -> Self:
        if self.bytes_read != count(self.spans) or self.whole != (self.closed and covers(self.spans, self.size)):
            raise ValueError("the counts of a pickup contradict each other")
        return self


class Upload(_Document):
    """How a file came that a recipient sent to us: beside the file, hidden, under `ticket_name`."""

    recipient: RecipientName
    size: Bytes
    address: str
    session: str
    fingerprint: str  # of the SSH key that logged in
    started: Moment
    ended: Moment


def ticket_name(name: str) -> str:
    """The name of the `Upload` document of the file `name`, in the same folder."""
    return f".{name}.upload"
