"""The ledger: events that the database itself refuses to change or remove, and the work list of deliveries.

The triggers stop mistakes and make an attack loud; who owns the database can drop them, and is then found by
the chain and the checkpoints.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_SQLITE_TRIGGERS = (
    """CREATE TRIGGER events_never_change BEFORE UPDATE ON events
       BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER events_never_go BEFORE DELETE ON events
       BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # INSERT OR REPLACE would remove a row without firing the trigger above
    """CREATE TRIGGER events_only_at_the_end BEFORE INSERT ON events
       WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
       BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER deliveries_never_go BEFORE DELETE ON deliveries
       BEGIN SELECT RAISE(ABORT, 'deliveries are never removed'); END""",
)

_POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION gla_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON events
       FOR EACH ROW EXECUTE FUNCTION gla_refuse()""",
    """CREATE TRIGGER events_never_truncated BEFORE TRUNCATE ON events
       FOR EACH STATEMENT EXECUTE FUNCTION gla_refuse()""",
    """CREATE TRIGGER deliveries_never_go BEFORE DELETE ON deliveries
       FOR EACH ROW EXECUTE FUNCTION gla_refuse()""",
    """CREATE TRIGGER deliveries_never_truncated BEFORE TRUNCATE ON deliveries
       FOR EACH STATEMENT EXECUTE FUNCTION gla_refuse()""",
)


def upgrade() -> None:
    _create_events()
    _create_deliveries()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _SQLITE_TRIGGERS if sqlite else _POSTGRESQL_TRIGGERS:
        op.execute(statement)


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("seq", _SEQ, autoincrement=False, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("agreement_id", sa.Text),
        sa.Column("delivery_id", sa.Text),
        sa.Column("once", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.UniqueConstraint("once", name="uq_events_once"),
        sa.UniqueConstraint("hash", name="uq_events_hash"),
    )
    op.create_index("ix_events_agreement_id", "events", ["agreement_id"])
    op.create_index("ix_events_delivery_id", "events", ["delivery_id"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("agreement_id", sa.Text, nullable=False),
        sa.Column("agreement_digest", sa.String(64), nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("edition", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", sa.Text),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("sealed", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("published_at", sa.Text),
        sa.Column("expires_at", sa.Text),
        sa.Column("picked_up_at", sa.Text),
        sa.Column("supersedes", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("agreement_id", "period", "edition", name="uq_deliveries_agreement_id_period_edition"),
    )
    op.create_index("ix_deliveries_recipient", "deliveries", ["recipient"])
