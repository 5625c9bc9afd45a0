"""The drop zone's accounts file: everyone with an agreement that both sides signed, and their valid SSH keys.

The drop zone opens no database; it reads this file. It is replaced in one rename, so it is never read half.
"""

from __future__ import annotations

import os

from agreements import store
from agreements.rules import AgreementState
from agreements.store import KeyPurpose
from core.database import reading
from flows.wiring import Services
from schemas.accounts import ACCOUNTS_NAME, Account, Accounts

_MAY_LOG_IN = frozenset({AgreementState.ACTIVE, AgreementState.ENDED})  # what was delivered may still be fetched


def write_accounts(services: Services) -> Accounts:
    """Write the file as the database now says; a recipient whose agreements are all revoked is no longer in it."""
    with reading(services.engine) as connection:
        names = {item.recipient for item in store.list_agreements(connection) if item.state in _MAY_LOG_IN}
        accounts = Accounts(
            accounts=tuple(
                Account(name=name, keys=tuple(_login_keys(store.keys_of(connection, name)))) for name in sorted(names)
            )
        )
    folder = services.settings.dropzone_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = folder / f".{ACCOUNTS_NAME}.{os.getpid()}"
    new.write_bytes(accounts.to_bytes())
    new.replace(folder / ACCOUNTS_NAME)
    for name in names:
        services.recipient_folder(name).mkdir(parents=True, exist_ok=True, mode=0o700)
    return accounts


def _login_keys(keys: list[store.RecipientKey]) -> list[str]:
    return [key.public_key for key in keys if key.purpose is KeyPurpose.SIGN and not key.revoked]
