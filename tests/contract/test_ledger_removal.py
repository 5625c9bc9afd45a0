"""Retention of events: what goes, what stays, who may do it, and that nothing else is passed off as it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, text, update

from core.clock import to_rfc3339
from core.database import reading, writing
from core.errors import LedgerTampered, LedgerUnavailable, Unexpected
from core.period import Period
from ledger import events
from ledger.checkpoints import read_checkpoints, write_checkpoint
from ledger.expiry import expired, removed
from ledger.removal import remove_bodies
from ledger.store import Ledger
from ledger.tables import events as table
from ledger.tree import Tree
from ledger.verify import verify
from ledger.vocabulary import Action, Result
from tests.ledger_world import AGREEMENT, JANUARY, Clock, SecretSigner, claim, deliver, extract, new_ledger

FEBRUARY = Period.parse("2026-02")
SIGNER = SecretSigner()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine: Engine, clock: Clock) -> Ledger:
    """A delivery of long ago, that is over, and a reading of none; then one of today."""
    ledger = new_ledger(engine, clock)
    deliver(ledger)
    ledger.record(Action.DELIVERY_READ, "delivery:x", Result.FAILED, "somebody", {"address": "192.0.2.1"}, once="r")
    ledger.record(Action.KEY_PROVEN, "key:x", Result.OK, "somebody", {})
    clock.advance(days=400)
    deliver(ledger, FEBRUARY)
    return ledger


def remove(ledger: Ledger, clock: Clock) -> int:
    return remove_bodies(ledger, to_rfc3339(clock()))


def stored(ledger: Ledger) -> list[events.Event]:
    with reading(ledger.engine) as connection:
        return list(events.in_order(connection))


def test_names_and_details_of_what_ended_go_and_the_rest_stays(ledger: Ledger, clock: Clock) -> None:
    before = stored(ledger)
    assert remove(ledger, clock) == 6
    after = stored(ledger)
    assert [event.removed_by for event in after] == [13] * 6 + [None] * 7
    for old, new in zip(before[:6], after, strict=False):
        assert new.body == replace(old.body, object="", origin="", actor="", detail="")
        assert (new.nonce, new.hashes) == (None, old.hashes)
    assert after[6:12] == before[6:]
    told = json.loads(after[12].body.detail)
    assert (after[12].body.action, told["events"], told["before"]) == ("events.removed", 6, to_rfc3339(clock()))


def test_a_ledger_with_bodies_removed_by_rule_is_intact(ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints"
    write_checkpoint(ledger.engine, path, SIGNER, clock)
    remove(ledger, clock)
    write_checkpoint(ledger.engine, path, SIGNER, clock)
    told = verify(ledger.engine, read_checkpoints(path, SIGNER.verify))
    assert (told.events, told.removed, told.checkpoints, told.witnessed) == (13, 6, 2, 13)


def test_proofs_hold_over_what_was_removed(ledger: Ledger, clock: Clock) -> None:
    with reading(ledger.engine) as connection:
        before = Tree(connection).root(12)
    remove(ledger, clock)
    with reading(ledger.engine) as connection:
        assert Tree(connection).root(12) == before
        assert len(Tree(connection).inclusion(3, 13)) == 4


def test_doing_it_again_changes_nothing(ledger: Ledger, clock: Clock) -> None:
    remove(ledger, clock)
    before = stored(ledger)
    assert remove(ledger, clock) == 0
    assert stored(ledger) == before


def test_it_is_done_in_pieces(ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.removal._AT_ONCE", 4)
    assert remove(ledger, clock) == 6
    assert [event.removed_by for event in stored(ledger)][:6] == [13, 13, 13, 13, 14, 14]
    assert verify(ledger.engine, []).removed == 6


def test_what_is_younger_or_still_on_offer_stays(ledger: Ledger, clock: Clock) -> None:
    assert remove_bodies(ledger, "2026-02-01T06:00:00.000Z") == 0
    remove(ledger, clock)
    clock.advance(days=20)
    assert remove(ledger, clock) == 0, "February can be fetched for ten days more"
    clock.advance(days=20)
    assert remove(ledger, clock) == 5


def test_a_delivery_that_is_not_finished_keeps_its_events(engine: Engine, clock: Clock) -> None:
    ledger = new_ledger(engine, clock)
    extract(ledger, claim(ledger))
    clock.advance(days=4000)
    assert remove(ledger, clock) == 0


def test_the_programs_go_on_with_what_stays(ledger: Ledger, clock: Clock) -> None:
    (over,) = expired(ledger.engine, to_rfc3339(clock()))
    removed(ledger, over, {})
    clock.advance(days=1)
    remove(ledger, clock)
    assert expired(ledger.engine, to_rfc3339(clock())) == [], "it is known to be gone"
    assert ledger.events_of(over.id) == []
    kept = ledger.get(AGREEMENT, JANUARY, 1)
    assert kept is not None
    assert kept.published_at == over.published_at
    again = ledger.record(Action.DELIVERY_READ, "delivery:x", Result.FAILED, "somebody", {}, once="r")
    assert again.body.seq == 6, "what was told once is not told again"
    ledger.release(claim(ledger, JANUARY))
    verify(ledger.engine, [])


def attack(ledger: Ledger, act: Callable[[Connection], Any]) -> str:
    """Change it without the triggers in the way; returns what `verify` says."""
    with writing(ledger.engine) as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER events_never_change"))
        else:
            connection.execute(text("ALTER TABLE events DISABLE TRIGGER ALL"))
        act(connection)
    with pytest.raises(LedgerTampered) as caught:
        verify(ledger.engine, [])
    return str(caught.value)


def emptied(seq: int, by: int) -> Callable[[Connection], Any]:
    empty = {"object": "", "origin": "", "actor": "", "detail": "", "nonce": None, "removed_by": by}
    return lambda connection: connection.execute(update(table).where(table.c.seq == seq).values(empty))


def test_a_body_removed_without_an_event_is_tampering(ledger: Ledger) -> None:
    assert "event 40, which is to tell so, is missing" in attack(ledger, emptied(3, 40))


def test_a_body_removed_in_the_name_of_another_event_is_tampering(ledger: Ledger) -> None:
    assert "refers to event 12 as its removal" in attack(ledger, emptied(3, 12))


def test_a_body_removed_in_the_name_of_a_removal_is_tampering(ledger: Ledger, clock: Clock) -> None:
    remove(ledger, clock)
    assert "the bodies of 7 are removed, and event 13 tells otherwise" in attack(ledger, emptied(8, 13))


def test_a_body_that_is_gone_without_a_mark_is_tampering(ledger: Ledger) -> None:
    gone = update(table).where(table.c.seq == 3).values(object="", origin="", actor="", detail="", nonce=None)
    assert "event 3 was changed" in attack(ledger, lambda connection: connection.execute(gone))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "2020"),
        ("action", "case.closed"),
        ("once", "x"),
        ("delivery_id", "x"),
        ("row_digest", None),
        ("actor", "x"),
    ],
)
def test_what_stays_is_protected(ledger: Ledger, clock: Clock, column: str, value: str | None) -> None:
    remove(ledger, clock)
    changed = update(table).where(table.c.seq == 2).values({column: value})
    assert "event" in attack(ledger, lambda connection: connection.execute(changed))


@pytest.mark.parametrize("change", [{"actor": "x"}, {"removed_by": 7}, {"at": "2020"}, {"hashes": b""}])
def test_the_database_lets_only_a_removal_through(ledger: Ledger, clock: Clock, change: dict[str, Any]) -> None:
    remove(ledger, clock)
    empty = {"object": "", "origin": "", "actor": "", "detail": "", "nonce": None, "removed_by": 13}
    for seq, values in ((8, change), (8, {**empty, **change}), (2, change)):
        with pytest.raises((LedgerUnavailable, Unexpected)), writing(ledger.engine) as connection:
            connection.execute(update(table).where(table.c.seq == seq).values(values))
    verify(ledger.engine, [])


def test_only_names_and_details_of_one_agreement_are_read_afterwards(ledger: Ledger, clock: Clock) -> None:
    remove(ledger, clock)
    with reading(ledger.engine) as connection:
        assert events.of_agreement(connection, AGREEMENT, Action.DELIVERY_PUBLISHED)[0].body.seq == 12
        assert connection.execute(select(table.c.detail).where(table.c.seq == 3)).scalar_one() == ""
