"""A recipient's page of the history at 1,000 and at 1,000,000 deliveries of twelve events, on SQLite and on PostgreSQL.

Ten recipients in both; a page has 20 deliveries, and is the newest one or one from anywhere. Both sizes are asked in
turn, so that what else the machine does falls on both. The rows are made by SQL and are those of real deliveries in
kind and length; their hashes are not, which the history does not read.
"""

from __future__ import annotations

import hashlib
import os
import random
import statistics
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import run  # noqa: F401 - it is first: it keeps the environment as it was
from sqlalchemy import Connection, Engine, text

from core.database import open_engine, opened
from ledger.history import Choice, page
from tests.servers.postgres import start_postgres

FEW = 1_000
MANY = int(os.environ.get("GLA_BENCH_DELIVERIES", "1000000"))
RECIPIENTS, AGREEMENTS, EVENTS = 10, 100, 12
PAGE = 20
ASKED = int(os.environ.get("GLA_BENCH_PAGES", "600"))
LATE = 500  # deliveries that are made before the readings of one come
_ROUNDS = 3
_CHUNK = 20_000  # deliveries in one statement
_FIRST_DAY = date(2000, 1, 1)

_NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :last) ",
    "postgresql": "WITH numbers AS (SELECT i FROM generate_series(:first, :last - 1) AS i) ",
}
_AT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', '2000-01-01', (i * 60) || ' seconds')",
    "postgresql": "to_char(timestamp '2000-01-01' + i * interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
}
_DAY = {
    "sqlite": f"date('2000-01-01', (i / {AGREEMENTS}) || ' days')",
    "postgresql": f"to_char(date '2000-01-01' + i / {AGREEMENTS}, 'YYYY-MM-DD')",
}
_HASHES = {"sqlite": "zeroblob(64)", "postgresql": "decode(repeat('00', 64), 'hex')"}
_NONCE = {"sqlite": "zeroblob(32)", "postgresql": "decode(repeat('00', 32), 'hex')"}
_DELIVERIES = """
    INSERT INTO deliveries (id, agreement_id, agreement_digest, recipient, product, period, edition, state, token, rows,
        bytes, sealed, actor, created_at, updated_at, published_at, expires_at, picked_up_at)
    {numbers} SELECT id, 'gla-' || (i % {agreements}), id || id, 'afnemer-' || (i % {recipients}),
        'inkomstenverhoudingen', day, 1, 'confirmed', 1, 1000000, 40000000, '{sealed}', 'operator', at, at, at, at, at
    FROM (SELECT i, md5('' || i) AS id, {day} AS day, {at} AS at FROM numbers) AS made"""
_EVENT_ROWS = """
    INSERT INTO events (seq, at, action, object, result, origin, actor, agreement_id, delivery_id, once, row_digest,
        detail, nonce, hashes)
    {numbers} SELECT i * {events} + k + 1, '2026-02-01T06:00:00.000Z', action,
        'delivery:gla-' || (whose % {agreements}) || '/2026-01-01/1', 'ok', 'machine', 'operator',
        'gla-' || (whose % {agreements}), md5('' || whose), NULL, '{digest}', detail, {nonce}, {hashes}
    FROM (SELECT i, k, action, detail, CASE WHEN k < 7 THEN i ELSE (i + {all} - {late}) % {all} END AS whose
        FROM numbers CROSS JOIN kinds) AS slots"""
_KINDS = (
    ("planned", '{"worker": "machine:1", "token": 1, "recipient": "afnemer", "state": "planned"}'),
    ("extracting", '{"source": "polis", "state": "extracting", "token": 1}'),
    ("validated", '{"rows": 1000000, "failures": []}' + " " * 200),
    ("limited", '{"set": 3, "digest": "0000", "people": 1000000, "kept_out": 12, "token": 1}'),
    ("sealed", '{"files": 5, "plan": "0000", "rows": 1000000, "bytes": 40000000, "token": 1}'),
    ("publishing", '{"destination": "dropzone", "token": 1}'),
    ("published", '{"manifest": "0000", "token": 1, "expires_at": "2026-12-31T00:00:00.000Z"}'),
    *[("read", f'{{"file": "part-{at}.age", "spans": [[0, 1000000]], "closed": true}}') for at in range(3)],
    ("picked_up", '{"state": "picked_up"}'),
    ("confirmed", '{"signer": "SHA256:0000", "recipient": "afnemer", "state": "confirmed"}'),
)  # fmt: skip


