"""What is done to a delivery while it is killed: a small world in which it can be done, doing it, and its end.

Everything here runs in a child of `tests.crash.nursery`. A world is prepared once, and copied for each try; whoever
tries again does what an operator or a scheduler would, from what is there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Mode, Order
from flows.steps.retention import remove_what_is_over
from flows.steps.seal import Sealed
from flows.wiring import Services, open_services
from keys import notes
from keys.private.custody import Role
from keys.private.identities import parse_identities
from keys.private.opening import open_envelope
from ledger.checkpoints import read_checkpoints
from ledger.deliveries import all_by_id
from ledger.events import in_order
from ledger.states import DELIVERED
from ledger.verify import verify
from schemas.manifest import PAKBON
from tests.crash.points import normal
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World, make_world_in
from tests.flows.test_delivery_parts import march
from tests.flows.test_mutations import mutation_document, raise_amounts

FEBRUARY = Period.parse("2026-02")
AFTER_THE_LEASE = timedelta(minutes=10)
_ONCE = {
    "delivery.planned", "delivery.sealed", "delivery.published", "delivery.superseded", "delivery.skipped",
    "delivery.expired", "delivery.removed", "delivery.reopened",
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """`starts` is when the first try begins."""

    starts: datetime = NOW

    def rows(self) -> int:
        return 900  # until the end of March

    def document(self, world: World) -> dict[str, Any]:
        return world.document()

    def before(self, world: World) -> None:
        """What was done before the part that is killed."""

    def do(self, services: Services) -> str:
        return _delivered(services, Mode.RESUME)


class Parts(Scenario):
    """Two files, each written by a thread."""

    def document(self, world: World) -> dict[str, Any]:
        march(1_500).write_parquet(world.source)
        return world.document(parts={"rows": 1_000})

    def before(self, world: World) -> None:
        world.services.custody.person_digest_keys()  # that they are made is seen elsewhere; here two threads would


class Skipped(Scenario):
    def rows(self) -> int:
        return 300  # until the end of January

    def document(self, world: World) -> dict[str, Any]:
        return world.document(empty="skip")


class Redelivered(Scenario):
    def before(self, world: World) -> None:
        path.run(world.services, world.order())
        shutil.rmtree(world.published())

    def do(self, services: Services) -> str:
        delivery = services.ledger.get(AGREEMENT, MARCH, 1)
        assert delivery is not None
        seen = (services.recipient_folder(RECIPIENT) / AGREEMENT / "2026-03" / "edition-1").exists()
        lost = delivery.state in DELIVERED and not seen
        return _delivered(services, Mode.REDELIVER if lost else Mode.RESUME)


class Corrected(Scenario):
    def before(self, world: World) -> None:
        path.run(world.services, world.order())
        amounts = pl.read_parquet(world.source).with_columns(pl.col("amount") + 1)
        amounts.write_parquet(world.source)

    def do(self, services: Services) -> str:
        begun = services.ledger.latest_edition(AGREEMENT, MARCH) == 2
        return _delivered(services, Mode.RESUME if begun else Mode.CORRECT)


class Mutated(Scenario):
    def rows(self) -> int:
        return 60  # all of which are told: no row is chosen by the period

    def document(self, world: World) -> dict[str, Any]:
        return mutation_document(world)

    def before(self, world: World) -> None:
        path.run(world.services, world.order(period=FEBRUARY))
        raise_amounts(1, 2)(pl.read_parquet(world.source)).write_parquet(world.source)


class Removed(Scenario):
    """Two editions that are over, and one that was sealed and never appeared."""

    def before(self, world: World) -> None:
        path.run(world.services, world.order())
        path.run(world.services, world.order(Mode.CORRECT, "better data"))

        def stop(name: str, function: Any, *given: Any) -> Any:
            if name == "publish":
                raise KeyboardInterrupt
            return function(*given)

        try:
            path.run(world.services, world.order(period=FEBRUARY), stop)
        except KeyboardInterrupt:
            return

    def do(self, services: Services) -> str:
        removed = remove_what_is_over(services)
        assert not removed.problems, removed.problems
        return "removed"


class Days(Scenario):
    """Enough rows for 200 deliveries of one day each."""

    def rows(self) -> int:
        return 2_000


SCENARIOS: dict[str, Scenario] = {
    "deliver": Scenario(),
    "parts": Parts(),
    "skip": Skipped(),
    "redeliver": Redelivered(),
    "correct": Corrected(),
    "mutations": Mutated(),
    "retention": Removed(NOW + timedelta(days=31)),
}
WORLDS = SCENARIOS | {"days": Days(NOW + timedelta(days=120))}


def prepare(name: str, folder: Path, url: str | None) -> None:
    """Make the world of a scenario in `folder`."""
    scenario = WORLDS[name]
    world = make_world_in(folder)(scenario.rows(), "x25519", url)
    (folder / "identity").write_text(world.identity.secret_text())
    world.conclude(scenario.document(world))
    scenario.before(world)
    world.services.engine.dispose()


def services_of(home: Path, url: str | None, moment: datetime) -> Services:
    return open_services(Settings(home=home, database_url=url), lambda: moment)


def glimpse(services: Services) -> dict[str, Any]:
    """What stands there between two tries: the record of sealed bytes, and what the recipient sees."""
    with services.engine.connect() as connection:
        sealed = {f"{it.period}/{it.edition}": it.sealed for it in all_by_id(connection)}
    return {"sealed": sealed, "visible": _visible(services)}


def end(services: Services, folder: Path) -> dict[str, Any]:
    """All that must be the same at the end, wherever a worker was killed; asserts what must hold of any end."""
    with services.engine.connect() as connection:
        found = sorted(all_by_id(connection), key=lambda it: (it.period, it.edition))
    identities = parse_identities((folder / "identity").read_text())
    plain: dict[str, Any] = {}
    for it in found:
        edition = services.recipient_folder(RECIPIENT) / AGREEMENT / it.period / f"edition-{it.edition}"
        if it.sealed is None or not edition.exists():
            continue
        for name, (size, digest) in Sealed.from_json(it.sealed).files.items():
            content = (edition / name).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), "the recorded bytes"
            if name.endswith(".age"):
                plain[f"{it.period}/{it.edition}/{name}"] = _plain(edition / name, identities)
    keys = services.custody.published(Role.LEDGER)
    path_of_checkpoints = services.settings.checkpoints_path
    checkpoints = read_checkpoints(path_of_checkpoints, lambda note, at: notes.judge(keys, note, at).require("it"))
    verified = verify(services.engine, checkpoints)
    assert verified.witnessed == verified.events, "the end of the ledger is in the second place"
    return {
        "deliveries": [
            [it.period, it.edition, it.state.value, it.rows, it.worker, it.reason, it.error, it.supersedes is None]
            for it in found
        ],
        "visible": _visible(services),
        "tree": _tree(services.settings.home),
        "plain": plain,
        "events": _told(services),
    }


def _delivered(services: Services, mode: Mode) -> str:
    order = Order(AGREEMENT, MARCH, "tester", mode, "" if mode is Mode.RESUME else "lost or wrong")
    return path.run(services, order).result


def _visible(services: Services) -> list[str]:
    """Files in folders that a recipient is shown."""
    root = services.recipient_folder(RECIPIENT)
    names = [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]
    return sorted(name for name in names if "/." not in f"/{name}")


def _tree(home: Path) -> dict[str, int]:
    """Every file and folder below `home`, so that nothing is left over; how many of each.

    But for drafts (`core.files`): one that never got its name lies beside its place, and is read by nobody.
    """
    names = [normal(str(each.relative_to(home))) for each in home.rglob("*")]
    counted = Counter(name for name in names if not name.startswith("gla.db") and not name.endswith(".partial"))
    return dict(sorted(counted.items()))


def _told(services: Services) -> dict[str, int]:
    """How often each thing happened, but for what a worker that died leaves to be done again."""
    with services.engine.connect() as connection:
        actions = Counter(event.body.action for event in in_order(connection))
    return {action: count for action, count in sorted(actions.items()) if action in _ONCE}


def _plain(file: Path, identities: Any) -> Any:
    """The digest of what is in it; of the pakbon what does not differ from try to try, of its page nothing."""
    with file.open("rb") as source:
        content = open_envelope(source, identities).read()
    if file.name == f"{PAKBON}.age":
        told = json.loads(content)
        return {name: told[name] for name in ("rows", "sums", "files", "edition")}
    return hashlib.sha256(content).hexdigest() if file.name.startswith("people") else len(content) > 0
