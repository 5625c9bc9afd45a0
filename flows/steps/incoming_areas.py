"""Where in the drop zone a recipient may put files: a folder for each active agreement that takes participants."""

from __future__ import annotations

from contextlib import suppress

from agreements import store
from agreements.rules import AgreementState
from core.database import reading
from flows.wiring import Services
from schemas.contract import read_contract

_TERM = "gla.participants"


def keep_areas(services: Services) -> None:
    """Make the folders that are missing, and remove those of agreements that are over, once they are empty."""
    with reading(services.engine) as connection:
        stored = store.list_agreements(connection)
    for each in stored:
        folder = services.incoming_folder / each.recipient / each.id
        if each.state is AgreementState.ACTIVE and _takes_participants(each.document):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        else:
            with suppress(OSError):  # it is not there, or something in it waits to be refused
                folder.rmdir()
                folder.parent.rmdir()


def _takes_participants(document: bytes) -> bool:
    if f'"{_TERM}"'.encode() not in document:  # before the whole document is read, for each of perhaps thousands
        return False
    properties = read_contract(document).get("customProperties") or []
    return any(each["property"] == _TERM for each in properties)
