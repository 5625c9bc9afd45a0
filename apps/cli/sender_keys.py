"""Which keys of the sender a recipient trusts: those of its own agreement, and those that these lead to.

When the sender replaces a key, a history travels with its deliveries in which the old key signs the new one in. What
was seen of it is remembered: a history that was cut off, or that tells another story than before, is refused or adds
nothing. A stolen key is another matter: then the history proves nothing, and the sender offers a new agreement.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

from core.errors import SignerUnknown
from keys import published
from keys.published import KeyHistory, PublishedKey
from keys.roles import Role
from keys.sshsig import Namespace
from keys.verification import Reason, Verification

_ALWAYS = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SenderKeys:
    """`ssh` and `pq` are as the agreement names them; `history` is as long as it was ever seen."""

    ssh: str
    pq: str | None = None
    history: bytes = b""

    def check(self) -> None:
        """`KeyUnusable` or `SignerUnknown` for what is damaged."""
        for role, named in ((Role.MANIFEST, self.ssh), (Role.MANIFEST_MLDSA, self.pq)):
            if named is not None:
                published.fingerprint(named)
                self._keys(role, named)

    def told(self, history: bytes) -> Self:
        """With what another copy of the history adds; `SignerUnknown` if it is not one, or another than before."""
        known, other = KeyHistory.parse(self.history), KeyHistory.parse(history)
        for role, named in ((Role.MANIFEST, self.ssh), (Role.MANIFEST_MLDSA, self.pq)):
            ours, theirs = ([entry for entry in it.entries if entry.role == role] for it in (known, other))
            shorter = min(len(ours), len(theirs))
            if ours[:shorter] != theirs[:shorter]:
                raise SignerUnknown(
                    "the sender's keys have another history than was seen before: do not use this delivery, "
                    "and ask the sender by telephone"
                )
            if named is not None and theirs:
                other.after(role, named)
        return replace(self, history=history) if len(other.entries) > len(known.entries) else self

    def judge(self, manifest: bytes, signature: str, made: datetime) -> Verification:
        """Whether the sender signed, with a key that was its own when the manifest says that it was made."""
        return self._judge(Role.MANIFEST, self.ssh, manifest, signature, made)

    def judge_pq(self, manifest: bytes, signature: bytes | None, made: datetime) -> Verification:
        """The same of the second signature; valid, without one, where the agreement names no key for it."""
        if self.pq is None:
            return Verification(Reason.VALID)
        encoded = base64.b64encode(signature or b"").decode()
        return self._judge(Role.MANIFEST_MLDSA, self.pq, manifest, encoded, made)

    def _judge(self, role: Role, named: str, manifest: bytes, signature: str, made: datetime) -> Verification:
        try:
            return published.judge(self._keys(role, named), signature, manifest, Namespace.MANIFEST, made)
        except Exception:  # noqa: BLE001  deny, whatever it was
            return Verification(Reason.NOT_CHECKED)

    def _keys(self, role: Role, named: str) -> tuple[PublishedKey, ...]:
        history = KeyHistory.parse(self.history)
        return history.after(role, named) if history.last(role) else (PublishedKey(role, named, _ALWAYS, None),)
