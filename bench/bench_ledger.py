"""Verify a ledger of a million events, and append to it, on SQLite and on PostgreSQL.

The events are those of deliveries, twelve each, with details as long as real ones; each delivery has a signed
checkpoint, as each publication gets one. `gla ledger verify` runs as a command, start-up and signatures included.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import run
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
from tests.servers.postgres import start_postgres

EVENTS = int(os.environ.get("GLA_BENCH_EVENTS", "1000000"))
APPENDED = 3_000
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


def measure(work: Path) -> dict[str, float]:
    results = {}
    url = f"sqlite:///{work / 'ledger.db'}"
    results |= _measured(work / "sqlite", url, EVENTS, "")
    small = work / "small"
    few = _measured(small, f"sqlite:///{work / 'small.db'}", EVENTS // 4, "small_")
    results["ledger_verify_rss_growth"] = results["ledger_verify_peak_rss_mb"] / few["small_ledger_verify_peak_rss_mb"]
    with start_postgres() as server:
        with server.connect("postgres") as connection:
            connection.execute("ALTER SYSTEM SET fsync = on")
            connection.execute("SELECT pg_reload_conf()")
        place = f"postgresql://postgres@/{server.create_database()}?host={server.socket.parent}"
        found = _measured(work / "postgresql", place, EVENTS, "postgres_")
    return results | {name: value for name, value in found.items() if "rss" not in name}


def _measured(home: Path, url: str, events: int, prefix: str) -> dict[str, float]:
    settings = Settings(home=home, database_url=url)
    with opened(url) as engine:
        started = time.perf_counter()
        made = _fill(engine, settings, events)
        print(f"  {made:,} events made in {time.perf_counter() - started:.0f} s")
        appended = _append(engine) if prefix != "small_" else 0.0
        if engine.dialect.name == "postgresql":
            with engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    environment = {**run.ENVIRONMENT, "GLA_HOME": str(home), "GLA_DATABASE_URL": url}
    seconds, megabytes = run.timed([*run.GLA, "ledger", "verify"], environment)
    print(f"  verified in {seconds:.1f} s, {megabytes:.0f} MB; {appended:.0f} appends per second")
    return {
        f"{prefix}ledger_verify_events_per_s": made / seconds,
        f"{prefix}ledger_verify_peak_rss_mb": megabytes,
        f"{prefix}append_events_per_s": appended,
    }


def _append(engine: Engine) -> float:
    """Each in a transaction of its own, on disk before the next begins."""
    ledger = Ledger(engine, utc_now, origin="bench")
    started = time.perf_counter()
    for number in range(APPENDED):
        ledger.record(Action.DELIVERY_READ, f"delivery:x/{number}", Result.FAILED, "somebody", _detail(_LIFE[6]))
    return APPENDED / (time.perf_counter() - started)


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


if __name__ == "__main__":  # without writing the results
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder)), indent=2))
