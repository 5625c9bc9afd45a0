"""Any change to a stored ledger is found: random edits, removals, insertions, swaps, cuts; hashes recomputed or not.

The ledger has a delivery whose events lost their bodies by rule, two others, and three checkpoints in the second place.
An attempt is named by its number, from which everything about it follows.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine

from core.clock import to_rfc3339
from core.database import open_engine, opened
from core.errors import LedgerTampered, UnusableInput
from core.period import Period
from ledger.checkpoints import Checkpoint
from ledger.leaves import EventBody, leaf_of
from ledger.removal import remove_bodies
from ledger.verify import verify
from tests.ledger_world import Clock, checkpoint_of, deliver, hashes_of, new_ledger
from tests.soak import examples

ATTEMPTS = examples(400, soak=10_000)
_EVENTS, _DELIVERIES = 16, 3
_BODY = tuple(EventBody.__dataclass_fields__)
_EVENT_COLUMNS = (*_BODY, "nonce", "hashes", "removed_by")
_EMPTY = "object = '', origin = '', actor = '', detail = '', nonce = NULL"
_NEVER_SHOWN = {"worker", "lease_until", "token", "updated_at"}  # change by themselves, are in no history
_WITNESSED = f"SELECT * FROM events WHERE seq <= {_EVENTS} ORDER BY seq"  # what follows, no checkpoint has seen
_WORK_LIST = "SELECT * FROM deliveries ORDER BY id"


@dataclass
class Target:
    """A pristine ledger in memory, and the file that is attacked; no trigger is in the way."""

    pristine: sqlite3.Connection
    file: sqlite3.Connection
    engine: Engine
    checkpoints: list[Checkpoint]

    def contents(self) -> list[Any]:
        return [self.file.execute(statement).fetchall() for statement in (_WITNESSED, _WORK_LIST)]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    path, clock = tmp_path_factory.mktemp("ledger") / "gla.db", Clock()
    with opened(f"sqlite:///{path}") as engine:
        ledger = new_ledger(engine, clock)
        deliver(ledger, Period.parse("2026-01"), reason="asked for")
        clock.advance(days=40)
        assert remove_bodies(ledger, to_rfc3339(clock())) == 5
        for month in ("2026-02", "2026-03"):
            deliver(ledger, Period.parse(month), reason="asked for")
    with closing(sqlite3.connect(":memory:")) as pristine:
        with closing(sqlite3.connect(path)) as connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.commit()
            connection.backup(pristine)
        hashes = [row[0] for row in pristine.execute("SELECT hashes FROM events ORDER BY seq")]
        checkpoints = [checkpoint_of(hashes[:size]) for size in (6, 11, _EVENTS)]
        engine = open_engine(f"sqlite:///{path}")
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA synchronous = OFF")
            file.text_factory = _text
            yield Target(pristine, file, engine, checkpoints)
        engine.dispose()


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _value(chance: random.Random) -> Any:
    """Of every type that SQLite has, and what looks like what stands there."""
    text = "".join(chr(chance.choice((0, 34, 65, 92, 233, 8232, 0x1F600))) for _ in range(chance.randrange(6)))
    digest = chance.randbytes(32)
    return chance.choice(
        (None, "", "{}", "[]", text, digest, digest.hex(), chance.randbytes(chance.randrange(70)), chance.random(),
         chance.randrange(-3, 20), chance.randrange(-(2**63), 2**63), "events.removed", "2026-02-01T06:00:00.000Z")
    )  # fmt: skip


def edit(connection: sqlite3.Connection, chance: random.Random) -> None:
    table, rows = chance.choice((("events", _EVENTS), ("events", _EVENTS), ("deliveries", _DELIVERIES)))
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})") if name not in _NEVER_SHOWN]
    statement = f"UPDATE {table} SET {chance.choice(columns)} = ? WHERE rowid = ?"
    connection.execute(statement, (_value(chance), chance.randint(1, rows)))


def flip_a_bit(connection: sqlite3.Connection, chance: random.Random) -> None:
    column, seq = chance.choice(("hashes", "nonce", "detail", "actor", "at")), chance.randint(1, _EVENTS)
    (value,) = connection.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()
    raw = bytearray(value.encode() if isinstance(value, str) else value or b"")
    if raw:
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        changed = _text(bytes(raw)) if isinstance(value, str) else bytes(raw)
        connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (changed, seq))


def remove(connection: sqlite3.Connection, chance: random.Random) -> None:
    table, rows = chance.choice((("events", _EVENTS), ("deliveries", _DELIVERIES)))
    connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (chance.randint(1, rows),))


def cut_the_tail(connection: sqlite3.Connection, chance: random.Random) -> None:
    """And the deliveries of which no event is left, as somebody who knows the tables would."""
    connection.execute("DELETE FROM events WHERE seq > ?", (chance.randrange(_EVENTS),))
    if chance.random() < 0.7:
        left = "SELECT delivery_id FROM events WHERE delivery_id IS NOT NULL"
        connection.execute(f"DELETE FROM deliveries WHERE id NOT IN ({left})")


def insert(connection: sqlite3.Connection, chance: random.Random) -> None:
    """A copy of an event, among the others, which move up; or before the first."""
    names = ", ".join(name for name in _EVENT_COLUMNS if name not in {"seq", "once"})
    copied, place = chance.randint(1, _EVENTS), chance.choice((-1, 0, *range(1, _EVENTS + 1)))
    found = connection.execute(f"SELECT {names} FROM events WHERE seq = ?", (copied,)).fetchone()
    if place > 0:
        connection.execute("UPDATE events SET seq = -seq WHERE seq >= ?", (place,))
        connection.execute("UPDATE events SET seq = 1 - seq WHERE seq < 0")
    marks = ", ".join("?" * len(found))
    connection.execute(f"INSERT INTO events (seq, {names}) VALUES (?, {marks})", (place, *found))


def swap(connection: sqlite3.Connection, chance: random.Random) -> None:
    one, other = chance.sample(range(1, _EVENTS + 1), 2)
    for old, new in ((one, 99), (other, one), (99, other)):
        connection.execute("UPDATE events SET seq = ? WHERE seq = ?", (new, old))


def empty_a_body(connection: sqlite3.Connection, chance: random.Random) -> None:
    """As if it was removed by rule: by the event that tells of a removal, or another one, or one that is not there."""
    by = chance.choice((6, 6, chance.randrange(1, 40)))
    connection.execute(f"UPDATE events SET {_EMPTY}, removed_by = ? WHERE seq = ?", (by, chance.randint(1, _EVENTS)))


def change_what_stays(connection: sqlite3.Connection, chance: random.Random) -> None:
    """Of an event whose body was removed, which its own hash no longer protects."""
    column = chance.choice(("at", "action", "result", "agreement_id", "delivery_id", "once", "row_digest"))
    connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (_value(chance), chance.randint(1, 5)))


def recompute(connection: sqlite3.Connection) -> None:
    """All hashes anew; of an event without its body the leaf is what it was."""
    rows = connection.execute(f"SELECT {', '.join(_EVENT_COLUMNS)} FROM events ORDER BY seq").fetchall()
    leaves = [row[-2][:32] if row[-3] is None else leaf_of(row[-3], EventBody(*row[:-3])) for row in rows]
    for row, own in zip(rows, hashes_of(leaves), strict=True):
        connection.execute("UPDATE events SET hashes = ? WHERE seq = ?", (own, row[0]))


ATTACKS: tuple[Callable[[sqlite3.Connection, random.Random], None], ...] = (
    edit, flip_a_bit, remove, cut_the_tail, insert, swap, empty_a_body, change_what_stays,
)  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("recomputed", [False, True], ids=["", "hashes recomputed"])
def test_every_random_tampering_is_found(
    target: Target, attack: Callable[[sqlite3.Connection, random.Random], None], recomputed: bool
) -> None:
    changed = 0
    target.pristine.backup(target.file)
    assert verify(target.engine, target.checkpoints).witnessed == _EVENTS
    for number in range(ATTEMPTS // (2 * len(ATTACKS))):
        chance = random.Random(f"{attack.__name__} {recomputed} {number}")
        target.pristine.backup(target.file)
        before = target.contents()
        # what is suppressed: neither the database nor the tree can hold this forgery
        with contextlib.suppress(sqlite3.Error, UnusableInput, TypeError, ValueError):
            for _ in range(chance.choice((1, 1, 2, 5))):
                attack(target.file, chance)
            if recomputed:
                recompute(target.file)
        if target.contents() == before:  # nothing was changed, or an event added to the end
            continue
        changed += 1
        with pytest.raises(LedgerTampered) as caught:
            verify(target.engine, target.checkpoints)
        assert caught.value.__context__ is None
    assert changed * 2 > ATTEMPTS // (2 * len(ATTACKS)), "most attempts changed something"
