"""Logging in: by a registered public key, as the recipient itself. Nothing else is offered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)

from apps.dropzone.accounts import AccountsFile

_SHOWN_CHARACTERS = 64  # of a name that a stranger chose


@dataclass(frozen=True)
class Offer:
    """The last key that was offered; once the connection is authenticated, the one that signed."""

    name: str
    blob: bytes
    fingerprint: str


class Login(paramiko.ServerInterface):
    """One connection. Channels: one, for SFTP; no shell, no commands, no forwarding (the base class refuses them)."""

    def __init__(self, accounts: AccountsFile, address: str) -> None:
        self._accounts = accounts
        self._has_channel = self._has_subsystem = False
        self.address = address
        self.offer: Offer | None = None
        self.revoked: frozenset[str] = frozenset()  # agreements, when that key was offered
        self.refusals: list[str] = []  # for the log, if nobody logs in after all
        self.busy: Callable[[], bool] = lambda: False  # whether a file is open
        self.last_activity = time.monotonic()
        self.session_over = threading.Event()  # also when there was none
        self.session_over.set()

    def touch(self) -> None:
        """Something was asked: the connection is not idle."""
        self.last_activity = time.monotonic()

    def reason_to_end(self) -> str | None:
        """Why who logged in may not go on, as the accounts file says now; None if it may."""
        if self.offer is None:
            return "it has not logged in"
        now = self._accounts.of(self.offer.name)
        if self.offer.blob not in now.keys:
            return "its key is no longer registered"
        return None if now.revoked <= self.revoked else "an agreement was revoked"

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - the same for all, known or not
        return "publickey"

    def check_auth_none(self, username: str) -> int:  # noqa: ARG002
        return AUTH_FAILED  # every client begins with this question; it is no attempt

    def check_auth_password(self, username: str, password: str) -> int:  # noqa: ARG002
        return self._refused(username, "passwords are not accepted")

    def check_auth_interactive(self, username: str, submethods: str) -> int:  # noqa: ARG002
        return self._refused(username, "passwords are not accepted")

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.offer = None
        try:
            offer = Offer(username, key.asbytes(), key.fingerprint)
            access = self._accounts.of(offer.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a refusal
            return self._refused(username, f"{type(error).__name__} while checking the key")
        if offer.blob not in access.keys or key.public_blob is not None:  # a certificate says more than we checked
            return self._refused(username, f"key {offer.fingerprint} is not registered for this name")
        self.offer, self.revoked = offer, access.revoked
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002
        if kind != "session" or self._has_channel:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        self._has_channel = True
        return OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        if name != "sftp" or self._has_subsystem:
            return False
        self._has_subsystem = True
        return super().check_channel_subsystem_request(channel, name)

    def _refused(self, username: str, reason: str) -> int:
        self.refusals.append(f"name={username[:_SHOWN_CHARACTERS]!a} address={self.address}: {reason}")
        return AUTH_FAILED
