"""Whose data went where: every delivery keeps who was in it, and `gla subject` answers for one person."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apps.cli.subject import subject
from core.errors import KeyUnusable, UnusableInput
from core.period import Period
from flows.steps import people, subjects
from flows.steps.order import Mode, Order
from flows.steps.path import run
from flows.steps.people import attempts
from flows.steps.people_retention import forget_people
from flows.steps.retention import remove_what_is_over
from flows.steps.subjects import Answer, ask, checked_number
from keys.private.rotation import rotate
from keys.roles import Role
from ledger.states import State
from ledger.store import Ledger
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World
from tests.flows.test_rerun import stop_before
from tests.security.scanner import hits
from tests.subjects_world import (
    EVERYBODY,
    LAW,
    OTHERS,
    PARTNERS,
    PEOPLE,
    PURPOSE,
    conclude,
    document,
    rows,
    set_rows,
    with_clients,
)

FEBRUARY = Period.parse("2026-02")


@pytest.fixture
def clients(world: World) -> World:
    """An agreement that is in force over rows in March and April; nothing was delivered yet."""
    return with_clients(world, rows(PEOPLE), rows(OTHERS, date(2026, 4, 1)))


@pytest.fixture
def delivered(clients: World) -> World:
    run(clients.services, clients.order())
    return clients


def asked(world: World, number: str, **terms: Any) -> Answer:
    return ask(world.services, checked_number(number), terms.get("purpose", "access"), "tester", "zaak 12")


def found(world: World, number: str) -> list[str]:
    answer = asked(world, number)
    assert answer.unanswered == []
    return [each.delivery.name.removeprefix(f"delivery:{AGREEMENT}/") for each in answer.found]


def run_cli(world: World, number: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        subject, ["--reason", "zaak 12", *arguments], obj=world.services.settings, input=f"{number}\n"
    )


def test_everybody_in_a_delivery_is_found_and_nobody_else(delivered: World) -> None:
    assert all(found(delivered, number) == ["2026-03/1"] for number in (*PEOPLE[::20], PEOPLE[-1], *PARTNERS))
    assert not any(found(delivered, number) for number in OTHERS[::10])


def test_every_edition_that_was_published_counts(delivered: World) -> None:
    set_rows(delivered, rows(PEOPLE[100:]), rows(OTHERS, date(2026, 4, 1)))
    run(delivered.services, delivered.order(Mode.CORRECT, "wrong rows"))
    assert found(delivered, PEOPLE[0]) == ["2026-03/1"]
    assert found(delivered, PEOPLE[-1]) == ["2026-03/1", "2026-03/2"]


def test_what_was_sealed_and_never_sent_was_not_delivered(clients: World, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Ledger.advance

    def sealed_only(self: Ledger, claim: Any, state: State, *told: Any, **columns: Any) -> Any:
        if state is State.PUBLISHING:
            raise KeyUnusable("not today")
        return advance(self, claim, state, *told, **columns)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "advance", sealed_only)
        with pytest.raises(KeyUnusable):
            run(clients.services, clients.order())
    assert len(attempts(clients.services)) == 1
    assert found(clients, PEOPLE[0]) == []
    run(clients.services, clients.order())
    assert found(clients, PEOPLE[0]) == ["2026-03/1"]


def stopped_before_record(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(world.services, world.order(), step=stop_before("record"))
    assert world.published().exists()


def test_who_is_in_what_appeared_unrecorded_is_not_said_to_be_nowhere(clients: World) -> None:
    stopped_before_record(clients)
    answer = asked(clients, PEOPLE[0])
    assert (answer.found, [name for name, _ in answer.unanswered]) == ([], [f"{AGREEMENT}/2026-03/1"])
    assert "resume it and ask again" in answer.unanswered[0][1]
    assert found(clients, OTHERS[0]) == [], "who is not in it need not wait"
    run(clients.services, clients.order())
    assert found(clients, PEOPLE[0]) == ["2026-03/1"]


def test_who_was_in_what_appeared_unrecorded_is_known_after_it_was_removed(clients: World) -> None:
    stopped_before_record(clients)
    clients.at(NOW + timedelta(days=40))
    assert remove_what_is_over(clients.services).gone == [f"{AGREEMENT}/2026-03/1"]
    assert "count it as delivered" in asked(clients, PEOPLE[0]).unanswered[0][1]
    assert found(clients, OTHERS[0]) == []
    clients.at(NOW + timedelta(days=clients.services.settings.delivery.people_retention_days + 41))
    assert forget_people(clients.services) == 1


def test_a_set_cannot_be_written_so_nothing_is_recorded_or_published(
    clients: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(people, "new_file", full)
        with pytest.raises(Exception, match="disk is full"):
            run(clients.services, clients.order())
    assert clients.visible_files() == []
    delivery = clients.services.ledger.get(AGREEMENT, MARCH, 1)
    assert delivery is not None
    assert delivery.sealed is None
    run(clients.services, clients.order())
    assert found(clients, PEOPLE[0]) == ["2026-03/1"]


def test_what_an_attempt_left_that_broke_off_is_replaced(clients: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flows.steps.seal.mark", dies)
        with pytest.raises(KeyboardInterrupt):
            run(clients.services, clients.order())
    (first,) = attempts(clients.services)
    run(clients.services, clients.order())
    (second,) = attempts(clients.services)
    assert second != first
    assert found(clients, PEOPLE[0]) == ["2026-03/1"]


def test_a_delivery_without_rows_and_one_about_nobody_have_no_set(clients: World) -> None:
    set_rows(clients, rows(PEOPLE))
    run(clients.services, clients.order(period=FEBRUARY))
    conclude(clients, document(clients, "GLA-2026-0008", rule=False))
    run(clients.services, Order("GLA-2026-0008", MARCH, "tester"))
    assert attempts(clients.services) == []
    answer = asked(clients, PEOPLE[0])
    assert (answer.searched, answer.nobody, answer.unanswered) == (0, 1, [])


def test_sets_stay_readable_after_our_key_was_replaced_and_not_without_the_old_one(delivered: World) -> None:
    custody = delivered.services.custody
    before = custody.path(Role.PERSON_DIGESTS).read_bytes()
    rotate(custody, Role.PERSON_DIGESTS)
    run(delivered.services, delivered.order(Mode.CORRECT, "once more"))
    assert found(delivered, PEOPLE[0]) == ["2026-03/1", "2026-03/2"]
    path = custody.path(Role.PERSON_DIGESTS)
    path.write_bytes(path.read_bytes().removesuffix(before))
    answer = asked(delivered, PEOPLE[0])
    assert [each.delivery.edition for each in answer.found] == [2]
    ((name, why),) = answer.unanswered
    assert name == f"{AGREEMENT}/2026-03/1"
    assert "put it back" in why


@pytest.mark.parametrize("damage", ["gone", "cut", "changed", "another's"])
def test_a_set_that_is_not_as_it_was_recorded_is_no_answer(delivered: World, damage: str) -> None:
    (path,) = attempts(delivered.services)
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        run(delivered.services, delivered.order(Mode.CORRECT, "once more"))
        first, second = sorted(attempts(delivered.services), key=lambda each: each != path)
        first.write_bytes(second.read_bytes())
    answer = asked(delivered, PEOPLE[0])
    assert [name for name, _ in answer.unanswered] == [f"{AGREEMENT}/2026-03/1"]
    result = run_cli(delivered, PEOPLE[0])
    assert result.exit_code == 1
    assert f"Not known: {AGREEMENT}/2026-03/1" in result.output


def test_what_the_ledger_says_of_a_set_cannot_be_changed_unseen(delivered: World) -> None:
    from sqlalchemy import text

    from core.database import writing

    with writing(delivered.services.engine) as connection:
        change = "UPDATE deliveries SET sealed = replace(sealed, '\"people\": 210', '\"people\": 209')"
        assert connection.execute(text(change)).rowcount == 1
    assert [why for _, why in asked(delivered, PEOPLE[0]).unanswered]


UNREADABLE = {
    "no JSON": lambda sealed: "{",
    "another form": lambda sealed: json.dumps({**sealed, "files": ["x"]}),
    "a name that is a path": lambda sealed: json.dumps({**sealed, "files": {"../x": [1, ""]}}),
    "no set": lambda sealed: json.dumps({**sealed, "people": "x"}),
    "no shape of a set": lambda sealed: json.dumps({**sealed, "people": {**sealed["people"], "bits": 70}}),
    "no size of a set": lambda sealed: json.dumps({**sealed, "people": {**sealed["people"], "room": 10**30}}),
    "no attempt": lambda sealed: json.dumps({**sealed, "token": None}),
}


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_delivery_whose_record_cannot_be_read_is_told_and_the_others_are_answered(
    delivered: World, damage: Callable[[dict[str, Any]], str]
) -> None:
    from sqlalchemy import text

    from core.database import writing

    for number in (1, 2):
        run(delivered.services, replace(delivered.order(Mode.CORRECT, "again"), reason=f"again {number}"))
    with writing(delivered.services.engine) as connection:
        sealed = connection.execute(text("SELECT sealed FROM deliveries WHERE edition = 2")).scalar_one()
        new = {"sealed": damage(json.loads(sealed))}
        connection.execute(text("UPDATE deliveries SET sealed = :sealed WHERE edition = 2"), new)
    answer = asked(delivered, PEOPLE[0])
    assert ([each.delivery.edition for each in answer.found], answer.searched) == ([1, 3], 2)
    ((name, why),) = answer.unanswered
    assert (name, "run gla ledger verify" in why) == (f"{AGREEMENT}/2026-03/2", True)
    result = run_cli(delivered, PEOPLE[0])
    assert result.exit_code == 1
    assert f"Not known: {AGREEMENT}/2026-03/2: " in result.output


def test_each_record_is_read_once(delivered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read, from_json = [], subjects.Sealed.from_json
    monkeypatch.setattr(subjects.Sealed, "from_json", lambda text: read.append(text) or from_json(text))
    rotate(delivered.services.custody, Role.PERSON_DIGESTS)
    assert found(delivered, PEOPLE[0]) == ["2026-03/1"]
    assert len(read) == 1


def test_a_delivery_of_before_there_were_sets_is_said_to_be_unknown(delivered: World) -> None:
    from sqlalchemy import text

    from core.database import writing

    with writing(delivered.services.engine) as connection:
        sealed = connection.execute(text("SELECT sealed FROM deliveries")).scalar_one()
        value = {name: each for name, each in json.loads(sealed).items() if name != "people"}
        connection.execute(text("UPDATE deliveries SET sealed = :sealed"), {"sealed": json.dumps(value)})
    ((_, why),) = asked(delivered, PEOPLE[0]).unanswered
    assert "before" in why


def test_the_question_is_recorded_without_the_person(delivered: World) -> None:
    asked(delivered, PEOPLE[0], purpose="correction")
    event = delivered.events()[-1]
    assert (event["action"], event["actor"], event["object"]) == ("subject.asked", "tester", "subject")
    assert json.loads(event["detail"]) == {"for": "correction", "reason": "zaak 12", "searched": 1, "unanswered": 0}


def test_what_cannot_be_recorded_is_not_answered(delivered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.errors import LedgerUnavailable

    def closed(*_: object, **__: object) -> None:
        raise LedgerUnavailable("the database is away")

    monkeypatch.setattr("ledger.store.Ledger.record", closed)
    with pytest.raises(LedgerUnavailable):
        asked(delivered, PEOPLE[0])


@pytest.mark.parametrize(
    "text", ["", "12345678", "123456789", "000000000", "1234567822", "99999 0019", "+99990019", "x"]
)
def test_what_is_no_citizen_number_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UnusableInput) as caught:
        checked_number(text)
    assert not text or text not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_number_is_shown_by_nothing() -> None:
    number = checked_number(PEOPLE[0])
    assert PEOPLE[0] not in f"{number} {number!r} {[number]}"


@pytest.mark.parametrize("reason", ["over {}", "BSN: {}.", "{0:.3}.{0:.3}", " "])
def test_a_reason_names_nobody(delivered: World, reason: str) -> None:
    number = PEOPLE[0]
    text = f"{number[:3]}.{number[3:6]}.{number[6:]}" if ".3" in reason else reason.format(number)
    with pytest.raises(UnusableInput) as caught:
        ask(delivered.services, checked_number(number), "access", "tester", text)
    assert number not in str(caught.value)


def test_the_answer_tells_to_whom_when_why_and_by_which_law(delivered: World) -> None:
    output = run_cli(delivered, PEOPLE[0]).output
    for word in (RECIPIENT, "KvK 90000102", "2026-04-05 12:00", AGREEMENT, PURPOSE, LAW, "clients", "2026-03"):
        assert word in output
    told = json.loads(run_cli(delivered, PEOPLE[0], "--json").output)
    assert told["searched"] == 1
    (row,) = told["deliveries"]
    assert row["purpose"] == PURPOSE
    assert row["legal_basis"] == [LAW]
    assert row["delivered"].startswith("2026-04-05T12:00:00")
    nobody = run_cli(delivered, OTHERS[0])
    assert "nothing about this person was delivered" in nobody.output
    assert nobody.exit_code == 0


def test_a_correction_lists_each_recipient_once(delivered: World) -> None:
    run(delivered.services, delivered.order(Mode.CORRECT, "once more"))
    told = json.loads(run_cli(delivered, PEOPLE[0], "--correction", "--json").output)
    (row,) = told["recipients"]
    assert row["recipient"] == RECIPIENT
    assert row["deliveries"] == [f"{AGREEMENT}/2026-03/1", f"{AGREEMENT}/2026-03/2"]
    assert row["fetched"] is False
    assert "not fetched as far as we know" in run_cli(delivered, PEOPLE[0], "--correction").output


def test_rows_for_the_logboek_have_its_fields_and_no_readable_number(delivered: World, tmp_path: Path) -> None:
    run(delivered.services, delivered.order(Mode.CORRECT, "once more"))
    for number in PEOPLE[:2]:
        assert run_cli(delivered, number, "--logboek", str(tmp_path / f"{number}.jsonl")).exit_code == 0
    first, second = (
        [json.loads(line) for line in (tmp_path / f"{number}.jsonl").read_text().splitlines()] for number in PEOPLE[:2]
    )
    subjects = []
    for row in (*first, *second):
        assert re.fullmatch(r"[0-9a-f]{32}", row["trace_id"])
        assert re.fullmatch(r"[0-9a-f]{16}", row["operation_id"])
        assert row["status_code"] == 1
        assert row["start_time"] <= row["end_time"] == int(NOW.timestamp() * 1000)
        attributes = {each["key"]: each["value"] for each in row["attributes"]}
        assert attributes["dpl.core.processing_activity_id"] == f"urn:gla:agreement:{AGREEMENT}"
        subjects.append(attributes["dpl.core.data_subject_id"])
    assert len(first) == 2
    assert len(set(subjects)) == 4, "the same person is told apart in each delivery"
    text = "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert not any(number in text for number in PEOPLE)


def test_no_number_is_in_any_file_after_deliveries_and_questions(delivered: World) -> None:
    output = delivered.home / "output.txt"
    output.write_text(run_cli(delivered, PEOPLE[0]).output + run_cli(delivered, PEOPLE[0], "--json").output)
    forms = [number.encode() for number in EVERYBODY]
    for first, second in pairwise(PEOPLE):  # as arrays of numbers have them
        forms += [int(first).to_bytes(8, order) for order in ("little", "big")]
        forms += [int(first).to_bytes(4, order) + int(second).to_bytes(4, order) for order in ("little", "big")]
    pattern = re.compile(b"|".join(re.escape(form) for form in forms), re.DOTALL)
    assert hits(delivered.home, {"a number": pattern}) == []


def test_people_are_forgotten_by_a_rule_of_their_own_and_that_is_told(delivered: World) -> None:
    days = delivered.services.settings.delivery.people_retention_days
    delivered.at(NOW + timedelta(days=days - 1))
    assert forget_people(delivered.services) == 0
    assert found(delivered, PEOPLE[0]) == ["2026-03/1"]
    delivered.at(NOW + timedelta(days=days + 1))
    assert forget_people(delivered.services) == 1
    assert forget_people(delivered.services) == 0
    assert attempts(delivered.services) == []
    ((_, why),) = asked(delivered, PEOPLE[0]).unanswered
    assert "its retention was over" in why
    forgotten = [json.loads(each["detail"]) for each in delivered.events() if each["action"] == "people.forgotten"]
    assert forgotten == [{"people": 210}]


def test_a_set_of_what_will_never_be_published_goes_with_its_staged_bytes(
    clients: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyUnusable("not today")

    with monkeypatch.context() as patch:
        patch.setattr("flows.steps.path.publish", broken)
        with pytest.raises(KeyUnusable):
            run(clients.services, clients.order())
    assert forget_people(clients.services) == 0
    clients.at(NOW + timedelta(days=40))
    remove_what_is_over(clients.services)
    assert attempts(clients.services) == []
    assert found(clients, PEOPLE[0]) == [], "it never stood there"


def test_many_deliveries_are_searched_in_a_batch(delivered: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.steps.subjects._AT_ONCE", 2)
    for edition in range(2, 6):
        run(delivered.services, replace(delivered.order(Mode.CORRECT, "again"), reason=f"again {edition}"))
    assert len(found(delivered, PEOPLE[0])) == 5
