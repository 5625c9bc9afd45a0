"""The published history of our public keys, so that what an earlier key signed stays checkable.

One JSON line for each key, of all roles in one file, which is only appended to::

    {"role", "key", "since", "previous", "endorsement", "possession"}

`previous` is the SHA-256 of the line before it of the same role, or null. Both signatures are over the RFC 8785 bytes
of the first four, for `gla-key-history`: `endorsement` by the key before it, so whoever trusts that one is led to this
one; `possession` by the key itself, so whoever trusts this one is led back. Keys that cannot sign are endorsed by our
agreement seal, and have no `possession`. A key's time ends when the next one's begins.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta

from core.canonical import canonical_json, parse_json, sha256_hex
from core.clock import from_rfc3339, to_rfc3339
from core.errors import GlaError, KeyUnusable, SignerUnknown, UnusableInput
from keys import mldsa, sshsig
from keys.envelope.recipients import parse_recipient
from keys.roles import Role
from keys.sshsig import Namespace
from keys.verification import Reason, Verification
from schemas.envelopes import OPENPGP

SECRET_KIND = "check-value"  # noqa: S105  it stands where a key would have its kind, and tells nothing of the secret
LARGEST = 8 * 1024 * 1024  # bytes of a history; a post-quantum entry has 12 kB
_STILL_SIGNING = timedelta(minutes=5)  # a signature that was begun when its key was replaced


@dataclass(frozen=True)
class Entry:
    """One line of the history. `since` is RFC 3339."""

    role: str
    key: str
    since: str
    previous: str | None
    endorsement: str | None = None
    possession: str | None = None

    def message(self) -> bytes:
        """The bytes that are signed."""
        return canonical_json({"key": self.key, "previous": self.previous, "role": self.role, "since": self.since})

    def line(self) -> bytes:
        return canonical_json(asdict(self))


@dataclass(frozen=True)
class PublishedKey:
    """A key of ours as its history tells it; `until` is None for the one of today."""

    role: Role
    line: str
    since: datetime
    until: datetime | None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.line)


class KeyHistory:
    """Entries as they were read; `of` and `after` believe only what is signed."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)

    @classmethod
    def parse(cls, data: bytes) -> KeyHistory:
        """Read the file; a last line without its end was never completed. `SignerUnknown` names a line that is none."""
        if len(data) > LARGEST:
            raise SignerUnknown("the history of the sender's keys is too large to be one")
        lines = data.split(b"\n")[:-1]
        return cls(_entry(line, number) for number, line in enumerate(lines, 1))

    def lines(self, roles: Collection[Role]) -> bytes:
        """The file with the entries of some roles only."""
        return b"".join(entry.line() + b"\n" for entry in self.entries if entry.role in roles)

    def last(self, role: Role) -> Entry | None:
        """The newest entry, not verified."""
        return next((entry for entry in reversed(self.entries) if entry.role == role), None)

    def of(self, role: Role) -> tuple[PublishedKey, ...]:
        """All keys of a role, oldest first; `SignerUnknown` unless every one is signed by its neighbours."""
        entries = [entry for entry in self.entries if entry.role == role]
        try:
            seals = () if can_sign(role) else self.of(Role.AGREEMENT_SEAL)
            sound = all(
                _follows(before, entry, seals) for before, entry in zip([None, *entries], entries, strict=False)
            )
            times = [from_rfc3339(entry.since) for entry in entries]
        except (GlaError, ValueError, TypeError):
            sound = False
        if not sound or times != sorted(times):
            raise SignerUnknown(f"the history of our {role} keys is not one that we signed: do not use it")
        return tuple(
            PublishedKey(role, entry.key, since, until)
            for entry, since, until in zip(entries, times, [*times[1:], None], strict=False)
        )

    def after(self, role: Role, trusted: str) -> tuple[PublishedKey, ...]:
        """The key that is trusted already, and those that it leads to; `SignerUnknown` if it is not in the history."""
        keys = self.of(role)
        for position, key in enumerate(keys):
            if key.line == trusted:
                return keys[position:]
        raise SignerUnknown(f"the history of our {role} keys does not hold the key that is trusted: do not use it")


def can_sign(role: Role) -> bool:
    return role not in (Role.INTAKE, Role.PERSON_DIGESTS, Role.OPENPGP)


