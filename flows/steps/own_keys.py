"""Replace and list our own keys. Every rotation is a ledger entry, before and after; an inventory holds no secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agreements import registry
from agreements.standing import KeyPurpose, RecipientKey
from core.clock import to_rfc3339
from core.database import reading
from core.errors import GlaError
from flows.wiring import Services
from keys.algorithms import algorithm_of
from keys.private.rotation import rotate
from keys.private.uri import EnvUri, FileUri
from keys.published import PublishedKey
from keys.roles import Role
from ledger.vocabulary import Action, Result

_US = "us"


@dataclass(frozen=True)
class InventoryKey:
    """One key, ours or a recipient's. `until` is empty where no end is known; `place` is where our private key is."""

    owner: str
    purpose: str
    algorithm: str
    fingerprint: str
    since: str
    until: str
    state: str
    place: str
    public_key: str


def rotate_own(services: Services, role: Role, to: str | None, actor: str) -> tuple[PublishedKey, PublishedKey]:
    """Replace our key of a role, as `keys.private.rotation`; a new ledger key witnesses the ledger at once."""
    _tell(services, role, actor, {}, Result.INTENDED)
    try:
        old, new = rotate(services.custody, role, to)
    except GlaError as error:
        _tell(services, role, actor, {"error": error.code, "message": str(error)}, Result.FAILED)
        raise
    _tell(services, role, actor, {"old": old.fingerprint, "new": new.fingerprint}, Result.OK)
    if role is Role.LEDGER and to is None:
        services.checkpoint()
    return old, new


def _tell(services: Services, role: Role, actor: str, detail: dict[str, str], result: Result) -> None:
    services.ledger.record(Action.KEY_ROTATED, f"key:{role}", result, actor, detail)


def inventory(services: Services) -> list[InventoryKey]:
    """Our keys of all roles and times, then those of every recipient; of ours that cannot be read, the reason."""
    return [*_own(services), *_recipients(services)]


def _own(services: Services) -> Iterator[InventoryKey]:
    custody = services.custody
    for role in Role:
        place = ""
        try:
            uri = custody.uri(role)
            place = str(uri) if isinstance(uri, EnvUri) else "file" if isinstance(uri, FileUri) else "token"
            if not custody.exists(role):  # made when it is first needed
                continue
            keys = custody.published(role)
        except GlaError as error:
            yield InventoryKey(_US, role, "", "", "", "", f"unusable: {error}", place, "")
            continue
        for key in keys:
            until, state = (to_rfc3339(key.until), "replaced") if key.until else ("", "in use")
            yield InventoryKey(
                _US, role, algorithm_of(key.line), key.fingerprint, to_rfc3339(key.since), until, state,
                "" if key.until else place, key.line,
            )  # fmt: skip


def _algorithm(key: RecipientKey) -> str:
    return algorithm_of(key.public_key if key.purpose is KeyPurpose.SIGN else key.kind)


def _recipients(services: Services) -> Iterator[InventoryKey]:
    now = services.clock()
    with reading(services.engine) as connection:
        keys = [key for name, _ in registry.list_recipients(connection) for key in registry.keys_of(connection, name)]
    for key in keys:
        yield InventoryKey(
            key.recipient, key.purpose, _algorithm(key), key.fingerprint, key.valid_from,
            key.revoked_at or key.valid_until or "", str(key.standing(now)), "", key.public_key,
        )  # fmt: skip
