"""Recipients' keys: kind, validity and proof of possession; challenges; rotations that recipients signed.

Keys that were registered before are valid from that moment and not proven: `gla keys add` writes their challenge.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KINDS_BEFORE = (
    "UPDATE recipient_keys SET valid_from = added_at",
    "UPDATE recipient_keys SET kind = 'age-x25519' WHERE purpose = 'seal'",
    "UPDATE recipient_keys SET kind = 'age-hybrid' WHERE purpose = 'seal' AND public_key LIKE 'age1pq1%'",
)


def upgrade() -> None:
    _widen_keys()
    _create_rotations()
    _create_challenges()


def _widen_keys() -> None:
    op.add_column("recipient_keys", sa.Column("kind", sa.Text, nullable=False, server_default="ssh"))
    op.add_column("recipient_keys", sa.Column("valid_from", sa.Text, nullable=False, server_default=""))
    for name in ("valid_until", "proven_at", "proven_by"):
        op.add_column("recipient_keys", sa.Column(name, sa.Text))
    for statement in _KINDS_BEFORE:
        op.execute(statement)
    op.create_index("ix_recipient_keys_recipient", "recipient_keys", ["recipient"])


def _create_rotations() -> None:
    op.create_table(
        "key_rotations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("old_fingerprint", sa.Text, nullable=False),
        sa.Column("new_fingerprint", sa.Text, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
        sa.Column("proven_at", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_key_rotations"),
        sa.ForeignKeyConstraint(["recipient"], ["recipients.name"], name="fk_key_rotations_recipient_recipients"),
        sa.UniqueConstraint(
            "old_fingerprint", "new_fingerprint", "signer",
            name="uq_key_rotations_old_fingerprint_new_fingerprint_signer",
        ),
    )  # fmt: skip
    op.create_index("ix_key_rotations_recipient", "key_rotations", ["recipient"])


def _create_challenges() -> None:
    op.create_table(
        "key_challenges",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("rotation", sa.Text),
        sa.Column("expires_at", sa.Text, nullable=False),
        sa.Column("used_at", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_key_challenges"),
        sa.ForeignKeyConstraint(
            ["fingerprint"], ["recipient_keys.fingerprint"], name="fk_key_challenges_fingerprint_recipient_keys"
        ),
        sa.ForeignKeyConstraint(["rotation"], ["key_rotations.id"], name="fk_key_challenges_rotation_key_rotations"),
    )
    op.create_index("ix_key_challenges_fingerprint", "key_challenges", ["fingerprint"])