def judge(
    keys: Sequence[PublishedKey], signature: str, message: bytes, namespace: str, at: datetime | None = None
) -> Verification:
    """Whether one of `keys` signed `message` for `namespace`, or why not. Never raises.

    `at` is when the signed document itself says that it was made: not after the key was replaced.
    """
    return judge_each(keys, at, lambda key: judge_by(key.line, signature, message, namespace))


def judge_each(
    keys: Sequence[PublishedKey], at: datetime | None, judged_by: Callable[[PublishedKey], Verification]
) -> Verification:
    """What came of asking each key, the newest first, until one made the signature; `at` as in `judge`."""
    reason = Reason.ANOTHER_KEY
    for key in reversed(keys):
        judged = judged_by(key)
        if judged.valid:
            late = key.until is not None and at is not None and at > key.until + _STILL_SIGNING
            return Verification(Reason.KEY_REPLACED, key.line) if late else judged
        if judged.reason is not Reason.ANOTHER_KEY:
            reason = judged.reason
    return Verification(reason)


def judge_by(line: str, signature: str, message: bytes, namespace: str) -> Verification:
    """As `judge`, by one key of ours: an SSHSIG, or ML-DSA in base64."""
    if line.startswith(f"{mldsa.KIND} "):
        try:
            key, raw = mldsa.parse_mldsa_key(line), binascii.a2b_base64(signature.encode(), strict_mode=True)
        except (KeyUnusable, ValueError):
            return Verification(Reason.MALFORMED)
        return key.judge(raw, message, namespace)
    judged = sshsig.judge(signature, message, namespace)
    if judged.valid and judged.key != line:
        return Verification(Reason.ANOTHER_KEY, judged.key)
    return judged


def fingerprint(line: str) -> str:
    """`SHA256:...` (`OPENPGP:...`) of any public key of ours; `KeyUnusable` for a line that is none."""
    kind, _, value = line.partition(" ")
    if kind == mldsa.KIND:
        return mldsa.parse_mldsa_key(line).fingerprint
    if kind == SECRET_KIND:
        return value
    if OPENPGP.fingerprint.fullmatch(line):
        return line
    if line.startswith("age1"):
        return parse_recipient(line).fingerprint
    return sshsig.parse_public_key(line).fingerprint


def check_value(secret: bytes) -> str:
    """The line that stands for a secret of 32 random bytes: it shows whether two are the same, and nothing else."""
    digest = hashlib.sha256(b"gla check value\x00" + secret).digest()
    return f"{SECRET_KIND} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def new_entry(history: KeyHistory, role: Role, key: str, now: datetime) -> Entry:
    """The next entry of a role, not yet signed; its time is never before that of the entry before it."""
    last = history.last(role)
    since = to_rfc3339(now) if last is None else max(to_rfc3339(now), last.since)
    return Entry(role, key, since, None if last is None else sha256_hex(last.line()))


def _follows(before: Entry | None, entry: Entry, seals: Sequence[PublishedKey]) -> bool:
    if entry.previous != (None if before is None else sha256_hex(before.line())):
        return False
    fingerprint(entry.key)
    if not can_sign(Role(entry.role)):
        return entry.possession is None and _endorsed(seals, entry)
    if not judge_by(entry.key, str(entry.possession), entry.message(), Namespace.KEY_HISTORY).valid:
        return False
    if before is None:
        return entry.endorsement is None
    return judge_by(before.key, str(entry.endorsement), entry.message(), Namespace.KEY_HISTORY).valid


def _endorsed(seals: Sequence[PublishedKey], entry: Entry) -> bool:
    made = from_rfc3339(entry.since)
    return judge(seals, str(entry.endorsement), entry.message(), Namespace.KEY_HISTORY, made).valid


def _entry(line: bytes, number: int) -> Entry:
    try:
        value = parse_json(line, "the line")
        optional = {"previous", "endorsement", "possession"}
        if set(value) == {field.name for field in fields(Entry)} and all(
            isinstance(item, str) or (item is None and name in optional) for name, item in value.items()
        ):
            entry = Entry(**value)
            if entry.line() == line and Role(entry.role):
                return entry
    except (UnusableInput, TypeError, ValueError):
        pass
    raise SignerUnknown(f"line {number} of the history of our keys is not an entry of it: restore the file")
