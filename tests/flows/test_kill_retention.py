"""kill -9 before any file is renamed, removed or written while receipts are taken and what is over is removed."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from core.canonical import sha256_hex
from core.settings import Settings
from flows.steps import path
from flows.steps.receipts import take_receipts
from flows.steps.retention import remove_what_is_over
from flows.wiring import open_services
from ledger.receipts import cases
from ledger.states import State
from ledger.verify import verify
from tests.crash.fixtures import nursery
from tests.crash.nursery import Nursery
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, make_world_in
from tests.participants_world import PEOPLE, send, with_participants
from tests.soak import examples

__all__ = ["nursery"]

MOMENTS = 32  # there are some thirty; a run that outlives its moment has found them all
EVERY = 10 // examples(1, soak=10)  # in `make test` every tenth moment, in `make soak` each
LATER = NOW + timedelta(days=30)

WORKER = f"""
import os, signal, sys
from core.clock import from_rfc3339
from core.settings import Settings
from flows.steps.receipts import take_receipts
from flows.steps.retention import remove_what_is_over
from flows.wiring import open_services

services = open_services(Settings(), lambda: from_rfc3339("{LATER.isoformat()}"))
left = int(sys.argv[1])

def watch(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.remove", "os.rmdir", "os.link", "os.mkdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
take_receipts(services)
remove_what_is_over(services)
"""


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a delivery that is over, a report that is too, and two receipts that wait."""
    fund = with_participants(make_world_in(tmp_path_factory.mktemp("retention"))(rows=1), PEOPLE[:2])
    send(fund, PEOPLE[:2])
    path.run(fund.services, fund.order())
    digest = sha256_hex((fund.published() / "manifest.json").read_bytes())
    for name, text in (("a.ack", digest), ("b.nack", f"{digest}\ndamaged")):
        file = fund.services.receipts_folder / RECIPIENT / name
        file.write_text(text)
        os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    fund.services.engine.dispose()
    return fund.home


def killed_at(nursery: Nursery, home: Path, moment: int) -> int:
    answer = nursery.do("script", code=WORKER, arguments=[str(moment)], home=home)
    assert answer["status"] in (0, -signal.SIGKILL), answer
    return int(answer["status"])


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(EVERY // 2 or 1, MOMENTS, EVERY))
def test_a_run_that_is_killed_is_done_again_with_each_thing_once(
    nursery: Nursery, over: Path, tmp_path: Path, moment: int
) -> None:
    home = shutil.copytree(over, tmp_path / "home")
    killed_at(nursery, home, moment)
    services = open_services(Settings(home=home), lambda: LATER)
    visible = services.recipient_folder(RECIPIENT) / AGREEMENT / str(MARCH) / "edition-1"
    assert not visible.exists() or len(list(visible.iterdir())) == 5, "all of it, or nothing"
    take_receipts(services)
    remove_what_is_over(services)
    delivery = services.ledger.get(AGREEMENT, MARCH, 1)
    assert delivery is not None
    assert delivery.state is State.EXPIRED
    actions = [event.body.action for event in services.ledger.events_of(delivery.id)]
    for action in ("delivery.confirmed", "delivery.rejected", "delivery.expired", "delivery.removed"):
        assert actions.count(action) == 1, action
    assert len(cases(services.engine)) == 1
    for folder in (services.recipient_folder(RECIPIENT), services.receipts_folder, services.settings.staging_dir):
        assert [file for file in folder.rglob("*") if file.is_file()] == []
    verify(services.engine, [])
    services.engine.dispose()


def test_there_are_moments_at_which_it_is_killed_and_one_after_all_of_them(
    nursery: Nursery, over: Path, tmp_path: Path
) -> None:
    homes = {moment: shutil.copytree(over, tmp_path / str(moment)) for moment in (1, MOMENTS)}
    assert [killed_at(nursery, home, moment) for moment, home in homes.items()] == [-signal.SIGKILL, 0]
