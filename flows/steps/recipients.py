"""Register organisations and their public keys; every change is a ledger entry and reaches the drop zone at once.

A key is registered unproven, with a challenge to it (`possession`): nothing is sealed to it before that is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from agreements import registry
from agreements.registry import NewKey
from agreements.standing import KeyPurpose, RecipientKey
from core.clock import dutch_midnight, to_rfc3339
from core.database import reading, writing
from core.discreet import discreet
from core.errors import UnusableInput
from core.ids import checked_name
from flows.steps.accounts import write_accounts
from flows.steps.key_events import tell
from flows.steps.possession import Challenge, challenge_to_seal_key, challenge_to_ssh_key, write_challenges
from flows.wiring import Services
from keys.kinds import SealingKey, parse_sealing_key, renewed
from keys.sshsig import parse_public_key
from keys.validity import private_key_refused
from ledger.vocabulary import Action

_PRIVATE = re.compile(r"PRIVATE KEY|SECRET-KEY|PuTTY-User-Key", re.IGNORECASE)


@dataclass(frozen=True)
class Validity:
    """First and last day, in the Netherlands; None where it is not limited, but for what the key itself says."""

    first: date | None = None
    last: date | None = None

    def moments(
        self, not_before: datetime | None = None, not_after: datetime | None = None
    ) -> tuple[datetime | None, datetime | None]:
        """From and until, no wider than what the key says."""
        starts = [dutch_midnight(self.first)] if self.first else []
        ends = [dutch_midnight(self.last + timedelta(days=1))] if self.last else []
        return (
            max([*starts, *([not_before] if starts and not_before else [])], default=None),
            min([*ends, *([not_after] if not_after else [])], default=None),
        )


@dataclass(frozen=True)
class Registered:
    """A key as it is now registered, and the challenge that its holder answers; none if it was proven before."""

    key: RecipientKey
    challenge: Challenge | None


def register(
    services: Services,
    name: str,
    kvk: str | None,
    seal_keys: Sequence[str],
    ssh_keys: Sequence[str],
    actor: str = "",
    validity: Validity = Validity(),
) -> list[Registered]:
    """Add an organisation, or keys to one (then `kvk` may be None). Keys are public keys as text, or files with one.

    A key that is there already gets the new dates, and a new challenge if it was not proven.
    """
    checked_name(name, "the name of a recipient")
    if kvk is not None and not re.fullmatch(r"[0-9]{8}", kvk):
        raise UnusableInput(f"recipient {name}: a KvK number has 8 digits")
    known = _known(services, name, must_exist=kvk is None)
    found = [
        *(_seal_key(services, name, text, known, validity) for text in seal_keys),
        *(_ssh_key(services, name, text, validity) for text in ssh_keys),
    ]
    now = services.clock()
    added = []
    with writing(services.engine) as connection:
        if kvk is not None:
            registry.add_recipient(connection, name, kvk, now)
        for new, challenge in found:
            stored = registry.add_key(connection, name, new, now)
            if stored.proven_at is None:
                registry.add_challenge(connection, challenge.stored)
            added.append(Registered(stored, None if stored.proven_at else challenge))
        detail = {"kvk": kvk, "keys": [new.fingerprint for new, _ in found]}
        tell(services, connection, Action.RECIPIENT_ADDED if kvk else Action.RECIPIENT_CHANGED, name, actor, detail)
        challenged = [each.challenge.stored for each in added if each.challenge]
        for stored_challenge in challenged:
            detail = {"key": stored_challenge.fingerprint, "challenge": stored_challenge.id}
            tell(services, connection, Action.KEY_CHALLENGED, name, actor, detail)
    write_challenges(services, [each.challenge for each in added if each.challenge])
    write_accounts(services)
    return added


def revoke(services: Services, name: str, fingerprint: str, actor: str = "", reason: str = "") -> None:
    """Revoke one key of an organisation: from now on nothing is sealed to it, and nothing that it signs counts."""
    with writing(services.engine) as connection:
        registry.revoke_key(connection, name, fingerprint, services.clock())
        detail = {"revoked": fingerprint, "reason": reason}
        tell(services, connection, Action.KEY_REVOKED, name, actor, detail)
    write_challenges(services, [])
    write_accounts(services)


@discreet
def read_sealing_key(text: str) -> SealingKey:
    """A public key, given as it is or as the file that holds it, in text or binary; `KeyUnusable` never shows it."""
    if text.lower().lstrip().startswith(("age1", "age-", "-----begin")) or "\n" in text:
        return parse_sealing_key(text.encode())
    try:
        data = Path(text).read_bytes()
    except (OSError, ValueError):  # also what is no path
        data = text.encode()
    return parse_sealing_key(data)


def as_registered(key: SealingKey, known: RecipientKey | None) -> SealingKey:
    """What is to be stored of a key that may be known: an OpenPGP certificate keeps what it said before."""
    return key if known is None else renewed(parse_sealing_key(known.public_key), key)


def _known(services: Services, name: str, *, must_exist: bool) -> dict[str, RecipientKey]:
    with reading(services.engine) as connection:
        if must_exist:
            registry.check_recipient(connection, name)
        return {key.fingerprint: key for key in registry.keys_of(connection, name)}


def _seal_key(
    services: Services, name: str, text: str, known: dict[str, RecipientKey], validity: Validity
) -> tuple[NewKey, Challenge]:
    given = read_sealing_key(text)
    registered = known.get(given.fingerprint)
    key = as_registered(given, registered)
    key.check(services.clock())
    starts, ends = validity.moments(key.not_before, key.not_after)
    _check_dates(services, key.fingerprint, starts, ends)
    if registered is not None and validity.last is None and _was_limited(registered):
        ends = None  # no change
    new = NewKey(key.fingerprint, KeyPurpose.SEAL, key.kind, str(key), starts, ends)
    return new, challenge_to_seal_key(services, name, key)


def _was_limited(registered: RecipientKey) -> bool:
    """Whether its end is ours (an operator's, or a rotation's) rather than what the certificate says."""
    own = parse_sealing_key(registered.public_key).not_after
    return registered.valid_until is not None and registered.valid_until != (own and to_rfc3339(own))


def _ssh_key(services: Services, name: str, text: str, validity: Validity) -> tuple[NewKey, Challenge]:
    public = parse_public_key(_line_of(text))
    dates = validity.moments()
    _check_dates(services, public.fingerprint, *dates)
    new = NewKey(public.fingerprint, KeyPurpose.SIGN, "ssh", public.line, *dates)
    return new, challenge_to_ssh_key(services, name, public)


def _check_dates(services: Services, fingerprint: str, starts: datetime | None, ends: datetime | None) -> None:
    if ends is not None and ends <= max(services.clock(), starts or services.clock()):
        raise UnusableInput(f"key {fingerprint} would never be valid with these dates: look at the last day")


@discreet
def _line_of(text: str) -> str:
    """A public key may be given as it is or as the file that holds it; a private key of any kind is refused loudly."""
    if not text.startswith(("ssh-", "ecdsa-", "sk-")) and not _PRIVATE.search(text):
        text = _content(text)
    if _PRIVATE.search(text):
        raise private_key_refused()
    if len([line for line in text.splitlines() if line.strip()]) != 1:
        raise UnusableInput("the SSH key must be one line, of one key: name every key with its own --ssh")
    return text.strip()


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):  # also what is no path, or no text
        pass
    raise UnusableInput("the SSH key is neither a public key line nor a readable file: pass ~/.ssh/id_ed25519.pub")
