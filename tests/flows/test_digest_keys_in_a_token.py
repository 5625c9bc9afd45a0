"""What is kept of people stays known when its key moves into a token, which is asked in one session for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from apps.cli.keys import keys
from apps.cli.subject import subject
from core.database import reading, writing
from core.errors import KeyUnusable, ParticipantsUnusable
from core.ids import new_id
from flows.steps import participant_sets
from flows.steps.order import Mode
from flows.steps.own_keys import rotate_own
from flows.steps.path import run
from flows.steps.people import set_name, set_path
from flows.steps.seal import Sealed
from flows.steps.subjects import ask, checked_number
from keys.private.people import seal_people
from keys.roles import Role
from ledger import deliveries
from schemas.bsn_set import BsnSet
from tests.delivery_world import AGREEMENT, MARCH, World
from tests.participants_world import PEOPLE as MEMBERS
from tests.participants_world import send, with_participants
from tests.servers.softhsm import PIN, SoftToken, logins, make_token, token
from tests.subjects_world import OTHERS, PEOPLE, rows, with_clients

__all__ = ["logins", "make_token", "token"]

pytestmark = pytest.mark.server
ROLE = Role.PERSON_DIGESTS


@pytest.fixture
def delivered(world: World) -> World:
    """March was delivered with a key in a file."""
    clients = with_clients(world, rows(PEOPLE))
    run(clients.services, clients.order())
    return clients


@pytest.fixture
def moved(delivered: World, token: SoftToken) -> World:
    """The key is in the token now, and March was delivered again with it."""
    move(delivered, token.uri("first"))
    run(delivered.services, delivered.order(Mode.CORRECT, "once more"))
    return delivered


def move(world: World, uri: str) -> None:
    rotate_own(world.services, ROLE, uri, "tester")
    world.set_keys(person_digests=uri)


def editions(world: World, number: str) -> list[int]:
    answer = ask(world.services, checked_number(number), "access", "tester", "zaak 12")
    assert answer.unanswered == []
    return [each.delivery.edition for each in answer.found]


def cli(world: World, command, *arguments: str, **options: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=world.services.settings, **options)


def multiply(world: World, number: int) -> None:
    """So many more deliveries like the last one, each with a set of its own."""
    key, people = world.services.custody.person_digest_keys()[0], BsnSet()
    people.mark(np.array([int(each) for each in PEOPLE], dtype=np.uint32))
    with reading(world.services.engine) as connection:
        last = max(deliveries.all_by_id(connection), key=lambda each: each.edition)
    assert last.sealed is not None
    sealed = Sealed.from_json(last.sealed)
    with writing(world.services.engine) as connection:
        for edition in range(100, 100 + number):
            made = new_id()
            with set_path(world.services, made, sealed.token).open("wb") as file:
                kept = seal_people(file, key, set_name(made, sealed.token), people.count, people.prefixes())
            again = replace(sealed, people=vars(kept)).to_json()
            deliveries.create(connection, replace(last, id=made, edition=edition, sealed=again))


def test_people_are_found_by_the_key_in_the_file_and_by_those_in_the_token(moved: World, token: SoftToken) -> None:
    assert editions(moved, PEOPLE[0]) == [1, 2]
    move(moved, token.uri("second"))
    run(moved.services, moved.order(Mode.CORRECT, "and again"))
    assert editions(moved, PEOPLE[0]) == [1, 2, 3]
    assert editions(moved, OTHERS[0]) == []


def test_a_correction_knows_the_same_data_again_after_the_move(delivered: World, token: SoftToken) -> None:
    move(delivered, token.uri())
    assert run(delivered.services, delivered.order(Mode.CORRECT, "once more")).same_as == 1
    assert run(delivered.services, delivered.order(Mode.CORRECT, "and again")).same_as in (1, 2)


def test_a_question_takes_one_session_for_the_key_and_one_for_all_deliveries(moved: World, logins: list[str]) -> None:
    multiply(moved, 700)
    logins.clear()
    assert len(editions(moved, PEOPLE[0])) == 702
    assert logins == ["first", "first"]


def test_an_earlier_key_in_a_token_is_asked_only_for_what_was_made_with_it(
    moved: World, token: SoftToken, logins: list[str]
) -> None:
    move(moved, token.uri("second"))
    run(moved.services, moved.order(Mode.CORRECT, "and again"))
    logins.clear()
    assert editions(moved, PEOPLE[0]) == [1, 2, 3]
    assert logins == ["second", "second", "first", "first"]


def test_a_question_with_a_wrong_pin_or_without_the_token_has_no_answer(moved: World, token: SoftToken) -> None:
    arguments = ("--reason", "zaak 12")
    token.pin_file.write_text("0000\n")
    refused = cli(moved, subject, *arguments, input=f"{PEOPLE[0]}\n")
    assert isinstance(refused.exception, KeyUnusable)
    assert "the PIN is wrong: correct what pin-source names" in str(refused.exception)
    token.pin_file.write_text(f"{PIN}\n")
    assert cli(moved, subject, *arguments, input=f"{PEOPLE[0]}\n").exit_code == 0
    moved.set_keys(person_digests=SoftToken("another", token.module, token.pin_file).uri())
    refused = cli(moved, subject, *arguments, input=f"{PEOPLE[0]}\n")
    assert "there is no such token: plug it in" in str(refused.exception)


def test_a_delivery_that_cannot_keep_its_people_is_not_made(moved: World, token: SoftToken) -> None:
    token.pin_file.write_text("0000\n")
    with pytest.raises(KeyUnusable, match="the PIN is wrong"):
        run(moved.services, moved.order(Mode.CORRECT, "and again"))
    token.pin_file.write_text(f"{PIN}\n")
    assert editions(moved, PEOPLE[0]) == [1, 2]
    assert moved.services.ledger.get(AGREEMENT, MARCH, 3).sealed is None  # type: ignore[union-attr]


def test_participants_of_before_and_after_the_move_are_known(world: World, token: SoftToken) -> None:
    fund = with_participants(world)
    send(fund, [MEMBERS[0]])
    move(fund, token.uri("first"))
    send(fund, [MEMBERS[1]], "deelnemers.additions.csv.age")
    move(fund, token.uri("second"))
    with reading(fund.services.engine) as connection:
        first, second = participant_sets.history(connection, AGREEMENT)
    loaded = [participant_sets.load(fund.services, AGREEMENT, each).count for each in (first, second)]
    assert loaded == [1, 2]
    (fund.home / "keys" / "person-digests.earlier").write_text("")
    for each in (first, second):
        with pytest.raises(ParticipantsUnusable, match="and our keys"):
            participant_sets.load(fund.services, AGREEMENT, each)


def test_the_commands_make_replace_and_list_a_key_in_a_token(delivered: World, token: SoftToken) -> None:
    replaced = cli(delivered, keys, "rotate-own", ROLE.value, "--to", token.uri())
    assert replaced.exit_code == 0, replaced.output
    assert f"set {ROLE.setting} to the new place" in replaced.output
    delivered.set_keys(person_digests=token.uri())
    listed = cli(delivered, keys, "inventory").output.splitlines()
    old, new = (
        listed.index(f"us: {ROLE}, HMAC secret of 256 bits, {each.fingerprint}")
        for each in delivered.services.custody.published(ROLE)
    )
    assert "replaced" in listed[old + 1]
    assert listed[new + 1].endswith(", token")
