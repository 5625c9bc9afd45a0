"""Register organisations and their public keys; every change is a ledger entry and reaches the drop zone at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from agreements import store
from agreements.store import KeyPurpose
from core.database import writing
from core.errors import UnusableInput
from core.ids import checked_name
from flows.steps.accounts import write_accounts
from flows.wiring import Services
from keys.kinds import parse_sealing_key
from keys.sshsig import parse_public_key
from ledger.vocabulary import Action, Result


def register(
    services: Services, name: str, kvk: str, seal_keys: Sequence[str], ssh_keys: Sequence[str], actor: str = ""
) -> list[tuple[KeyPurpose, str]]:
    """Add an organisation, or keys to it. `seal_keys` and `ssh_keys` are public keys as text, or files with one."""
    checked_name(name, "the name of a recipient")
    if not re.fullmatch(r"[0-9]{8}", kvk):
        raise UnusableInput(f"recipient {name}: a KvK number has 8 digits")
    keys: list[tuple[KeyPurpose, str, str]] = []
    for text in seal_keys:
        key = parse_sealing_key(_sealing_key_of(text))
        key.check(services.clock())
        keys.append((KeyPurpose.SEAL, str(key), key.fingerprint))
    for text in ssh_keys:
        public = parse_public_key(_line_of(text))
        keys.append((KeyPurpose.SIGN, public.line, public.fingerprint))
    now = services.clock()
    added = [(purpose, fingerprint) for purpose, _, fingerprint in keys]
    with writing(services.engine) as connection:
        store.add_recipient(connection, name, kvk, now)
        for purpose, line, fingerprint in keys:
            store.add_key(connection, name, purpose, line, fingerprint, now)
        detail = {"kvk": kvk, "keys": [fingerprint for _, fingerprint in added]}
        services.ledger.record(
            Action.RECIPIENT_ADDED,
            f"recipient:{name}",
            Result.OK,
            actor or services.worker,
            detail,
            connection=connection,
        )
    write_accounts(services)
    return added


def revoke(services: Services, name: str, fingerprint: str, actor: str = "") -> None:
    """Revoke one key of an organisation."""
    with writing(services.engine) as connection:
        store.revoke_key(connection, name, fingerprint, services.clock())
        detail = {"revoked": fingerprint}
        services.ledger.record(
            Action.RECIPIENT_CHANGED,
            f"recipient:{name}",
            Result.OK,
            actor or services.worker,
            detail,
            connection=connection,
        )
    write_accounts(services)


def _sealing_key_of(text: str) -> bytes:
    """A public key may be given as it is or as the file that holds it, in text or binary."""
    if text.lower().lstrip().startswith(("age1", "age-", "-----begin")) or "\n" in text:
        return text.encode()
    try:
        return Path(text).read_bytes()
    except (OSError, ValueError):  # also what is no path
        return text.encode()


def _line_of(text: str) -> str:
    """A public key may be given as it is or as the file that holds it; a private key is refused when parsed."""
    if not text.startswith(("ssh-", "ecdsa-", "sk-")) and "PRIVATE KEY" not in text:
        text = _content(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "PRIVATE KEY" not in text and len(lines) != 1:
        raise UnusableInput("the SSH key must be one line, of one key: name every key with its own --ssh")
    return text.strip()


def _content(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):  # also what is no path, or no text
        pass
    raise UnusableInput("the SSH key is neither a public key line nor a readable file: pass ~/.ssh/id_ed25519.pub")
