"""Attacks on the ledger by somebody who owns the database: each is found, and the finding names the place.

The attacker drops the triggers first. What no checkpoint witnesses can be cut off or computed again unseen; a test
says so, so that nobody believes otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, insert, select, text, update

from core.database import opened, reading, writing
from core.errors import LedgerTampered
from core.period import Period
from ledger import events
from ledger.checkpoints import Checkpoint, read_checkpoints, write_checkpoint
from ledger.leaves import leaf_of
from ledger.tables import deliveries as deliveries_table
from ledger.tables import events as events_table
from ledger.verify import verify
from tests.ledger_world import AGREEMENT, JANUARY, Clock, SecretSigner, claim, deliver, hashes_of, new_ledger

FEBRUARY = Period.parse("2026-02")
_DROP_TRIGGERS = {
    "sqlite": [
        f"DROP TRIGGER {name}"
        for name in ("events_never_change", "events_never_go", "events_only_at_the_end", "deliveries_never_go")
    ],
    "postgresql": ["ALTER TABLE events DISABLE TRIGGER ALL", "ALTER TABLE deliveries DISABLE TRIGGER ALL"],
}


@dataclass
class Target:
    """A ledger of two deliveries, ten events, with a checkpoint after each delivery: at events 5 and 10."""

    engine: Engine
    path: Path
    signer: SecretSigner

    def attack(self, act: Callable[[Connection], Any]) -> None:
        with writing(self.engine) as connection:
            for statement in _DROP_TRIGGERS[self.engine.dialect.name]:
                connection.execute(text(statement))
            act(connection)

    def checkpoints(self) -> list[Checkpoint]:
        return list(read_checkpoints(self.path, self.signer.verify))

    def check(self, *, with_checkpoints: bool = True) -> None:
        verify(self.engine, self.checkpoints() if with_checkpoints else [])

    def finding(self, *, with_checkpoints: bool = True) -> str:
        with pytest.raises(LedgerTampered) as caught:
            self.check(with_checkpoints=with_checkpoints)
        assert caught.value.__context__ is None
        return str(caught.value)


@pytest.fixture
def target(engine: Engine, tmp_path: Path) -> Target:
    clock = Clock()
    target = Target(engine, tmp_path / "second-place" / "ledger.jsonl", SecretSigner())
    for period in (JANUARY, FEBRUARY):
        deliver(new_ledger(engine, clock), period)
        clock.advance(hours=1)
        write_checkpoint(engine, target.path, target.signer, clock)
    return target


def recompute(connection: Connection) -> None:
    """Make the tree consistent again with the events as they now are."""
    recorded = list(events.in_order(connection))
    hashes = hashes_of(leaf_of(event.nonce or b"", event.body) for event in recorded)
    for event, own in zip(recorded, hashes, strict=True):
        connection.execute(update(events_table).where(events_table.c.seq == event.body.seq).values(hashes=own))


def test_the_untouched_ledger_is_intact(target: Target) -> None:
    verified = verify(target.engine, target.checkpoints())
    assert (verified.events, verified.deliveries, verified.checkpoints, verified.witnessed) == (10, 2, 2, 10)


@pytest.mark.parametrize(
    "column",
    [
        "at",
        "action",
        "object",
        "result",
        "origin",
        "actor",
        "agreement_id",
        "delivery_id",
        "once",
        "row_digest",
        "detail",
    ],
)
def test_row_rewritten_is_detected(target: Target, column: str) -> None:
    target.attack(lambda c: c.execute(update(events_table).where(events_table.c.seq == 4).values({column: "x"})))
    assert "event 4 was changed" in target.finding(with_checkpoints=False)


def test_row_rewritten_with_its_own_hash_recomputed_is_detected(target: Target) -> None:
    def rewrite(connection: Connection) -> None:
        event = list(events.in_order(connection))[2]
        body = replace(event.body, actor="somebody else")
        values = {"actor": body.actor, "hashes": leaf_of(event.nonce or b"", body)}
        connection.execute(update(events_table).where(events_table.c.seq == 3).values(values))

    target.attack(rewrite)
    assert "event 4 does not continue what was before it: one of the events 1 to 4 was changed" in target.finding(
        with_checkpoints=False
    )


@pytest.mark.parametrize("detail", ["", "0", "[]", "null", '"text"'])
def test_details_that_are_none_with_all_hashes_recomputed_are_detected(target: Target, detail: str) -> None:
    def rewrite(connection: Connection) -> None:
        connection.execute(update(events_table).where(events_table.c.seq == 4).values(detail=detail))
        recompute(connection)

    target.attack(rewrite)
    assert "event 4 was changed: its details" in target.finding(with_checkpoints=False)


def test_row_removed_is_detected(target: Target) -> None:
    target.attack(lambda c: c.execute(delete(events_table).where(events_table.c.seq == 4)))
    assert "event 4 is missing" in target.finding(with_checkpoints=False)


def test_first_row_removed_is_detected(target: Target) -> None:
    target.attack(lambda c: c.execute(delete(events_table).where(events_table.c.seq == 1)))
    assert "event 1 is missing" in target.finding(with_checkpoints=False)


def test_row_removed_and_the_rest_renumbered_is_detected(target: Target) -> None:
    def remove(connection: Connection) -> None:
        connection.execute(delete(events_table).where(events_table.c.seq == 4))
        for seq in range(5, 11):
            connection.execute(update(events_table).where(events_table.c.seq == seq).values(seq=seq - 1))

    target.attack(remove)
    assert "event 4 was changed" in target.finding(with_checkpoints=False)


@pytest.mark.parametrize("seq", [0, -7])
def test_row_inserted_before_the_first_is_detected(target: Target, seq: int) -> None:
    target.attack(lambda c: c.execute(insert(events_table).values(**_forged(c, seq))))
    assert f"event {seq} was inserted" in target.finding(with_checkpoints=False)


def test_row_inserted_in_the_middle_is_detected(target: Target) -> None:
    def squeeze_in(connection: Connection) -> None:
        for seq in range(10, 3, -1):
            connection.execute(update(events_table).where(events_table.c.seq == seq).values(seq=seq + 1))
        connection.execute(insert(events_table).values(**_forged(connection, 4)))

    target.attack(squeeze_in)
    assert "event 4 does not continue what was before it" in target.finding(with_checkpoints=False)


def test_rows_reordered_are_detected(target: Target) -> None:
    def swap(connection: Connection) -> None:
        for old, new in ((3, 99), (4, 3), (99, 4)):
            connection.execute(update(events_table).where(events_table.c.seq == old).values(seq=new))

    target.attack(swap)
    assert "event 3 was changed" in target.finding(with_checkpoints=False)


def test_tail_cut_is_detected_by_the_checkpoint(target: Target) -> None:
    target.attack(lambda c: c.execute(delete(events_table).where(events_table.c.seq > 8)))
    finding = target.finding()
    assert "ends at event 8" in finding
    assert "saw event 10" in finding


def test_tail_cut_together_with_its_delivery_is_detected_by_the_checkpoint_alone(target: Target) -> None:
    def cut(connection: Connection) -> None:
        connection.execute(delete(events_table).where(events_table.c.seq > 5))
        connection.execute(delete(deliveries_table).where(deliveries_table.c.period == str(FEBRUARY)))

    target.attack(cut)
    target.check(with_checkpoints=False)  # by itself this shorter ledger is whole: that is why checkpoints exist
    assert "ends at event 5" in target.finding()


def test_hashes_recomputed_but_the_checkpoint_disagrees(target: Target) -> None:
    def rewrite(connection: Connection) -> None:
        connection.execute(update(events_table).where(events_table.c.seq == 7).values(actor="somebody else"))
        recompute(connection)

    target.attack(rewrite)
    target.check(with_checkpoints=False)
    assert "from 6 to 10 was changed and the hashes computed again" in target.finding()


def test_all_events_removed_is_detected_by_the_work_list_and_the_checkpoint(target: Target) -> None:
    target.attack(lambda c: c.execute(delete(events_table)))
    assert "no event made it" in target.finding(with_checkpoints=False)
    assert "ends at event 0" in target.finding()


def test_tables_dropped_are_detected_by_the_checkpoint(target: Target) -> None:
    def drop(connection: Connection) -> None:
        connection.execute(text("DROP TABLE events"))
        connection.execute(text("DROP TABLE deliveries"))

    target.attack(drop)
    assert "ends at event 0" in target.finding()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "confirmed"),
        ("rows", 1),
        ("recipient", "iemand-anders"),
        ("published_at", None),
        ("sealed", "{}"),
        ("reason", "asked for"),
        ("edition", 7),
        ("picked_up_at", "2026-02-01T06:00:00.000Z"),
    ],
)
def test_work_list_row_rewritten_is_detected(target: Target, column: str, value: object) -> None:
    january = deliveries_table.c.period == str(JANUARY)
    target.attack(lambda c: c.execute(update(deliveries_table).where(january).values({column: value})))
    assert "differs from event 5" in target.finding()


def test_work_list_row_with_an_unknown_state_is_detected(target: Target) -> None:
    target.attack(lambda c: c.execute(update(deliveries_table).values(state="lost")))
    assert "work list cannot be read" in target.finding()


def test_work_list_row_removed_is_detected(target: Target) -> None:
    january = deliveries_table.c.period == str(JANUARY)
    target.attack(lambda c: c.execute(delete(deliveries_table).where(january)))
    assert "the delivery of event 5 is missing" in target.finding()


def test_work_list_row_inserted_is_detected(target: Target) -> None:
    def forge(connection: Connection) -> None:
        row = dict(connection.execute(select(deliveries_table)).mappings().first() or {})
        connection.execute(insert(deliveries_table).values({**row, "id": "forged", "edition": 2}))

    target.attack(forge)
    assert "no event made it" in target.finding()


def test_a_running_delivery_with_its_heartbeats_is_no_finding(target: Target) -> None:
    ledger = new_ledger(target.engine)
    held = claim(ledger, Period.parse("2026-03"))
    ledger.heartbeat(held)
    target.check()


def test_checkpoint_by_another_key_is_detected(target: Target) -> None:
    write_checkpoint(target.engine, target.path, SecretSigner(b"another"), Clock())
    assert "checkpoint 3" in target.finding()


def test_checkpoint_rewritten_is_detected(target: Target) -> None:
    target.path.write_bytes(target.path.read_bytes().replace(b"\\n10\\n", b"\\n9\\n"))
    assert "checkpoint 2" in target.finding()


def test_checkpoint_signed_under_another_name_is_detected(target: Target) -> None:
    @dataclass
    class OtherName:
        def sign_note(self, name: str, text: str) -> str:
            return SecretSigner().sign_note("another", text)

    write_checkpoint(target.engine, target.path, OtherName(), Clock())
    assert "checkpoint 3" in target.finding()


def test_checkpoints_in_another_order_are_detected(target: Target) -> None:
    target.path.write_bytes(b"".join(reversed(target.path.read_bytes().splitlines(keepends=True))))
    assert "checkpoint 2 is smaller" in target.finding()


def test_checkpoint_of_another_ledger_is_detected(target: Target, tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'other.db'}") as other:
        for period in (JANUARY, FEBRUARY):
            deliver(new_ledger(other), period)
        write_checkpoint(other, target.path, target.signer, Clock())
    assert "from 11 to 10" not in target.finding()
    assert "tells otherwise" in target.finding()


def test_the_chain_is_not_repaired_or_restarted_after_an_alarm(target: Target) -> None:
    target.attack(lambda c: c.execute(delete(events_table).where(events_table.c.seq == 4)))
    deliver(new_ledger(target.engine), Period.parse("2026-03"))
    for _ in range(2):
        assert "event 4 is missing" in target.finding()
    with reading(target.engine) as connection:
        assert [event.body.seq for event in events.in_order(connection)][-1] == 15


def test_a_delivery_after_the_tail_was_cut_does_not_hide_the_cut(target: Target) -> None:
    def cut(connection: Connection) -> None:
        connection.execute(delete(events_table).where(events_table.c.seq > 5))
        connection.execute(delete(deliveries_table).where(deliveries_table.c.period == str(FEBRUARY)))

    target.attack(cut)
    deliver(new_ledger(target.engine), Period.parse("2026-03"))
    assert "from 6 to 10 was changed" in target.finding()


def _forged(connection: Connection, seq: int) -> dict[str, Any]:
    """An event of the attacker's own that continues the one before it as it should."""
    recorded = {event.body.seq: event for event in events.in_order(connection)}
    body = replace(recorded[1].body, seq=seq, object=f"delivery:{AGREEMENT}/2026-04/1", delivery_id=None)
    values = {name: getattr(body, name) for name in body.__dataclass_fields__}
    nonce = b"n" * 32
    return {**values, "nonce": nonce, "hashes": leaf_of(nonce, body)}
