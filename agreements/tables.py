"""Tables of organisations, their public keys, and agreements. A row is no authority: signatures are."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table, Text

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
    Column("recipient", Text, ForeignKey("recipients.name"), nullable=False),
    Column("purpose", Text, nullable=False),  # seal (age) or sign (SSH)
    Column("public_key", Text, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("revoked_at", Text),
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
