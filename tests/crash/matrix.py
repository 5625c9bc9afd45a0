"""A scenario is done once undisturbed, which numbers its points; then once for each point, killed there and done again.

A try that follows a killed one passes points of its own (it takes over, it cleans up). Each of those that no try has
been killed at is tried too, after the kill that led to it, until no run knows a point that was not visited.
"""

from __future__ import annotations

import itertools
import re
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tests.crash.nursery import Nursery

AT_ONCE = 2  # nurseries, each with one child at a time
AFTER_THE_LEASE = timedelta(minutes=10)

_SAMPLED = 4
_TRIES = 10
_PATIENCE = 1.5  # seconds; a writer waits for another one for twenty times as long

Copy = Callable[[str | None], str | None]
"""Makes a database like the one at a URL, or an empty one; its URL, or None where it is a file below the home."""


def no_database(_: str | None) -> None:
    """SQLite, in the home itself."""


@dataclass
class Tried:
    """One way through: what each run passed, what stood there between them, and the end."""

    killed_at: tuple[str, ...]
    points: list[tuple[str, int]]  # of the last run: the name of each, and the state of the world there
    glimpses: list[dict[str, Any]]
    end: dict[str, Any]


@dataclass
class Matrix:
    """Runs of one scenario, each in a copy of one world."""

    nurseries: SimpleQueue[Nursery]
    folder: Path
    scenario: str
    copy: Copy = no_database
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        template = self.folder / "template"
        template.mkdir()
        self._url = self.copy(None)
        with self.a_nursery() as nursery:
            answer = nursery.do("prepare", scenario=self.scenario, folder=template, url=self._url)
        self._template, self._starts = template, datetime.fromisoformat(only_told(answer)[0])

    @contextmanager
    def a_nursery(self) -> Iterator[Nursery]:
        nursery = self.nurseries.get()
        try:
            yield nursery
        finally:
            self.nurseries.put(nursery)

    def world(self) -> dict[str, Any]:
        """A copy of the prepared one, as a job of a nursery names it."""
        home = self.folder / f"home-{next(self._numbers)}"
        shutil.copytree(self._template / "home", home)
        return {"scenario": self.scenario, "template": self._template, "home": home, "url": self.copy(self._url)}

    def at(self, number: int) -> datetime:
        """When the `number`-th run begins: the lease of the one before it has run out."""
        return self._starts + number * AFTER_THE_LEASE

    def tried(self, *killed_at: str) -> Tried:
        """A run for each point of `killed_at`, killed there, and one to the end.

        Two parts are staged side by side, so a run after a killed one may miss a point that another such run passed:
        then all is done again.
        """
        found = next(filter(None, (self._tried(*killed_at) for _ in range(_TRIES))), None)
        assert found is not None, (killed_at, "the last point was not passed")
        return found

    def _tried(self, *killed_at: str) -> Tried | None:
        world, glimpses = self.world(), []
        with self.a_nursery() as nursery:
            for number, chosen in enumerate(killed_at):
                answer = nursery.do("attempt", **world, at=self.at(number), chosen=chosen)
                if number and answer["status"] == 0:
                    shutil.rmtree(world["home"])
                    return None
                assert answer["status"] == -signal.SIGKILL, (killed_at, answer)
                glimpses.append(answer["told"][0]["before"])
            answer = nursery.do("attempt", **world, at=self.at(len(killed_at)), chosen=None)
        told = only_told(answer, killed_at)
        shutil.rmtree(world["home"])
        points = [(each["point"], each["state"]) for each in told if "point" in each]
        return Tried(killed_at, points, [*glimpses, told[0]["before"], told[-1]["after"]], told[-1]["end"])

    def outlived(self, point: str, meanwhile: Callable[[Callable[[], Any]], None]) -> Tried:
        """A run that stands still at `point` while `meanwhile` happens, and then goes on; and one more, to the end.

        `meanwhile` is given what does another run after the lease of the first, and awaits it for some seconds.
        """
        world = self.world()
        with self.a_nursery() as nursery, self.a_nursery() as other:
            stopped = nursery.do("attempt", **world, at=self.at(0), chosen=point, how="SIGSTOP")
            assert stopped["status"] == "stopped", (point, stopped["status"], stopped["told"][-1:])
            begun = []

            def another() -> None:
                other.begin("attempt", **world, at=self.at(1), chosen=None)
                begun.append(other)
                other.has_answer(_PATIENCE)  # it may have to wait for what the first one holds

            meanwhile(another)
            answers = [nursery.do("continue"), *(each.answer() for each in begun)]
            last = only_told(nursery.do("attempt", **world, at=self.at(2), chosen=None), point)
        for answer in answers:
            assert answer["status"] == 0 or _ours(answer["told"][-1]["error"]), (point, answer["told"][-1])
        shutil.rmtree(world["home"])
        return Tried((point,), [], [last[0]["before"], last[-1]["after"]], last[-1]["end"])

    def refused_a_page(
        self, world: dict[str, Any], pages: int | None = None, make_room: Callable[[], None] = lambda: None
    ) -> Tried | None:
        """A run that finds the disk of its database full, and another one when there is room; None if it never was.

        `pages`: so many SQLite may add; without it the database is full in a way of its own, until `make_room`.
        """
        with self.a_nursery() as nursery:
            answer = nursery.do("attempt", **world, at=self.at(0), chosen=None, pages=pages)
            if answer["status"] == 0:
                return None
            assert "LedgerUnavailable" in answer["told"][-1]["error"].splitlines()[-1], answer["told"][-1]
            make_room()
            told = only_told(nursery.do("attempt", **world, at=self.at(1), chosen=None), pages)
        shutil.rmtree(world["home"])
        return Tried((f"the disk was full after {pages}",), [], [told[0]["before"], told[-1]["after"]], told[-1]["end"])

    def explored(self, *, deep: bool, known: Container[str] | None = None) -> list[Tried]:
        """The undisturbed run, then one for each point that it passes; `deep`: that any run passes.

        `known`: steps that are killed at elsewhere, of which a sample is enough (`sample`).
        """
        found = [self.tried()]
        passed = points_of(found[0])
        visited = set() if known is None else set(passed) - sample(passed, known)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while to_visit := _new(found, visited):
                visited |= to_visit.keys()
                found += pool.map(lambda ways: self.tried(*ways), to_visit.values())
                if not deep:
                    break
        return found


