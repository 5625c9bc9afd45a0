"""Tables of organisations, their public keys, and agreements. A row is no authority: signatures are."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table, Text, UniqueConstraint

from core.database import metadata

recipients = Table(
    "recipients",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kvk", Text, nullable=False),
    Column("added_at", Text, nullable=False),
)

recipient_keys = Table(
    "recipient_keys",
    metadata,
    Column("fingerprint", Text, primary_key=True),  # one key belongs to one organisation
    Column("recipient", Text, ForeignKey("recipients.name"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),  # seal or sign
    Column("kind", Text, nullable=False),  # age-x25519, age-hybrid, openpgp, x509, ssh
    Column("public_key", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("valid_from", Text, nullable=False),
    Column("valid_until", Text),  # the first moment at which it is no longer valid; none: until it is revoked
    Column("proven_at", Text),
    Column("proven_by", Text),  # challenge, signature or assent
    Column("revoked_at", Text),
)

key_challenges = Table(
    "key_challenges",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, ForeignKey("recipient_keys.fingerprint"), nullable=False, index=True),
    Column("digest", String(64)),  # of the secret that only the key's holder can read; none where a text is signed
    Column("rotation", Text, ForeignKey("key_rotations.id")),  # what it is about, if about more than this key
    Column("expires_at", Text, nullable=False),
    Column("used_at", Text),
)

key_rotations = Table(
    "key_rotations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("recipient", Text, ForeignKey("recipients.name"), nullable=False, index=True),
    Column("old_fingerprint", Text, nullable=False),
    Column("new_fingerprint", Text, nullable=False),
    Column("signer", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),  # as it was signed; verified again whenever it counts
    Column("signature", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Column("proven_at", Text),  # when the holder of both keys confirmed it; before that it counts for nothing
    UniqueConstraint("old_fingerprint", "new_fingerprint", "signer"),
)

agreements = Table(
    "agreements",
    metadata,
    Column("id", Text, primary_key=True),
    Column("recipient", Text, ForeignKey("recipients.name"), nullable=False),
    Column("state", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("sender_signature", Text, nullable=False),
    Column("recipient_signature", Text),
    Column("changed_at", Text, nullable=False),
    Column("reason", Text),
)
