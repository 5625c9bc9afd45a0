"""Real processes, one database: of many triggers one wins, a killed worker loses nothing, the chain stays whole."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from typing import Any

from sqlalchemy import Engine

from core.clock import utc_now
from core.database import opened, reading
from core.errors import DeliveryBusy
from ledger import events
from ledger.states import State
from ledger.store import Ledger
from ledger.verify import verify
from ledger.vocabulary import Action, Result
from tests.ledger_world import AGREEMENT, JANUARY, claim, extract, seal

PROCESSES = 6
EVENTS_EACH = 25
_SPAWN = multiprocessing.get_context("spawn")


def _together(target: Callable[..., None], url: str) -> list[Any]:
    """Run `target(url, number, answers, start)` in several processes that begin at one moment; their answers."""
    answers: Queue[Any] = _SPAWN.Queue()
    start = _SPAWN.Barrier(PROCESSES)
    processes = [_SPAWN.Process(target=target, args=(url, n, answers, start)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    return found


def _claim_once(url: str, number: int, answers: Queue[str], start: Any) -> None:
    with opened(url) as engine:
        ledger = Ledger(engine, utc_now, origin=f"process-{number}")
        start.wait(60)
        try:
            held = claim(ledger, worker=f"worker-{number}")
            answers.put(f"won {held.token}")
        except DeliveryBusy:
            answers.put("busy")


def _record_many(url: str, number: int, answers: Queue[str], start: Any) -> None:
    with opened(url) as engine:
        ledger = Ledger(engine, utc_now, origin=f"process-{number}")
        start.wait(60)
        for count in range(EVENTS_EACH):
            ledger.record(Action.SOURCE_ADDED, f"source:{number}-{count}", Result.OK, "operator", {"count": count})
        answers.put("done")


def _work_until_killed(url: str, sealed_too: bool, reached: Any) -> None:
    with opened(url) as engine:
        ledger = Ledger(engine, utc_now, origin="doomed")
        held = extract(ledger, claim(ledger, worker="doomed", lease_seconds=1))
        if sealed_too:
            seal(ledger, held)
        reached.set()
        time.sleep(60)


def test_of_many_processes_that_claim_one_delivery_one_wins(engine: Engine, database_url: str) -> None:
    answers = _together(_claim_once, database_url)
    assert sorted(answers) == ["busy"] * (PROCESSES - 1) + ["won 1"]
    assert verify(engine, []).events == PROCESSES  # one planned, the others busy


def test_many_processes_append_to_one_unbroken_chain(engine: Engine, database_url: str) -> None:
    _together(_record_many, database_url)
    assert verify(engine, []).events == PROCESSES * EVENTS_EACH
    with reading(engine) as connection:
        objects = {event.body.object for event in events.in_order(connection)}
    assert len(objects) == PROCESSES * EVENTS_EACH


def test_a_killed_workers_delivery_begins_again_where_it_was_recorded(engine: Engine, database_url: str) -> None:
    for sealed_too, state in ((False, State.PLANNED), (True, State.SEALED)):
        reached = _SPAWN.Event()
        doomed = _SPAWN.Process(target=_work_until_killed, args=(database_url, sealed_too, reached))
        doomed.start()
        assert reached.wait(60)
        assert doomed.pid is not None
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.join(60)
        ledger = Ledger(engine, utc_now, origin="heir")
        held = _claim_when_free(ledger)
        assert (held.state, held.delivery.period) == (state, str(JANUARY))
        ledger.release(held)
    assert ledger.latest_edition(AGREEMENT, JANUARY) == 1
    verify(engine, [])


def _claim_when_free(ledger: Ledger) -> Any:
    deadline = time.monotonic() + 30
    while True:
        try:
            return claim(ledger, worker="heir")
        except DeliveryBusy:
            assert time.monotonic() < deadline
            time.sleep(0.2)
