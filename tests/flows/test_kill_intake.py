"""kill -9 before any file is opened for writing, renamed or removed while a list is taken; then it is taken again."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.clock import dutch_date, utc_now
from core.database import reading
from core.settings import Settings
from flows.steps import participant_sets
from flows.steps.incoming import take_incoming
from flows.wiring import open_services
from keys.private.custody import Role
from keys.sshsig import Namespace, verify_by
from ledger.verify import verify
from schemas.accounts import ticket_name
from schemas.participants import ParticipantsReport
from tests.crash.fixtures import nursery
from tests.crash.nursery import Nursery
from tests.delivery_world import AGREEMENT, RECIPIENT, make_world_in
from tests.participants_world import PEOPLE, as_csv, sealed_for_us, with_participants
from tests.soak import examples

__all__ = ["nursery"]

MOMENTS = 31  # there are 27; a run that outlives its moment has found them all
EVERY = 6 // examples(1, soak=6)  # in `make test` every sixth moment, in `make soak` each

WORKER = """
import os, signal, sys
from core.settings import Settings
from flows.steps.incoming import take_incoming
from flows.wiring import open_services

services = open_services(Settings())
left = int(sys.argv[1])

def watch(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.remove", "os.link", "os.mkdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
take_incoming(services)
"""


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a list in its drop zone."""
    folder = tmp_path_factory.mktemp("intake")
    days = {"validFrom": utc_now() - timedelta(days=9), "validUntil": utc_now() + timedelta(days=9)}
    terms = {name: f"{day:%Y-%m-%d}" for name, day in days.items()}
    fund = with_participants(make_world_in(folder, clock=utc_now)(rows=1), PEOPLE[:2], **terms)
    fund.services.custody.person_digest_keys()
    content = sealed_for_us(fund, as_csv(PEOPLE[:2]))
    area = fund.services.incoming_folder / RECIPIENT / AGREEMENT
    (area / "deelnemers.csv.age").write_bytes(content)
    signature = fund.signer.sign(content, f"gla-participants:{AGREEMENT}:deelnemers.csv.age")
    (area / "deelnemers.csv.age.sig").write_text(signature)
    for name in ("deelnemers.csv.age", "deelnemers.csv.age.sig"):
        (area / ticket_name(name)).write_bytes(b"{}")
    fund.services.engine.dispose()
    return fund.home


def killed_at(nursery: Nursery, home: Path, moment: int) -> int:
    answer = nursery.do("script", code=WORKER, arguments=[str(moment)], home=home)
    assert answer["status"] in (0, -signal.SIGKILL), answer
    return int(answer["status"])


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(1, MOMENTS, EVERY))
def test_a_killed_intake_is_done_again_with_one_set_and_its_report(
    nursery: Nursery, waiting: Path, tmp_path: Path, moment: int
) -> None:
    home = shutil.copytree(waiting, tmp_path / "home")
    killed_at(nursery, home, moment)
    services = open_services(Settings(home=home))
    take_incoming(services)
    with reading(services.engine) as connection:
        (made,) = participant_sets.history(connection, AGREEMENT)
    assert participant_sets.in_force([made], dutch_date(utc_now())) == made
    assert participant_sets.load(services, AGREEMENT, made).count == 2
    report = services.recipient_folder(RECIPIENT) / AGREEMENT / "participants" / "set-000001.json"
    assert ParticipantsReport.from_bytes(report.read_bytes()).participants == made
    key = services.custody.public_key(Role.MANIFEST).fingerprint
    verify_by(report.with_name(f"{report.name}.sig").read_text(), report.read_bytes(), Namespace.PARTICIPANTS, key)
    for _ in range(2):  # what is left without its file goes in time, and then the tickets of that
        take_incoming(replace(services, clock=lambda: utc_now() + timedelta(hours=1)))
    assert [file for file in services.incoming_folder.rglob("*") if file.is_file()] == []
    verify(services.engine, [])
    services.engine.dispose()


def test_there_are_moments_at_which_it_is_killed_and_one_after_all_of_them(
    nursery: Nursery, waiting: Path, tmp_path: Path
) -> None:
    homes = {moment: shutil.copytree(waiting, tmp_path / str(moment)) for moment in (1, MOMENTS)}
    assert [killed_at(nursery, home, moment) for moment, home in homes.items()] == [-signal.SIGKILL, 0]
