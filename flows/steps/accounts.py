"""The drop zone's accounts file: everyone with an agreement that both sides signed, and their valid SSH keys.

The drop zone opens no database; it reads this file. It is replaced in one rename, so it is never read half. Writers
take turns, from reading the database to the rename: none brings back a key that was revoked while it worked.
"""

from __future__ import annotations

import fcntl
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agreements import registry, store
from agreements.rules import AgreementState
from agreements.standing import RecipientKey
from core.database import reading
from core.files import write_file
from flows.steps.incoming_areas import keep_areas
from flows.wiring import Services
from schemas.accounts import ACCOUNTS_NAME, Account, Accounts

_MAY_LOG_IN = frozenset({AgreementState.ACTIVE, AgreementState.ENDED})  # what was delivered may still be fetched


def write_accounts(services: Services) -> Accounts:
    """Write the file as the database now says; a recipient whose agreements are all revoked is no longer in it."""
    folder = services.settings.dropzone_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _turn(folder):
        accounts = _accounts(services)
        write_file(folder / ACCOUNTS_NAME, accounts.to_bytes(), mode=0o600)
    for account in accounts.accounts:
        for folder in (services.recipient_folder(account.name), services.receipts_folder / account.name):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keep_areas(services)
    return accounts


def _accounts(services: Services) -> Accounts:
    with reading(services.engine) as connection:
        stored = store.list_agreements(connection)
        names = {item.recipient for item in stored if item.state in _MAY_LOG_IN}
        keys = {name: tuple(_login_keys(services, registry.keys_of(connection, name))) for name in sorted(names)}
    revoked = defaultdict[str, list[str]](list)
    for item in stored:
        if item.state is AgreementState.REVOKED:
            revoked[item.recipient].append(item.id)
    accounts = (Account(name=name, keys=keys[name], revoked=tuple(revoked[name])) for name in keys)
    return Accounts(accounts=tuple(accounts))


def _login_keys(services: Services, keys: list[RecipientKey]) -> list[str]:
    return [key.public_key for key in keys if key.may_sign(services.clock())]


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    with (folder / f".{ACCOUNTS_NAME}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed, or the process is gone
        yield
