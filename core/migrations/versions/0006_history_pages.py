"""Deliveries are read newest first, page by page: all, and by each column that the history can be asked by."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
    for column in ("recipient", "agreement_id", "product", "period", "state"):
        op.create_index(f"ix_deliveries_{column}_created_at", "deliveries", [column, "created_at"])
    op.drop_index("ix_deliveries_recipient", "deliveries")  # the one with the time does what it did
