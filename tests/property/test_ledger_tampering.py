"""Any change to a stored ledger is found: random edits, removals, insertions and swaps, hashes recomputed or not."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.database import open_engine, opened
from core.errors import LedgerTampered, UnusableInput
from core.period import Period
from ledger.checkpoints import Checkpoint
from ledger.leaves import EventBody, leaf_of
from ledger.verify import verify
from tests.ledger_world import checkpoint_of, deliver, hashes_of, new_ledger
from tests.soak import examples

_EVENT_COLUMNS = [*EventBody.__dataclass_fields__, "nonce", "hashes", "removed_by"]
_TABLES = {"events": 15, "deliveries": 3}
_NEVER_SHOWN = {"worker", "lease_until", "token", "updated_at"}  # change by themselves, are in no history


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Checkpoint]]:
    path = tmp_path_factory.mktemp("ledger") / "gla.db"
    with opened(f"sqlite:///{path}") as engine:
        for month in (1, 2, 3):
            deliver(new_ledger(engine), Period.parse(f"2026-{month:02}"), reason="asked for")
    with closing(sqlite3.connect(path)) as connection:
        hashes = [row[0] for row in connection.execute("SELECT hashes FROM events ORDER BY seq")]
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.commit()
    return path, [checkpoint_of(hashes)]


def tamper(connection: sqlite3.Connection, data: Any) -> None:
    table = data.draw(st.sampled_from(sorted(_TABLES)))
    row = data.draw(st.integers(1, _TABLES[table]))
    match data.draw(st.sampled_from(["edit", "remove", "copy", "swap"])):
        case "edit":
            columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            column = data.draw(st.sampled_from([name for name in columns if name not in _NEVER_SHOWN]))
            value = data.draw(st.text() | st.binary() | st.integers(-(2**63), 2**63 - 1))
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
        case "remove":
            connection.execute(f"DELETE FROM {table} WHERE rowid >= ?", (row,))
        case "copy" if table == "events":
            names = ", ".join(name for name in _EVENT_COLUMNS if name not in {"seq", "once"})
            new = data.draw(st.sampled_from([-1, 0, 17]))  # 16 would only be seen by the next checkpoint
            connection.execute(
                f"INSERT INTO events (seq, {names}) SELECT ?, {names} FROM events WHERE seq = ?", (new, row)
            )
        case "swap" if table == "events" and row > 1:
            for old, new in ((row, 99), (1, row), (99, 1)):
                connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))


def recompute(connection: sqlite3.Connection) -> None:
    rows = connection.execute(f"SELECT {', '.join(_EVENT_COLUMNS)} FROM events ORDER BY seq").fetchall()
    leaves = [leaf_of(row[-3], EventBody(*row[:-3])) for row in rows]
    for row, own in zip(rows, hashes_of(leaves), strict=True):
        connection.execute("UPDATE events SET hashes = ? WHERE seq = ?", (own, row[0]))


def contents(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        return [connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in sorted(_TABLES)]


@given(data=st.data(), recomputed=st.booleans())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_random_tampering_is_found(
    original: tuple[Path, list[Checkpoint]], tmp_path: Path, data: Any, recomputed: bool
) -> None:
    source, checkpoints = original
    copy = tmp_path / "copy.db"
    shutil.copy(source, copy)
    attacker = closing(sqlite3.connect(copy, isolation_level=None))
    # what is suppressed: neither the database nor the chain can hold this forgery
    with attacker as connection, contextlib.suppress(sqlite3.Error, UnusableInput, TypeError):
        tamper(connection, data)
        if recomputed:
            recompute(connection)
    engine = open_engine(f"sqlite:///{copy}")
    try:
        if contents(copy) == contents(source):
            verify(engine, checkpoints)
        else:
            with pytest.raises(LedgerTampered):
                verify(engine, checkpoints)
    finally:
        engine.dispose()
