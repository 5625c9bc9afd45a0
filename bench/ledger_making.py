"""Makes a ledger as large as it is asked for: the events of deliveries, twelve each, and signed checkpoints.

A program of its own, since a process starts with the peak memory of the one that started it:
`python ledger_making.py HOME URL EVENTS APPENDED` prints how many events there are, and how many a second are appended.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, text

from core.canonical import canonical_json
from core.clock import utc_now
from core.database import opened, writing
from core.ids import new_id
from core.settings import Settings
from keys.private.custody import Role, open_custody
from ledger import tables
from ledger.checkpoints import Checkpoint
from ledger.deliveries import Delivery
from ledger.leaves import EventBody, leaf_of, new_nonce
from ledger.merkle import joined, node_hash
from ledger.states import State
from ledger.store import Ledger
from ledger.tree import origin_of
from ledger.vocabulary import Action, Result

_AT = "2026-02-01T06:00:00.000Z"
_LIFE = (
    Action.DELIVERY_PLANNED,
    Action.DELIVERY_EXTRACTING,
    Action.DELIVERY_VALIDATED,
    Action.DELIVERY_SEALED,
    Action.DELIVERY_PUBLISHING,
    Action.DELIVERY_PUBLISHED,
    *[Action.DELIVERY_READ] * 4,
    Action.DELIVERY_PICKED_UP,
    Action.DELIVERY_CONFIRMED,
)
_BATCH = 1_000  # deliveries


def main(home: Path, url: str, count: int, appended: int) -> None:
    """Make it, and measure appending."""
    settings = Settings(home=home, database_url=url)
    with opened(url) as engine:
        made = _fill(engine, settings, count)
        rate = _append(engine, appended) if appended else 0.0
        if engine.dialect.name == "postgresql":
            with engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    print(made + appended, rate)


def _append(engine: Engine, count: int) -> float:
    """Each in a transaction of its own, on disk before the next begins."""
    ledger = Ledger(engine, utc_now, origin="bench")
    started = time.perf_counter()
    for number in range(count):
        ledger.record(Action.DELIVERY_READ, f"delivery:x/{number}", Result.FAILED, "somebody", _detail(_LIFE[6]))
    return count / (time.perf_counter() - started)


def _fill(engine: Engine, settings: Settings, count: int) -> int:
    custody = open_custody(settings)
    custody.create(Role.LEDGER)
    signer = custody.signer(Role.LEDGER)
    settings.checkpoints_path.parent.mkdir(parents=True)
    tree = _Tree()
    with settings.checkpoints_path.open("wb") as checkpoints:
        left = count // len(_LIFE)
        while left:
            deliveries, events = [], []
            for _ in range(min(left, _BATCH)):
                delivery, life = _delivery(), []
                for action in _LIFE:
                    body = _body(delivery, action, tree.size + 1)
                    nonce = new_nonce()
                    life.append({**vars(body), "nonce": nonce, "hashes": tree.add(leaf_of(nonce, body))})
                deliveries.append(vars(delivery))
                events += life
                checkpoint = Checkpoint(tree.origin, tree.size, tree.root(), _AT)
                note = signer.sign_note(checkpoint.origin, checkpoint.text())
                checkpoints.write(canonical_json(note) + b"\n")
            with writing(engine) as connection:
                connection.execute(insert(tables.events), events)
                connection.execute(insert(tables.deliveries), deliveries)
            left -= len(deliveries)
    return tree.size


class _Tree:
    """Grows in memory, as `events.append` does from what is stored."""

    def __init__(self) -> None:
        self.size, self.origin = 0, ""
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> bytes:
        self.size += 1
        if self.size == 1:
            self.origin = origin_of(leaf)
        path, number = [leaf], self.size
        while not number & 1:
            path.append(node_hash(self._peaks.pop(), path[-1]))
            number >>= 1
        self._peaks.append(path[-1])
        return b"".join(path)

    def root(self) -> bytes:
        return joined(self._peaks)


def _delivery() -> Delivery:
    return Delivery(
        id=new_id(), agreement_id=f"GLA-{new_id()}", agreement_digest="a" * 64, recipient="gemeente-voorbeeld",
        product="inkomstenverhoudingen", period="2026-01", edition=1, state=State.CONFIRMED, token=1, actor="planner",
        created_at=_AT, updated_at=_AT, rows=2_000_000, bytes=40_000_000, sealed='{"files":{}}', published_at=_AT,
        expires_at=_AT, picked_up_at=_AT,
    )  # fmt: skip


def _body(delivery: Delivery, action: Action, seq: int) -> EventBody:
    changes = action not in (Action.DELIVERY_VALIDATED, Action.DELIVERY_READ)
    return EventBody(
        seq=seq, at=_AT, action=action.value, object=delivery.name, result="ok", origin="delivery-1.example",
        actor="planner", agreement_id=delivery.agreement_id, delivery_id=delivery.id,
        once=f"{seq:064x}" if action == Action.DELIVERY_READ else None,
        row_digest=delivery.history_digest() if changes else None, detail=_DETAILS[action],
    )  # fmt: skip


def _detail(action: Action) -> dict[str, Any]:
    if action == Action.DELIVERY_VALIDATED:
        return {"report": {"rows": 2_000_000, "checks": list(_checks())}, "token": 1}
    if action == Action.DELIVERY_PUBLISHED:
        files = [{"name": f"part-{number}.parquet.age", "sha256": "a" * 64, "size": 40_000_000} for number in range(4)]
        return {"destination": "dropzone", "files": files, "state": "published", "token": 1}
    if action == Action.DELIVERY_READ:
        return {"address": "192.0.2.1", "closed": True, "ended": "closed", "file": "part-1.parquet.age",
                "size": 40_000_000, "spans": [[0, 40_000_000]], "whole": True}  # fmt: skip
    return {"state": "sealed", "token": 1, "worker": "delivery-1.example:4711", "product": "inkomstenverhoudingen"}


def _checks() -> Iterator[dict[str, Any]]:
    for number in range(12):
        yield {"column": f"kolom_{number}", "rule": "required", "failed": 0, "checked": 2_000_000}


_DETAILS = {action: canonical_json(_detail(action)).decode() for action in _LIFE}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