def _ours(trace: str) -> bool:
    """Whether it ended as a run does that lost its delivery, or the database."""
    return trace.splitlines()[-1].startswith(("core.errors.DeliveryBusy: ", "core.errors.LedgerUnavailable: "))


def _new(found: list[Tried], visited: set[str]) -> dict[str, tuple[str, ...]]:
    """Points that no run was killed at, each with the way to it."""
    ways: dict[str, tuple[str, ...]] = {}
    for each in found:
        for point in points_of(each):
            if point not in visited:
                ways.setdefault(point, (*each.killed_at, point))
    return ways


def points_of(tried: Tried) -> list[str]:
    """The points of its last run, but for one that leaves the world as the next one finds it: they are the same."""
    later = [*tried.points[1:], ("", None)]
    return [name for (name, state), (_, then) in zip(tried.points, later, strict=True) if state != then]


def step_of(point: str) -> str:
    """What it does to which file, whatever the edition and the time: points of one step differ in those."""
    return re.sub(r"\d+", "N", point.rpartition(" #")[0])


def sample(points: list[str], known: Container[str]) -> set[str]:
    """The first point of each step that is not `known`, and of all others every fourth, from the end back."""
    first: dict[str, str] = {}
    for point in points:
        if (step := step_of(point)) not in known:
            first.setdefault(step, point)
    new = set(first.values())
    return new | set([point for point in reversed(points) if point not in new][::_SAMPLED])


def only_told(answer: Any, *about: Any) -> list[Any]:
    """What a child told that came to its end."""
    assert answer["status"] == 0, (*about, answer["status"], answer.get("by"), answer["told"][-1:])
    told: list[Any] = answer["told"]
    return told


def problems(found: list[Tried]) -> list[str]:
    """The same end after every kill, the same sealed bytes from when they were recorded, and never a part in sight."""
    whole = defaultdict(list)
    for glimpse in found[0].glimpses:
        for name, files in _folders(glimpse["visible"]).items():
            whole[name].append(files)
    return [f"{' and '.join(each.killed_at)}: {line}" for each in found for line in _wrong(each, found[0].end, whole)]


def _wrong(tried: Tried, end: dict[str, Any], whole: dict[str, list[list[str]]]) -> Iterator[str]:
    for name, wanted in end.items():
        if tried.end[name] != wanted:
            yield f"the end is another one, {name}: {_difference(tried.end[name], wanted)}"
    recorded: dict[str, str] = {}
    for glimpse in tried.glimpses:
        for delivery, sealed in glimpse["sealed"].items():
            if (delivery in recorded or sealed is not None) and recorded.setdefault(delivery, sealed) != sealed:
                yield f"{delivery} was sealed again"
        for name, files in _folders(glimpse["visible"]).items():
            if files not in whole[name]:
                yield f"a part was in sight: {name}: {files}"


def _difference(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {name: (one.get(name), other.get(name)) for name in one | other if one.get(name) != other.get(name)}
    return one, other


def _folders(files: list[str]) -> dict[str, list[str]]:
    folders = defaultdict(list)
    for name in files:
        folder, _, file = name.rpartition("/")
        folders[folder].append(file)
    return folders
