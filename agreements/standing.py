"""What may be done with a recipient's key at a moment, and who must do what when it may not be used. No I/O.

::

    registered ──proof──> proven ──valid_from──> valid ──valid_until──> expired
                             └──────────── revoked, at any time and for good ──────────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from core.clock import dutch_date, from_rfc3339, to_rfc3339

WARN_DAYS = (60, 30, 7)  # before a key expires


class KeyPurpose(StrEnum):
    SEAL = "seal"
    SIGN = "sign"


class ProvenBy(StrEnum):
    CHALLENGE = "challenge"  # it opened what was sealed to it
    SIGNATURE = "signature"  # it signed a text of ours
    ASSENT = "assent"  # it signed an agreement


class Standing(StrEnum):
    VALID = "valid"
    NOT_PROVEN = "not proven"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class RecipientKey:
    """A public key of an organisation. Times are text of `core.clock`; revoked keys stay listed and are never used."""

    fingerprint: str
    recipient: str
    purpose: KeyPurpose
    kind: str
    public_key: str
    valid_from: str
    valid_until: str | None
    proven_at: str | None
    proven_by: ProvenBy | None
    revoked_at: str | None

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None

    def standing(self, now: datetime) -> Standing:
        """The first of its defects that counts: one that cannot be mended comes before one that can."""
        moment = to_rfc3339(now)
        if self.revoked:
            return Standing.REVOKED
        if self.valid_until is not None and moment >= self.valid_until:
            return Standing.EXPIRED
        if self.proven_at is None:
            return Standing.NOT_PROVEN
        return Standing.NOT_YET_VALID if moment < self.valid_from else Standing.VALID

    def may_sign(self, now: datetime) -> bool:
        """Whether a login or a signature by it counts: each of these proves possession by itself."""
        usable = (Standing.VALID, Standing.NOT_PROVEN)
        return self.purpose is KeyPurpose.SIGN and self.standing(now) in usable and to_rfc3339(now) >= self.valid_from

    def time_left(self, now: datetime) -> timedelta | None:
        """Until it expires, None if it does not; negative afterwards."""
        return None if self.valid_until is None else from_rfc3339(self.valid_until) - now

    def last_day(self) -> str:
        """The last day on which it is valid, as people read it."""
        if self.valid_until is None:
            return "revoked"
        return f"{dutch_date(from_rfc3339(self.valid_until) - timedelta(milliseconds=1))}"

    def what_to_do(self, now: datetime) -> str:
        """Why nothing is sealed to it now and what mends that, as the end of a sentence that starts with its name."""
        return {
            Standing.VALID: "can be sealed to",
            Standing.NOT_PROVEN: (
                "is not proven: the recipient opens its challenge file and returns the text (gla keys prove); "
                "gla keys add writes a new challenge"
            ),
            Standing.NOT_YET_VALID: f"is valid from {dutch_date(from_rfc3339(self.valid_from))}: wait until then",
            Standing.EXPIRED: f"was valid until {self.last_day()}: the recipient gives a new key for a new agreement",
            Standing.REVOKED: "is revoked: the recipient gives a new key for a new agreement",
        }[self.standing(now)]


def warning_due(key: RecipientKey, now: datetime) -> int | None:
    """The nearest of `WARN_DAYS` that is reached; None if the key lasts longer, or is over."""
    left = key.time_left(now)
    if key.revoked or left is None or left <= timedelta(0):
        return None
    return min((days for days in WARN_DAYS if left <= timedelta(days=days)), default=None)
