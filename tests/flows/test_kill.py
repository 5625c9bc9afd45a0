"""kill -9 at every point of the path, in a real process; another one then resumes. Invariant 4 of the design."""

from __future__ import annotations

import hashlib
import json
import signal
from datetime import timedelta

import pytest

from core.errors import DeliveryBusy
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.seal import Sealed
from keys import notes
from keys.private.custody import Role
from keys.private.opening import open_envelope
from ledger.checkpoints import read_checkpoints
from ledger.verify import verify
from tests.crash.fixtures import nursery
from tests.delivery_world import AGREEMENT, MARCH, NOW, make_world_in

__all__ = ["nursery"]

STEPS = ["agree", "extract, validate, seal", "publish", "record"]
FILES = ["manifest.json", "manifest.json.sig", "pakbon.html.age", "pakbon.json.age", "people.parquet.age"]

# Arguments: the moment (before, after, or within a step), the name of the step, and the mode of the run.
WORKER = """
import os, signal, sys
from dataclasses import fields
from datetime import datetime
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Mode, Order
from flows.wiring import Services, open_services

when, where, mode, now = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def step(name, function, *args):
    if (when, where) == ("before", name):
        die()
    result = function(*args)
    if (when, where) == ("after", name):
        die()
    return result

def progress(rows, size):
    if when == "within":
        die()

class WithoutCheckpoint(Services):
    def checkpoint(self):
        die()

services = open_services(Settings(), lambda: datetime.fromisoformat(now))
if where == "checkpoint":
    services = WithoutCheckpoint(**{field.name: getattr(services, field.name) for field in fields(services)})
order = Order("GLA-2026-0007", Period.parse("2026-03"), "tester", Mode(mode), "lost" if mode != "resume" else "")
path.run(services, order, step, progress)
"""


def killed(nursery, world, when, where, mode="resume"):
    """Run a worker that is killed where it is told to."""
    arguments = [when, where, mode, NOW.isoformat()]
    answer = nursery.do("script", code=WORKER, arguments=arguments, home=world.home)
    assert answer["status"] == -signal.SIGKILL, answer


def plain_digest(world):
    with (world.published() / "people.parquet.age").open("rb") as file:
        return hashlib.sha256(open_envelope(file, [world.identity]).read()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a run that nobody kills delivers."""
    world = make_world_in(tmp_path_factory.mktemp("undisturbed"))()
    world.conclude()
    path.run(world.services, world.order())
    return plain_digest(world)


def resume(world):
    """Another process, when the lease of the first one has run out."""
    world.at(NOW + timedelta(minutes=10))
    return path.run(world.services, world.order())


def check_end(world, undisturbed, sealed):
    """The same end wherever the worker was killed; `sealed` is what the ledger held of it then."""
    delivery = world.services.ledger.get(AGREEMENT, MARCH, 1)
    assert (delivery.state, delivery.worker, delivery.rows) == ("published", None, 310)
    assert world.services.ledger.latest_edition(AGREEMENT, MARCH) == 1
    assert world.visible_files() == [f"{AGREEMENT}/2026-03/edition-1/{name}" for name in FILES]
    assert plain_digest(world) == undisturbed
    if sealed is not None:
        assert delivery.sealed == sealed, "once sealed, the same ciphertext"
    for name, (size, digest) in Sealed.from_json(delivery.sealed).files.items():
        content = (world.published() / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)
    (folder,) = (world.services.settings.staging_dir / delivery.id).iterdir()
    assert folder.name == f"sealed-{Sealed.from_json(delivery.sealed).token}"
    keys = world.services.custody.published(Role.LEDGER)
    checkpoints = read_checkpoints(
        world.services.settings.checkpoints_path, lambda note, at: notes.judge(keys, note, at).require("it")
    )
    told = verify(world.services.engine, checkpoints)
    assert told.witnessed == told.events, "the end of the ledger is witnessed"


def published_events(world):
    return sum(event["action"] == "delivery.published" for event in world.events())


@pytest.mark.parametrize(
    ("when", "where"),
    [
        *((when, step) for step in STEPS for when in ("before", "after")),
        ("within", "extract, validate, seal"),
        ("before", "checkpoint"),
    ],
)
def test_a_worker_killed_anywhere_leaves_a_delivery_that_resumes_to_the_same_end(
    nursery, world, undisturbed, when, where
):
    world.conclude()
    killed(nursery, world, when, where)
    sealed = world.services.ledger.get(AGREEMENT, MARCH, 1).sealed
    whole = [f"{AGREEMENT}/2026-03/edition-1/{name}" for name in FILES]
    assert world.visible_files() in ([], whole), "never a part"
    outcome = resume(world)
    assert outcome.done_before is ((when, where) in {("before", "checkpoint"), ("after", "record")})
    assert published_events(world) == 1
    check_end(world, undisturbed, sealed)


@pytest.mark.parametrize(("when", "where"), [("after", "agree"), ("before", "publish"), ("after", "publish")])
def test_a_redelivery_killed_anywhere_resumes_to_the_same_bytes(nursery, world, undisturbed, when, where):
    world.conclude()
    path.run(world.services, world.order())
    sealed = world.services.ledger.get(AGREEMENT, MARCH, 1).sealed
    for item in world.published().iterdir():
        item.unlink()
    world.published().rmdir()
    killed(nursery, world, when, where, "redeliver")
    world.at(NOW + timedelta(minutes=10))
    state = world.services.ledger.get(AGREEMENT, MARCH, 1).state
    again = (Mode.REDELIVER, "lost") if state == "published" else (Mode.RESUME, "")
    path.run(world.services, world.order(*again))
    check_end(world, undisturbed, sealed)


def test_the_second_worker_waits_until_the_lease_of_the_first_has_run_out(nursery, world):
    world.conclude()
    killed(nursery, world, "before", "publish")
    with pytest.raises(DeliveryBusy):
        path.run(world.services, world.order())
    assert json.loads(world.events()[-1]["detail"])["error"] == "DeliveryBusy"
