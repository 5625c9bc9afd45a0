"""Tables of organisations, their public keys, and agreements. A row is never an authority: signatures are (`flows.steps.agree`)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

recipients = Table(
    "recipients",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("kvk", String(8), nullable=False),
    Column("added_at", String(24), nullable=False),
)

recipient_keys = Table(
    "recipient_keys",
    metadata,
    Column("fingerprint", String(60), primary_key=True),  # one key belongs to one organisation
    Column("recipient", String(200), ForeignKey("recipients.name"), nullable=False),
    Column("purpose", String(10), nullable=False),  # seal (age) or sign (SSH)
    Column("public_key", Text, nullable=False),
    Column("added_at", String(24), nullable=False),
    Column("revoked_at", String(24)),
)

agreements = Table(
    "agreements",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("recipient", String(200), ForeignKey("recipients.name"), nullable=False),
    Column("state", String(20), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("sender_signature", Text, nullable=False),
    Column("recipient_signature", Text),
    Column("changed_at", String(24), nullable=False),
    Column("reason", Text),
)
