"""Organisations, their public keys, and agreements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recipients",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kvk", sa.Text, nullable=False),
        sa.Column("added_at", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_recipients"),
    )
    op.create_table(
        "recipient_keys",
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("added_at", sa.Text, nullable=False),
        sa.Column("revoked_at", sa.Text),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_recipient_keys"),
        sa.ForeignKeyConstraint(["recipient"], ["recipients.name"], name="fk_recipient_keys_recipient_recipients"),
    )
    op.create_table(
        "agreements",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("sender_signature", sa.Text, nullable=False),
        sa.Column("recipient_signature", sa.Text),
        sa.Column("changed_at", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_agreements"),
        sa.ForeignKeyConstraint(["recipient"], ["recipients.name"], name="fk_agreements_recipient_recipients"),
    )
