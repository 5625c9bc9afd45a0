"""Events become the leaves of a Merkle tree; their bodies may be removed by rule, and by nothing else.

What a ledger holds is never hashed again by a program, so one that has events is refused. There are only those of
development: begin them anew, in another GLA_HOME or database.

An event may lose its names and details only to a later event that tells of a removal, and then keeps everything else.
As before, who owns the database can drop the triggers, and is then found by `gla ledger verify`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.errors import LedgerUnavailable

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_STAYS = ("seq", "at", "action", "result", "agreement_id", "delivery_id", "once", "row_digest", "hashes")
_EMPTIED = ("object", "origin", "actor", "detail")
_SAME = {"sqlite": "IS", "postgresql": "IS NOT DISTINCT FROM"}


def _removal(dialect: str) -> str:
    """The only change of an event that is let through."""
    conditions = [
        "OLD.removed_by IS NULL",
        "NEW.nonce IS NULL",
        "(SELECT action FROM events WHERE seq = NEW.removed_by) = 'events.removed'",
        "NEW.removed_by > OLD.seq",
        *(f"NEW.{name} {_SAME[dialect]} OLD.{name}" for name in _STAYS),
        *(f"NEW.{name} = ''" for name in _EMPTIED),
    ]
    return " AND ".join(conditions)


_SQLITE_TRIGGERS = (
    f"""CREATE TRIGGER events_never_change BEFORE UPDATE ON events
        WHEN ({_removal("sqlite")}) IS NOT TRUE
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER events_never_go BEFORE DELETE ON events
       BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    # INSERT OR REPLACE would remove a row without firing the trigger above
    """CREATE TRIGGER events_only_at_the_end BEFORE INSERT ON events
       WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
       BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
)

_POSTGRESQL_TRIGGERS = (
    f"""CREATE FUNCTION gla_only_removal() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF ({_removal("postgresql")}) THEN RETURN NEW; END IF;
          RAISE EXCEPTION 'the ledger is append-only';
        END $$""",
    """CREATE TRIGGER events_never_change BEFORE UPDATE ON events
       FOR EACH ROW EXECUTE FUNCTION gla_only_removal()""",
    """CREATE TRIGGER events_never_go BEFORE DELETE ON events
       FOR EACH ROW EXECUTE FUNCTION gla_refuse()""",
    """CREATE TRIGGER events_never_truncated BEFORE TRUNCATE ON events
       FOR EACH STATEMENT EXECUTE FUNCTION gla_refuse()""",
)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT count(*) FROM events")).scalar_one():
        raise LedgerUnavailable(
            "the ledger was made by a development version: keep it as it is, and begin in another GLA_HOME or database"
        )
    op.drop_table("events")
    _create_events()
    for statement in _SQLITE_TRIGGERS if connection.dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS:
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
        sa.Column("row_digest", sa.String(64)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("nonce", sa.LargeBinary),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.Column("removed_by", _SEQ),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
        sa.UniqueConstraint("once", name="uq_events_once"),
    )
    op.create_index("ix_events_action", "events", ["action"])
    op.create_index("ix_events_agreement_id", "events", ["agreement_id"])
    op.create_index("ix_events_delivery_id", "events", ["delivery_id"])
