"""Does the recipient hold the private key? A challenge goes out as a file, and what comes back proves the key.

What is sealed to a key is a token; for a rotation it is sealed to the new key and that to the old one, so that only
who holds both can return it: a stolen SSH key alone brings no key in. An SSH key signs a text instead. A challenge
proves one key of one organisation, once, until it expires. The token itself is nowhere: not stored, told or logged.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, cast

from sqlalchemy import Connection

from agreements import registry
from agreements.registry import StoredChallenge
from agreements.standing import KeyPurpose, ProvenBy
from core.clock import dutch_date, dutch_midnight, from_rfc3339, to_rfc3339
from core.database import reading, writing
from core.errors import GlaError, KeyNotProven, SignerUnknown
from core.files import write_file
from core.ids import checked_name, new_id
from flows.steps.key_events import tell
from flows.wiring import Services
from keys.kinds import SealingKey, open_sealer
from keys.possession import ProofToken, new_token, parse_token, text_to_sign
from keys.sshsig import Namespace, SshPublicKey, verify_by
from ledger.vocabulary import Action, Result
from schemas.rotation import RotationStatement

_FILE_OF = re.compile(r".*-([0-9a-f]{32})\.[a-z0-9]+")  # the id of the challenge stands in its file's name
_ONCE_MORE = "gla keys add writes a new challenge"


@dataclass(frozen=True)
class Challenge:
    """A challenge that is ready: what the database keeps of it, and the file for the recipient."""

    stored: StoredChallenge
    file_name: str
    content: bytes

    @property
    def expires(self) -> datetime:
        return from_rfc3339(self.stored.expires_at)

    def path(self, services: Services) -> Path:
        return services.settings.challenges_dir / self.file_name


def challenge_to_seal_key(
    services: Services, recipient: str, key: SealingKey, old: SealingKey | None = None
) -> Challenge:
    """A token sealed to `key`, and that sealed to `old` where the key replaces one. `KeyUnusable` if it cannot be."""
    token = new_token()
    content = _sealed(services, f"{token.text()}\n".encode(), key)
    if old is not None:
        content = _sealed(services, content, old)
    stored = StoredChallenge(
        token.challenge, key.fingerprint, recipient, token.digest(recipient, key.fingerprint), None,
        _expiry(services), used=False,
    )  # fmt: skip
    return Challenge(stored, _file_name(stored, key.form.suffix), content)


def challenge_to_ssh_key(services: Services, recipient: str, key: SshPublicKey) -> Challenge:
    """A text to be signed with `key`."""
    stored = StoredChallenge(new_id(), key.fingerprint, recipient, None, None, _expiry(services), used=False)
    return Challenge(stored, _file_name(stored, ".txt"), text_to_sign(stored.id, recipient, key.fingerprint))


def write_challenges(services: Services, challenges: list[Challenge]) -> None:
    """Put the files of recorded challenges where the operator finds them, and remove those that prove nothing more."""
    folder = services.settings.challenges_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for challenge in challenges:
        write_file(challenge.path(services), challenge.content, mode=0o600)
    written = [(path, found[1]) for path in folder.iterdir() if (found := _FILE_OF.fullmatch(path.name))]
    with reading(services.engine) as connection:  # after the listing: a file is written only when its row is there
        still_open = registry.open_challenges(connection, services.clock())
    for path, challenge_id in written:
        if challenge_id not in still_open:
            path.unlink(missing_ok=True)


def prove(services: Services, recipient: str, returned: str, actor: str = "") -> str:
    """Take the token that a recipient returned, and record the proof; returns the key's fingerprint.

    `UnusableInput` for what is no token; `KeyNotProven`, which is recorded too, for one that proves nothing.
    """
    token = parse_token(returned)
    with writing(services.engine) as connection:
        registry.check_recipient(connection, recipient)
        found = registry.find_challenge(connection, token.challenge)
        proven = _opened(found, token, recipient)
        failure = _conclude(services, connection, recipient, proven, ProvenBy.CHALLENGE, actor)
    return _concluded(services, failure, proven)


def prove_by_signature(services: Services, recipient: str, signature: str, actor: str = "") -> str:
    """As `prove`, by a signature over the text of a challenge (`ssh-keygen -Y sign -n gla-possession`)."""
    with writing(services.engine) as connection:
        registry.check_recipient(connection, recipient)
        proven = _signed(connection, recipient, signature)
        failure = _conclude(services, connection, recipient, proven, ProvenBy.SIGNATURE, actor)
    return _concluded(services, failure, proven)


def _opened(found: StoredChallenge | None, token: ProofToken, recipient: str) -> StoredChallenge | None:
    """The challenge that this token answers, whatever else is wrong; who guesses learns nothing more."""
    if found is None or found.digest is None or not token.proves(found.digest, found.recipient, found.fingerprint):
        return None
    return found if found.recipient == recipient else None


def _signed(connection: Connection, recipient: str, signature: str) -> StoredChallenge | None:
    for key in registry.keys_of(connection, recipient):
        for each in registry.challenges_to(connection, key.fingerprint) if key.purpose is KeyPurpose.SIGN else ():
            message = text_to_sign(each.id, recipient, key.fingerprint)
            try:
                verify_by(signature, message, Namespace.POSSESSION, key.fingerprint)
            except SignerUnknown:
                continue
            return each
    return None


def _conclude(
    services: Services,
    connection: Connection,
    recipient: str,
    proven: StoredChallenge | None,
    how: ProvenBy,
    actor: str,
) -> GlaError | None:
    """Record the proof, or its refusal, which is returned: to raise it here would undo the record."""
    now = services.clock()
    reason = _why_not(connection, proven, now)
    if proven is None or reason is not None:
        failure = KeyNotProven(f"recipient {recipient}: {reason}")
        detail = {"error": failure.code, "message": str(failure)}
        tell(services, connection, Action.KEY_PROVEN, recipient, actor, detail, Result.REFUSED)
        return failure
    registry.use_challenge(connection, proven.id, now)
    registry.set_proven(connection, proven.fingerprint, how, now)
    detail = {"key": proven.fingerprint, "challenge": proven.id, "by": how}
    tell(services, connection, Action.KEY_PROVEN, recipient, actor, detail)
    if proven.rotation is not None:
        _begin_overlap(services, connection, proven.rotation, actor)
    return None


def _why_not(connection: Connection, proven: StoredChallenge | None, now: datetime) -> str | None:
    if proven is None:
        return f"what was returned answers no open challenge to this recipient; {_ONCE_MORE}"
    if proven.used:
        return "this challenge was answered before, and each is good for one answer only"
    if to_rfc3339(now) >= proven.expires_at:
        return f"the challenge expired on {dutch_date(from_rfc3339(proven.expires_at))}: {_ONCE_MORE}"
    rotation = proven.rotation and registry.get_rotation(connection, proven.rotation)
    if rotation and registry.key_of(connection, proven.recipient, rotation.old_fingerprint).revoked:
        return f"key {rotation.old_fingerprint}, which it replaces, is revoked: offer a new agreement with the new key"
    return None


def _begin_overlap(services: Services, connection: Connection, rotation_id: str, actor: str) -> None:
    """From now on the new key counts too; the old one a while longer, so that nobody is in a hurry."""
    now = services.clock()
    rotation = registry.set_rotation_proven(connection, rotation_id, now)
    starts = dutch_midnight(RotationStatement.from_bytes(rotation.statement).valid_from)
    registry.begin_key(connection, rotation.new_fingerprint, starts, now)
    until = max(now, starts) + timedelta(days=services.settings.registry.overlap_days)
    registry.limit_key(connection, rotation.old_fingerprint, until)
    detail = {
        "old": rotation.old_fingerprint, "new": rotation.new_fingerprint,
        "signer": rotation.signer, "overlap_until": to_rfc3339(until),
    }  # fmt: skip
    tell(services, connection, Action.KEY_ROTATED, rotation.recipient, actor, detail)


def _concluded(services: Services, failure: GlaError | None, proven: StoredChallenge | None) -> str:
    if failure is not None or proven is None:
        raise failure or AssertionError
    write_challenges(services, [])
    return proven.fingerprint


def _sealed(services: Services, content: bytes, key: SealingKey) -> bytes:
    target = io.BytesIO()
    with open_sealer(cast("IO[bytes]", target), [key], services.clock()) as sealer:
        sealer.write(content)
    return target.getvalue()


def _expiry(services: Services) -> str:
    return to_rfc3339(services.clock() + timedelta(days=services.settings.registry.challenge_days))


def _file_name(stored: StoredChallenge, suffix: str) -> str:
    return f"{checked_name(stored.recipient, 'the name of a recipient')}-{stored.id}{suffix}"
