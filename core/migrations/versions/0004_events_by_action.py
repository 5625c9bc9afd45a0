"""Events are found by what was done: open cases, receipts, what was removed."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_action", "events", ["action"])
