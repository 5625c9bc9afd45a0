r"""Proof that a recipient holds the key that it registered: the secret of a challenge, and the text to be signed.

For a key that opens files, a token is sealed to it; who returns the token has opened it. We keep a digest only, which
also binds the token to the organisation and the key that it was made for. For a key that signs there is no secret: its
holder signs a text that names the challenge, with the namespace `gla-possession`.

>>> token = new_token()
>>> kept = token.digest("acme", "SHA256:...")
>>> parse_token(token.text() + "\n").proves(kept, "acme", "SHA256:..."), token
(True, <proof token>)
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable

from core.canonical import canonical_json
from core.discreet import discreet
from core.errors import UnusableInput
from core.ids import new_id

_TOKEN = re.compile(r"gla-proof-([0-9a-f]{32})-([0-9a-f]{64})")
_SECRET_BYTES = 32  # not to be guessed, so that its digest needs no salt


class ProofToken:
    """`challenge` is an id that anybody may see. Only `text` shows the rest: no `repr`, no list of fields, no copy."""

    def __init__(self, challenge: str, secret: str) -> None:
        self.challenge = challenge
        self._secret: Callable[[], str] = lambda: secret

    def text(self) -> str:
        """What the recipient sends back."""
        return f"gla-proof-{self.challenge}-{self._secret()}"

    def digest(self, recipient: str, fingerprint: str) -> str:
        """What is kept to know the token again: SHA-256 over it, the organisation and the key."""
        return hashlib.sha256(canonical_json([self.text(), recipient, fingerprint])).hexdigest()

    def proves(self, digest: str, recipient: str, fingerprint: str) -> bool:
        """Whether `digest` was made of this token, for this organisation and key; takes equal time for all others."""
        return hmac.compare_digest(self.digest(recipient, fingerprint).encode(), digest.encode())

    def __repr__(self) -> str:
        return "<proof token>"


def new_token() -> ProofToken:
    return ProofToken(new_id(), secrets.token_hex(_SECRET_BYTES))


@discreet
def parse_token(text: str) -> ProofToken:
    """Read what a recipient sent back, with white space around it; `UnusableInput`, which does not repeat it."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        raise UnusableInput(
            "this is not the text of a challenge: the recipient opens the challenge file and returns all of the line "
            "that starts with gla-proof-"
        )
    return ProofToken(found[1], found[2])


def text_to_sign(challenge: str, recipient: str, fingerprint: str) -> bytes:
    """What the holder of a signing key signs to prove it."""
    said = "We hold the private key with this fingerprint, and use it as this recipient."
    return canonical_json({"challenge": challenge, "fingerprint": fingerprint, "recipient": recipient, "text": said})