def fill(engine: Engine, size: int) -> None:
    """`size` deliveries and their events; indexes are made again at the end, and the guards of a ledger are not."""
    name = engine.dialect.name
    with engine.connect() as connection:
        indexes = _unguarded(connection)
        connection.execute(text("CREATE TEMPORARY TABLE kinds (k INTEGER, action TEXT, detail TEXT)"))
        for number, (action, detail) in enumerate(_KINDS):
            row = {"k": number, "action": f"delivery.{action}", "detail": detail}
            connection.execute(text("INSERT INTO kinds VALUES (:k, :action, :detail)"), row)
        form: dict[str, Any] = {
            "numbers": _NUMBERS[name], "at": _AT[name], "day": _DAY[name], "hashes": _HASHES[name],
            "nonce": _NONCE[name], "digest": "0" * 64, "agreements": AGREEMENTS,
            "recipients": RECIPIENTS, "events": EVENTS, "all": size, "late": LATE,
            "sealed": "x" * 1500,
        }  # fmt: skip
        for first in range(0, size, _CHUNK):
            bounds = {"first": first, "last": min(size, first + _CHUNK)}
            for statement in (_DELIVERIES, _EVENT_ROWS):
                connection.execute(text(statement.format(**form)), bounds)
        for statement in indexes:
            connection.execute(text(statement))
        connection.commit()
    with engine.connect() as connection:
        if name == "postgresql":  # autovacuum would, in time; SQLite has no statistics by itself
            connection.execute(text("ANALYZE"))
            connection.commit()


def _unguarded(connection: Connection) -> list[str]:
    """Without triggers, and for now without indexes; returns how those are made."""
    if connection.dialect.name == "sqlite":
        connection.connection.driver_connection.create_function(
            "md5", 1, lambda value: hashlib.md5(value.encode(), usedforsecurity=False).hexdigest(), deterministic=True
        )  # type: ignore[union-attr]
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        for trigger in triggers:
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        known = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'events'"
    else:
        connection.execute(text("ALTER TABLE events DISABLE TRIGGER USER"))
        for table in ("events", "deliveries"):
            connection.execute(text(f"ALTER TABLE {table} SET UNLOGGED"))  # made sooner, and read as any other
        connection.execute(text("SET maintenance_work_mem = '1GB'"))
        known = (
            "SELECT indexname AS name, indexdef AS sql FROM pg_indexes WHERE tablename = 'events' "
            "AND indexname LIKE 'ix_%'"
        )
    found = connection.execute(text(known)).all()
    for row in found:
        connection.execute(text(f"DROP INDEX {row.name}"))
    return [row.sql for row in found]


def ask(engine: Engine, size: int, random_: random.Random) -> float:
    """Seconds that one page takes."""
    recipient, after = random_.randrange(RECIPIENTS), None
    if random_.random() < 0.5:
        number = random_.randrange(size // 2, size)
        after = f"gla-{number % AGREEMENTS}/{_FIRST_DAY + timedelta(days=number // AGREEMENTS)}/1"
    started = time.perf_counter()
    found = page(engine, Choice(recipient=f"afnemer-{recipient}"), PAGE, after)
    seconds = time.perf_counter() - started
    if len(found.rows) != PAGE or found.next is None or found.rows[0].kept_out != 12:
        raise SystemExit("a page is not as it should be")
    return seconds


def growth(few: Engine, many: Engine) -> dict[str, float]:
    """p95 at both sizes, in milliseconds, and their ratio; medians of rounds."""
    random_, sizes = random.Random(1), ((few, FEW), (many, MANY))
    rounds = []
    for _ in range(_ROUNDS + 1):
        taken: dict[int, list[float]] = {FEW: [], MANY: []}
        for _ in range(ASKED):
            for engine, size in sizes:
                taken[size].append(ask(engine, size, random_))
        rounds.append(tuple(statistics.quantiles(each, n=20)[-1] * 1000 for each in (taken[FEW], taken[MANY])))
    sys.stdout.write(f"  {few.dialect.name} p95 ms {rounds}\n")
    sys.stdout.flush()
    measured = rounds[1:]  # the first warms up
    return {
        "few": statistics.median(least for least, _ in measured),
        "many": statistics.median(most for _, most in measured),
        "growth": statistics.median(most / least for least, most in measured),
    }


def compared(urls: tuple[str, str]) -> dict[str, float]:
    for url, size in zip(urls, (FEW, MANY), strict=True):
        with opened(url) as engine:
            started = time.perf_counter()
            fill(engine, size)
            sys.stdout.write(f"  {engine.dialect.name} {size:,} made in {time.perf_counter() - started:.0f} s\n")
            sys.stdout.flush()
    few, many = (open_engine(url) for url in urls)
    try:
        return growth(few, many)
    finally:
        few.dispose()
        many.dispose()


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    with start_postgres() as server:
        few, many = (f"postgresql://postgres@/{server.create_database()}?host={server.socket.parent}" for _ in range(2))
        postgresql = compared((few, many))
    sqlite = compared((f"sqlite:///{work / 'few.db'}", f"sqlite:///{work / 'many.db'}"))
    return {
        "history_p95_growth": postgresql["growth"],
        "history_p95_ms": postgresql["many"],
        "history_p95_growth_sqlite": sqlite["growth"],
        "history_p95_ms_sqlite": sqlite["many"],
    }
