"""Publishing where there are only objects: the mark comes last; what was not approved is neither locked nor left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import (
    AgreementRevoked,
    DeliveryBusy,
    DestinationRefused,
    DestinationUnreachable,
    GlaError,
    LedgerUnavailable,
    ReadBackMismatch,
    StorageFull,
)
from tests.memory_transport import MemoryObjects
from transports.base import Receipt, Stat
from transports.publishing import has_appeared, publish

DELIVERY = "GLA-1/2026-03/edition-1"
MARK = "manifest.json"


class Recorder(MemoryObjects):
    """Remembers in which order things happen."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def put(self, source: Path, name: str) -> Receipt:
        self.done.append(f"put {name.rpartition('/')[2]}")
        return super().put(source, name)

    def lock(self, name: str) -> None:
        self.done.append(f"lock {name.rpartition('/')[2]}")
        super().lock(name)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ["data.age", "pakbon.age", MARK]}
    for name, path in made.items():
        path.write_bytes(name.encode() * 1000)
    return made


def test_the_mark_is_put_after_all_else_is_approved_and_locked(files: dict[str, Path]) -> None:
    far = Recorder()
    publish(far, files, DELIVERY, "1", lambda _: far.done.append("approve"))
    assert far.done == [
        "put data.age", "put pakbon.age", "approve", "lock data.age", "lock pakbon.age", f"put {MARK}", f"lock {MARK}",
    ]  # fmt: skip
    assert far.locked == set(far.files)


def test_a_mark_that_was_not_locked_yet_is_locked_when_it_is_found(files: dict[str, Path]) -> None:
    far = Recorder()
    publish(far, files, DELIVERY, "1")
    far.locked.clear()
    publish(far, files, DELIVERY, "2")
    assert far.locked == set(far.files)
    assert far.done.count(f"put {MARK}") == 1


def test_a_mark_that_is_not_as_it_was_sent_disappears_again(files: dict[str, Path]) -> None:
    class Damaging(MemoryObjects):
        def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
            yield b"x" if name.endswith(MARK) else b"".join(super().read(name, offset, size))

    far = Damaging()
    with pytest.raises(ReadBackMismatch, match=MARK):
        publish(far, files, DELIVERY, "1")
    assert not has_appeared(far, DELIVERY, MARK)


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (AgreementRevoked, False),
        (StorageFull, False),
        (LedgerUnavailable, False),
        (KeyboardInterrupt, False),
        (DestinationUnreachable, True),
        (ReadBackMismatch, True),
    ],
)
def test_what_another_attempt_can_use_stays_and_the_rest_goes(
    files: dict[str, Path], error: type[BaseException], stays: bool
) -> None:
    far = MemoryObjects()

    def fails(_receipts: tuple[Receipt, ...]) -> None:
        raise error("it failed")

    with pytest.raises(error):
        publish(far, files, DELIVERY, "1", fails)
    assert bool(far.files) is stays
    assert far.locked == set()
    assert not has_appeared(far, DELIVERY, MARK)
    publish(far, files, DELIVERY, "2")
    assert has_appeared(far, DELIVERY, MARK)


def test_a_delivery_that_another_worker_completed_meanwhile_is_not_removed(files: dict[str, Path]) -> None:
    far = MemoryObjects()

    def late(_receipts: tuple[Receipt, ...]) -> None:
        publish(far, files, DELIVERY, "2")
        raise AgreementRevoked("for this worker, since its clock is wrong")

    with pytest.raises(GlaError):
        publish(far, files, DELIVERY, "1", late)
    assert sorted(far.files) == [f"{DELIVERY}/{name}" for name in sorted(files)]


class StandsStill(MemoryObjects):
    """Stands still before its first call of one kind, while another worker goes on in the same bucket."""

    def __init__(self, before: str, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._before, self._meanwhile = before, meanwhile

    def put(self, source: Path, name: str) -> Receipt:
        self._stand_still("put")
        return super().put(source, name)

    def stat(self, name: str) -> Stat | None:
        found = super().stat(name)
        self._stand_still("stat")  # what it saw is of before
        return found

    def _stand_still(self, before: str) -> None:
        if before == self._before:
            self._before = ""
            self._meanwhile()


def lost() -> None:
    raise DeliveryBusy("another worker has it")


def test_who_was_overtaken_while_it_sent_removes_nothing_that_the_later_attempt_sent(files: dict[str, Path]) -> None:
    *others, _ = files
    far = StandsStill("put", lambda: [far.put(files[name], f"{DELIVERY}/{name}") for name in others])
    with pytest.raises(DestinationRefused, match="exists"):
        publish(far, files, DELIVERY, "1", held=lost)
    assert sorted(far.files) == [f"{DELIVERY}/{name}" for name in others]
    publish(far, files, DELIVERY, "2")
    assert has_appeared(far, DELIVERY, MARK)


def test_who_was_overtaken_before_it_sent_does_not_take_a_delivery_for_remains(files: dict[str, Path]) -> None:
    far = StandsStill("stat", lambda: publish(far, files, DELIVERY, "2"))
    with pytest.raises(DeliveryBusy):
        publish(far, files, DELIVERY, "1", held=lost)
    assert sorted(far.files) == [f"{DELIVERY}/{name}" for name in sorted(files)]


def test_a_delivery_of_the_mark_alone_is_one(files: dict[str, Path]) -> None:
    far = MemoryObjects()
    publish(far, {MARK: files[MARK]}, DELIVERY, "1")
    assert has_appeared(far, DELIVERY, MARK)
