"""The ledger's two tables: `events`, the append-only truth, and `deliveries`, the work list that must agree with it.

Times are RFC 3339 text with milliseconds in UTC: what is hashed is what is stored, and text order is time order. Of an
event whose retention is over (`removed_by`: the event that tells so) the names and details are empty and the nonce is
gone; its hashes stay, with what the work list and the programs need.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from core.database import metadata

_SEQ = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER can be SQLite's row id
_HASH = String(64)

events = Table(
    "events",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("action", Text, nullable=False, index=True),
    Column("object", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("agreement_id", Text, index=True),
    Column("delivery_id", Text, index=True),
    Column("once", Text, unique=True),  # an event with such a key is recorded only once, however often it is told
    Column("row_digest", _HASH),  # `history_digest` of the delivery after this event, so that `verify` can compare
    Column("detail", Text, nullable=False),
    Column("nonce", LargeBinary),
    Column("hashes", LargeBinary, nullable=False),  # the leaf, then each subtree that it completes: 32 bytes each
    Column("removed_by", _SEQ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agreement_id", Text, nullable=False),
    Column("agreement_digest", _HASH, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("edition", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("worker", Text),
    Column("lease_until", Text),
    Column("token", BigInteger, nullable=False),  # +1 with each claim, so that a stale worker is known by its number
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("sealed", Text),  # JSON text of the caller: what was staged; kept as it is
    Column("reason", Text),
    Column("error", Text),
    Column("actor", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("published_at", Text),
    Column("expires_at", Text),
    Column("picked_up_at", Text),
    Column("supersedes", Text),
    UniqueConstraint("agreement_id", "period", "edition"),
)

# the history is read newest first: of everybody, and by each of what it can be asked by
for _names in ((), ("recipient",), ("agreement_id",), ("product",), ("period",), ("state",)):
    Index(None, *(deliveries.c[name] for name in _names), deliveries.c.created_at)
