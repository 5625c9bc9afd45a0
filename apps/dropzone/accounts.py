"""Who may log in, as the accounts file says at this moment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import GlaError
from schemas.accounts import Accounts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Access:
    """What one recipient may: log in with these SSH public keys (RFC 4253 blobs), and see all agreements but these."""

    keys: frozenset[bytes] = frozenset()
    revoked: frozenset[str] = frozenset()


_NONE = Access()


class AccountsFile:
    """Reads the file at every question, and parses it when its bytes changed: a revoked key is refused at once.

    A process that is forked goes on with what was parsed before. A file that is missing or damaged lets nobody in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._data: bytes | None = None
        self._everybody: Mapping[str, Access] = {}

    def of(self, name: str) -> Access:
        """What the recipient of this name may now; nothing if there is none."""
        return self.read().get(name, _NONE)

    def read(self) -> Mapping[str, Access]:
        """What everybody may, as the file says now: the same object as before if its bytes are."""
        with self._lock:
            self._read()
            return self._everybody

    def _read(self) -> None:
        reason = ""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            data, reason = b"", type(error).__name__
        if data == self._data:
            return
        if reason:
            logger.error("accounts file cannot be read (%s): nobody can log in", reason)
        self._everybody = {}  # first, so that whatever happens below nobody stays in
        self._data = data
        if data:
            self._everybody = _parsed(data)


def _parsed(data: bytes) -> dict[str, Access]:
    try:
        found = Accounts.from_bytes(data).accounts
        return {account.name: Access(account.blobs(), frozenset(account.revoked)) for account in found}
    except GlaError as error:
        logger.error("accounts file is not used, nobody can log in: %s", error)  # noqa: TRY400 - no trace of its content
        return {}
