"""Many processes at once: one delivery that all of them want, and many that all happen."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.crash.fixtures import POSTGRESQL, SQLITE, copies, nurseries
from tests.crash.matrix import Copy, Matrix, only_told
from tests.crash.nursery import Nursery
from tests.delivery_world import AGREEMENT
from tests.soak import examples

__all__ = ["copies", "nurseries"]

pytestmark = pytest.mark.timeout(900)  # seconds, on a machine with other work

TRIGGERS = 50
DELIVERIES, AT_ONE_MOMENT = examples(32, soak=200), examples(8, soak=16)

on_both = pytest.mark.parametrize("copies", [SQLITE, POSTGRESQL], indirect=True)


def storm(nurseries: SimpleQueue[Nursery], matrix: Matrix, orders: list[list[str]]) -> tuple[Counter[str], Any]:
    """How often each answer was given to the processes, and how the world stands then."""
    world = matrix.world()
    where = {name: world[name] for name in ("home", "url")}
    with matrix.a_nursery() as nursery:
        children = nursery.do("storm", **where, at=matrix.at(0), orders=orders)
        end = only_told(nursery.do("look", **where, template=world["template"], at=matrix.at(0)))[0]
    answers = Counter(answer for child in children for _, answer in only_told(child))
    return answers, end


@on_both
def test_fifty_processes_trigger_one_delivery_and_it_happens_once(
    nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path
) -> None:
    answers, end = storm(nurseries, Matrix(nurseries, tmp_path, "deliver", copies), [["2026-03"]] * TRIGGERS)
    assert answers["delivered"] == 1
    assert answers["DeliveryBusy"] + answers["was delivered before, nothing to do"] == TRIGGERS - 1, answers
    assert [row[:4] for row in end["deliveries"]] == [["2026-03", 1, "published", 310]]
    assert end["events"] == {"delivery.planned": 1, "delivery.sealed": 1, "delivery.published": 1}
    assert {name.rpartition("/")[0] for name in end["visible"]} == {f"{AGREEMENT}/2026-03/edition-1"}


@pytest.mark.soak
@on_both
def test_many_deliveries_at_once_all_happen(nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path) -> None:
    days = [str(date(2026, 1, 1) + timedelta(days=number)) for number in range(DELIVERIES)]
    orders = [days[number::AT_ONE_MOMENT] for number in range(AT_ONE_MOMENT)]
    answers, end = storm(nurseries, Matrix(nurseries, tmp_path, "days", copies), orders)
    assert answers == {"delivered": DELIVERIES}
    assert [row[:4] for row in end["deliveries"]] == [[day, 1, "published", 10] for day in days]
    assert end["events"]["delivery.published"] == DELIVERIES
    assert {name.split("/")[1] for name in end["visible"]} == set(days)
