"""What is over goes, everywhere, with the intent before and the outcome after; and nothing goes before its time."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import from_rfc3339
from core.errors import DeliveryStateError, LedgerUnavailable
from core.period import Period
from flows.steps import path, retention
from flows.steps.order import Mode
from flows.steps.retention import REMIND_DAYS, over, remind, reminder_due, remove_what_is_over
from keys import notes
from keys.roles import Role
from ledger import expiry
from ledger.checkpoints import read_checkpoints
from ledger.states import State
from ledger.verify import verify
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World
from tests.participants_world import PEOPLE, send, with_participants
from transports.directory import DirectoryTransport

END = NOW + timedelta(days=30)
NAME = f"{AGREEMENT}/2026-03/1"


@pytest.fixture
def published(world: World) -> World:
    world.conclude()
    path.run(world.services, world.order())
    return world


def state(world: World, edition: int = 1, period: Period = MARCH) -> State:
    found = world.services.ledger.get(AGREEMENT, period, edition)
    assert found is not None
    return found.state


def staged(world: World) -> list[Path]:
    return sorted(world.services.settings.staging_dir.glob("*/*/manifest.json"))


def told(world: World, action: str) -> list[tuple[str, dict[str, Any]]]:
    return [(it["result"], json.loads(it["detail"])) for it in world.events() if it["action"] == action]


def stop_at(name: str) -> Any:
    def step(step_name: str, function: Any, *args: Any) -> Any:
        if step_name == name:
            raise KeyboardInterrupt
        return function(*args)

    return step


def test_nothing_goes_before_its_time(published: World) -> None:
    published.at(END - timedelta(milliseconds=1))
    assert over(published.services) == []
    assert remove_what_is_over(published.services).gone == []
    assert published.published().is_dir()


def test_what_is_over_goes_at_the_destination_and_from_staging_and_is_recorded(published: World) -> None:
    published.at(END)
    assert [each.period for each in over(published.services)] == ["2026-03"]
    assert published.published().is_dir(), "a look changes nothing"
    assert remove_what_is_over(published.services).gone == [NAME]
    assert state(published) is State.EXPIRED
    assert published.visible_files() == []
    assert staged(published) == []
    assert [result for result, _ in told(published, "delivery.expired")] == ["intended"]
    [(result, detail)] = told(published, "delivery.removed")
    assert (result, detail["was_there"], detail["was_staged"], detail["destination"]) == ("ok", True, True, "dropzone")
    verify(published.services.engine, [])


def test_once_it_is_gone_nothing_more_happens(published: World) -> None:
    published.at(END)
    remove_what_is_over(published.services)
    before = published.events()
    published.at(END + timedelta(days=400))
    assert remove_what_is_over(published.services).gone == []
    assert published.events() == before


def test_an_edition_that_was_superseded_goes_too(published: World) -> None:
    path.run(published.services, published.order(Mode.CORRECT, "better data"))
    assert len(staged(published)) == 2
    published.at(END)
    assert sorted(remove_what_is_over(published.services).gone) == [NAME, f"{AGREEMENT}/2026-03/2"]
    assert (state(published, 1), state(published, 2)) == (State.SUPERSEDED, State.EXPIRED)
    assert published.visible_files() == []
    assert staged(published) == []


def test_the_agreement_says_how_long_and_may_be_over_itself(make_world: Any) -> None:
    world = make_world()
    document = world.document()
    document["slaProperties"] = [{"property": "retention", "value": 3, "unit": "d"}]
    document["customProperties"] = [
        item | ({"value": "2026-04-06"} if item["property"] == "gla.validUntil" else {})
        for item in document["customProperties"]
    ]
    world.conclude(document)
    path.run(world.services, world.order())
    world.at(NOW + timedelta(days=3))
    assert remove_what_is_over(world.services).gone == [NAME]
    assert world.visible_files() == []


@pytest.mark.parametrize("break_at", ["begin", "rename", "delete", "stage", "tell"])
def test_a_crash_anywhere_is_made_good_by_the_next_run(
    published: World, monkeypatch: pytest.MonkeyPatch, break_at: str
) -> None:
    published.at(END)

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if break_at == "begin":
            patch.setattr(retention, "_remove_everywhere", killed)
        elif break_at == "rename":
            patch.setattr(DirectoryTransport, "rename", killed)
        elif break_at == "delete":
            real = DirectoryTransport.delete
            patch.setattr(
                DirectoryTransport,
                "delete",
                lambda self, name: killed() if self.stat(name) and "removed" in name else real(self, name),
            )
        elif break_at == "stage":
            patch.setattr(retention, "_discard", killed)
        else:
            patch.setattr(expiry, "removed", killed)
        with pytest.raises(Killed):
            remove_what_is_over(published.services)
    assert state(published) is State.EXPIRED
    if break_at not in ("begin", "rename"):
        assert not published.published().exists(), "a recipient never sees a part of it"
    assert remove_what_is_over(published.services).gone == [NAME]
    assert published.visible_files() == []
    assert staged(published) == []
    assert len(told(published, "delivery.expired")) == len(told(published, "delivery.removed")) == 1
    verify(published.services.engine, [])


def test_one_that_cannot_be_removed_holds_up_no_other_and_is_tried_again(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    april = Period.parse("2026-02")
    path.run(published.services, published.order(period=april))
    published.at(END)
    with monkeypatch.context() as patch:
        real = DirectoryTransport.rename

        def refuse(self: DirectoryTransport, old: str, new: str) -> None:
            if "2026-03" in old:
                raise OSError(13, "no")
            real(self, old, new)

        patch.setattr(DirectoryTransport, "rename", refuse)
        for _ in range(2):
            done = remove_what_is_over(published.services)
            assert len(done.problems) == 1
    assert not published.published(period=april).exists()
    assert published.published().exists()
    failures = [detail for result, detail in told(published, "delivery.removed") if result == "failed"]
    assert len(failures) == 1, "once a day"
    assert remove_what_is_over(published.services).gone == [NAME]


def test_what_is_still_there_after_it_was_removed_is_no_success(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.at(END)
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryTransport, "delete", lambda *_: None)
        [problem] = remove_what_is_over(published.services).problems
    assert "still at the destination" in problem
    assert remove_what_is_over(published.services).gone == [NAME]


def test_without_a_ledger_nothing_is_removed(published: World, monkeypatch: pytest.MonkeyPatch) -> None:
    published.at(END)

    def unavailable(*_: Any, **__: Any) -> None:
        raise LedgerUnavailable("the database does not answer: try again")

    monkeypatch.setattr(expiry, "begin", unavailable)
    with pytest.raises(LedgerUnavailable):
        remove_what_is_over(published.services)
    assert published.published().is_dir()


def test_somebody_elses_staging_folder_beside_it_stays(published: World) -> None:
    beside = published.published().parent / ".staging-edition-2-abc"
    own = published.published().parent / ".staging-edition-1-abc"
    for folder in (beside, own):
        folder.mkdir()
        (folder / "x.age").write_bytes(b"x")
    published.at(END)
    remove_what_is_over(published.services)
    assert beside.is_dir()
    assert not own.exists()


def test_a_destination_that_is_not_mounted_is_not_taken_for_one_from_which_all_is_gone(published: World) -> None:
    folder = published.services.recipient_folder(RECIPIENT)
    away = folder.rename(folder.with_name("away"))
    folder.mkdir()
    published.at(END)
    done = remove_what_is_over(published.services)
    assert done.gone == []
    assert "nothing of it is at the destination dropzone" in done.problems[0]
    folder.rmdir()
    away.rename(folder)
    assert remove_what_is_over(published.services).gone == [NAME]
    assert published.visible_files() == []
    assert [result for result, _ in told(published, "delivery.removed")] == ["failed", "ok"]


def test_a_delivery_that_was_removed_by_hand_is_recorded_as_gone_by_the_next_run(published: World) -> None:
    shutil.rmtree(published.published())
    published.at(END)
    assert len(remove_what_is_over(published.services).problems) == 1
    assert len(staged(published)) == 1
    assert remove_what_is_over(published.services).gone == [NAME]
    assert staged(published) == []
    assert told(published, "delivery.removed")[1][1]["was_there"] is False


def test_sealed_bytes_that_never_appeared_go_when_their_manifest_ends(world: World) -> None:
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_at("publish"))
    world.at(END - timedelta(minutes=1))
    assert remove_what_is_over(world.services).gone == []
    world.at(END)
    assert len(over(world.services)) == 1
    assert remove_what_is_over(world.services).gone == [NAME]
    assert staged(world) == []
    assert told(world, "delivery.removed")[0][1]["was_staged"] is True
    assert remove_what_is_over(world.services).gone == []


@pytest.mark.parametrize("resumed", [False, True])
def test_what_appeared_without_being_recorded_goes_too(world: World, *, resumed: bool) -> None:
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_at("record"))
    assert world.published().is_dir()
    world.at(END)
    if resumed:
        path.run(world.services, world.order())
    assert remove_what_is_over(world.services).gone == [NAME]
    assert world.visible_files() == []
    assert staged(world) == []


def test_a_delivery_whose_time_ends_while_it_is_sent_does_not_appear(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_at("publish"))
    moment = END - timedelta(seconds=1)
    world.at(moment)
    world.services = replace(world.services, clock=lambda: moment)
    put = DirectoryTransport.put

    def slowly(self: DirectoryTransport, source: Path, name: str) -> Any:
        nonlocal moment
        moment = END
        return put(self, source, name)

    monkeypatch.setattr(DirectoryTransport, "put", slowly)
    with pytest.raises(DeliveryStateError, match="signed manifest"):
        path.run(world.services, world.order())
    assert world.visible_files() == []


def test_parts_of_a_failed_attempt_go_as_long_after_it(world: World) -> None:
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_at("extract, validate, seal"))
    delivery = world.services.ledger.get(AGREEMENT, MARCH, 1)
    assert delivery is not None
    left = world.services.settings.staging_dir / delivery.id / ".open-1"
    left.mkdir(parents=True)
    (left / "parts.json").write_text("{}")
    world.at(END + timedelta(minutes=1))
    assert remove_what_is_over(world.services).gone == [NAME]
    assert not left.exists()


def test_until_its_end_the_same_bytes_come_back_with_the_same_end(published: World) -> None:
    before = {file.name: file.read_bytes() for file in published.published().iterdir()}
    shutil.rmtree(published.published())
    published.at(END - timedelta(minutes=1))
    path.run(published.services, published.order(Mode.REDELIVER, "lost"))
    assert {file.name: file.read_bytes() for file in published.published().iterdir()} == before
    delivery = published.services.ledger.get(AGREEMENT, MARCH, 1)
    assert delivery is not None
    assert from_rfc3339(str(delivery.expires_at)) == END
    published.at(END)
    assert remove_what_is_over(published.services).gone == [NAME]


def test_it_has_the_same_end_while_its_correction_is_stopped(published: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        path.run(published.services, published.order(Mode.CORRECT, "wrong"), stop_at("publish"))
    shutil.rmtree(published.published())
    published.at(END - timedelta(minutes=1))
    assert path.run(published.services, published.order(Mode.REDELIVER, "lost")).edition == 1
    published.at(END)
    assert NAME in remove_what_is_over(published.services).gone
    assert not published.published().exists()
    with pytest.raises(DeliveryStateError, match="use mode correct"):
        path.run(published.services, published.order(Mode.REDELIVER, "too late"))
    assert state(published) is State.EXPIRED


@pytest.mark.parametrize("removed", [True, False])
def test_after_its_end_only_a_new_edition_helps(published: World, removed: bool) -> None:
    published.at(END)
    if removed:
        remove_what_is_over(published.services)
    before = state(published)
    with pytest.raises(DeliveryStateError, match="use mode correct"):
        path.run(published.services, published.order(Mode.REDELIVER, "too late"))
    assert state(published) is before
    assert path.run(published.services, published.order()).done_before
    assert path.run(published.services, published.order(Mode.CORRECT, "too late")).edition == 2
    assert state(published, 1) is State.SUPERSEDED
    assert published.published(2).is_dir()


def test_sealed_bytes_whose_time_is_over_are_not_published_for_the_first_time(world: World) -> None:
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_at("publish"))
    world.at(END)
    with pytest.raises(DeliveryStateError, match="signed manifest"):
        path.run(world.services, world.order())
    assert world.visible_files() == []
    assert path.run(world.services, world.order(Mode.CORRECT, "too late")).edition == 2


def test_operators_hear_in_time_of_what_nobody_fetched(published: World) -> None:
    published.at(END - timedelta(days=8))
    assert remind(published.services) == []
    published.at(END - timedelta(days=7))
    [line] = remind(published.services)
    assert NAME in line
    assert RECIPIENT in line
    assert "2026-05-05" in line
    assert remind(published.services) == []
    published.at(END - timedelta(days=1))
    assert len(remind(published.services)) == 1
    published.at(END)
    assert remind(published.services) == []
    assert [detail["days"] for _, detail in told(published, "delivery.expiring")] == [7, 2]


@pytest.mark.parametrize(
    ("days", "published_before", "expected"),
    [(7, 30, 7), (6.9, 30, 7), (2, 30, 2), (0.1, 30, 2), (7.1, 30, None), (0, 30, None), (2, 5, 2), (4, 5, None)],
)
def test_a_reminder_that_lay_before_the_publication_is_none(
    days: float, published_before: float, expected: int | None
) -> None:
    published = END - timedelta(days=published_before)
    assert reminder_due(published, END, END - timedelta(days=days)) == expected
    assert REMIND_DAYS == (7, 2)


def test_a_clock_that_was_set_back_removes_nothing_and_breaks_nothing(published: World) -> None:
    published.at(END)
    remove_what_is_over(published.services)
    published.at(NOW - timedelta(days=1))
    assert remove_what_is_over(published.services).gone == []
    assert state(published) is State.EXPIRED
    verify(published.services.engine, [])


def test_who_has_a_file_open_reads_on(published: World) -> None:
    size = (published.published() / "people.parquet.age").stat().st_size
    with (published.published() / "people.parquet.age").open("rb") as reader:
        first = reader.read(100)
        published.at(END)
        remove_what_is_over(published.services)
        assert len(first + reader.read()) == size
        assert os.fstat(reader.fileno()).st_nlink == 0


def test_reports_on_participants_go_when_a_delivery_would(world: World) -> None:
    fund = with_participants(world)
    send(fund, PEOPLE)
    send(fund, ["123"])
    folder = fund.services.recipient_folder(RECIPIENT) / AGREEMENT / "participants"
    strange = folder / "strange.json"
    strange.write_text("no report")
    assert len(list(folder.iterdir())) == 5
    fund.at(END - timedelta(minutes=1))
    assert remove_what_is_over(fund.services).reports == 0
    fund.at(END)
    assert remove_what_is_over(fund.services).reports == 2
    assert list(folder.iterdir()) == [strange]
    assert len(told(fund, "participants.report_removed")) == 2
    assert remove_what_is_over(fund.services).reports == 0
    assert [event["action"] for event in fund.events()].count("participants.accepted") == 1, "the ledger keeps it"


def test_times_of_a_real_day(published: World) -> None:
    published.at(datetime(2027, 1, 1, tzinfo=UTC))
    assert remove_what_is_over(published.services).gone == [NAME]


def test_details_of_events_go_years_after_the_delivery_ended_and_the_ledger_stays_intact(published):
    world = published
    world.at(NOW + timedelta(days=40))
    assert remove_what_is_over(world.services).events == 0
    world.at(NOW + timedelta(days=3000))
    assert remove_what_is_over(world.services).events > 5
    keys = world.services.custody.published(Role.LEDGER)
    witnesses = read_checkpoints(
        world.services.settings.checkpoints_path, lambda note, at: notes.judge(keys, note, at).require("it")
    )
    told = verify(world.services.engine, witnesses)
    assert (told.removed > 5, told.witnessed) == (True, told.events)
    assert remove_what_is_over(world.services).events == 0


def test_what_killed_processes_left_of_files_goes_after_a_day(published: World) -> None:
    home = published.home
    folders = [*(home / "evidence").iterdir(), *(home / "staging").glob("*/*/")]
    names = ("config", "keys", "challenges", "people", "dropzone", f"participants/{AGREEMENT}")
    folders += [home / name for name in names]
    folders.append(home / "dropzone/deliveries" / RECIPIENT / AGREEMENT / "participants")
    left = []
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        left.append(folder / f".{number:016x}.partial")
    others = [home / "dropzone/spool/.0123456789abcdef.partial"]  # a session's, which may last a day
    others[0].parent.mkdir(exist_ok=True)
    for each in (*left, *others):
        each.touch()
        os.utime(each, (NOW.timestamp(), NOW.timestamp()))
    published.at(NOW + timedelta(hours=23))
    remove_what_is_over(published.services)
    assert all(each.exists() for each in left)
    published.at(NOW + timedelta(hours=25))
    remove_what_is_over(published.services)
    assert not any(each.exists() for each in left)
    assert all(each.exists() for each in others)
