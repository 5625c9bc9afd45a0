"""What became of checking a signature: valid, or the one reason why not. Whatever is not plainly valid is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import SignerUnknown


class Reason(StrEnum):
    """The outcome, as the end of a sentence that starts with what was signed."""

    VALID = "valid"
    MALFORMED = "the signature is not well-formed"
    ANOTHER_PURPOSE = "the signature was made for another purpose"
    UNACCEPTED = "the signature's key or algorithm is not accepted"
    NOT_GENUINE = "the signature is not over these bytes"
    ANOTHER_KEY = "the signature is by another key"
    KEY_REPLACED = "the signature was made after its key was replaced"
    NOT_CHECKED = "the signature could not be checked"


@dataclass(frozen=True)
class Verification:
    """`key` is the public key, as one line, that made a genuine signature; also where it is not one to be trusted."""

    reason: Reason
    key: str | None = None

    @property
    def valid(self) -> bool:
        return self.reason is Reason.VALID

    def require(self, what: str) -> None:
        """`SignerUnknown` with the reason, unless it is valid. `what` names the document and says what to do."""
        if not self.valid:
            raise SignerUnknown(f"{what}: {self.reason}")
