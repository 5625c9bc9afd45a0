"""Who may log in, as the accounts file says at this moment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from core.errors import GlaError
from schemas.accounts import Accounts

logger = logging.getLogger(__name__)


class AccountsFile:
    """Reads the file at every question, and parses it when its bytes changed: a revoked key is refused at once.

    A process that is forked goes on with what was parsed before. A file that is missing or damaged lets nobody in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._data: bytes | None = None
        self._keys: Mapping[str, frozenset[bytes]] = {}

    def allows(self, name: str, key_blob: bytes) -> bool:
        """Whether this SSH public key (RFC 4253 blob) may log in under this name."""
        return key_blob in self.read().get(name, frozenset())

    def read(self) -> Mapping[str, frozenset[bytes]]:
        """The key blobs of everybody, as the file says now: the same object as before if its bytes are."""
        with self._lock:
            self._read()
            return self._keys

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
        self._keys = {}  # first, so that whatever happens below nobody stays in
        self._data = data
        if data:
            self._keys = _parsed(data)


def _parsed(data: bytes) -> dict[str, frozenset[bytes]]:
    try:
        return {account.name: account.blobs() for account in Accounts.from_bytes(data).accounts}
    except GlaError as error:
        logger.error("accounts file is not used, nobody can log in: %s", error)  # noqa: TRY400 - no trace of its content
        return {}
