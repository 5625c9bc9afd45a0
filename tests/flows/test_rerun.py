"""What may have happened between sealing and the moment that a delivery appears, and the way out of every state."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from agreements.rules import AgreementState
from core import errors
from core.database import writing
from core.errors import DestinationUnreachable
from flows.steps import lifecycle, path, possession, recipients
from flows.steps.order import Mode, delivery_folder
from flows.steps.retention import remind, remove_what_is_over
from flows.steps.seal import Sealed
from flows.steps.staging import new_folder
from keys.private.identities import generate_identity
from ledger.states import STOPPED
from ledger.tables import deliveries
from ledger.verify import verify
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, returned
from tests.memory_transport import MemoryObjects
from transports.base import STAGING_PREFIX
from transports.directory import DirectoryTransport
from transports.publishing import publish as publish_folder


class Stopped(Exception):
    """Ends a run between two steps."""


def stop_before(name):
    """A step runner that ends the run where the step begins."""

    def step(step_name, function, *args):
        if step_name == name:
            raise KeyboardInterrupt
        return function(*args)

    return step


def sealed_world(world):
    """A delivery that is sealed and recorded, and nowhere to be seen yet."""
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_before("publish"))
    assert world.visible_files() == []
    return world


def staged(world, edition=1):
    delivery = world.services.ledger.get(AGREEMENT, MARCH, edition)
    return world.services.settings.staging_dir / delivery.id / f"sealed-{Sealed.from_json(delivery.sealed).token}"


def change_sealed(world, change):
    """Rewrite the database row as somebody with write access to the database could."""
    delivery = world.services.ledger.get(AGREEMENT, MARCH, 1)
    value = json.loads(delivery.sealed)
    change(value)
    with writing(world.services.engine) as connection:
        connection.execute(update(deliveries).values(sealed=json.dumps(value)))


def flip_a_byte(file: Path):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def during_the_transfer(world, happening):
    """Let `happening` take place while the files are on their way."""
    transport = DirectoryTransport(world.services.recipient_folder(RECIPIENT))

    class Slow:
        def __getattr__(self, name):
            return getattr(transport, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def put(self, source, name):
            receipt = transport.put(source, name)
            if name.endswith(".sig"):
                happening()
            return receipt

    services = world.services
    world.services = _Opening(services, Slow())
    return world


class _Opening:
    """Services whose destination is another one."""

    def __init__(self, services, transport):
        self._services = services
        self._transport = transport

    def __getattr__(self, name):
        return getattr(self._services, name)

    def open_destination(self, _agreement):
        return self._transport


def test_a_worker_that_is_overtaken_while_it_sends_to_a_bucket_leaves_what_the_next_one_sent(world):
    world.conclude()
    next_one = replace(world.services, clock=lambda: NOW + timedelta(minutes=10))
    next_one = replace(next_one, ledger=replace(next_one.ledger, clock=next_one.clock))

    class Bucket(MemoryObjects):
        taken_over = False

        def put(self, source, name):
            if not self.taken_over:
                self.taken_over = True
                with pytest.raises(KeyboardInterrupt):
                    path.run(_Opening(next_one, self), world.order())
            if name.endswith("manifest.json"):
                raise KeyboardInterrupt
            return super().put(source, name)

    bucket = Bucket()
    with pytest.raises(errors.GlaError):
        path.run(_Opening(world.services, bucket), world.order())
    assert {name.rpartition("/")[2] for name in bucket.files} >= {"people.parquet.age", "manifest.json.sig"}


@pytest.mark.parametrize("file", ["people.parquet.age", "manifest.json", "manifest.json.sig", "pakbon.json.age"])
def test_staged_bytes_that_changed_never_become_visible(world, file):
    flip_a_byte(staged(sealed_world(world)) / file)
    with pytest.raises(errors.DeliveryStateError, match="use mode correct"):
        path.run(world.services, world.order())
    assert world.visible_files() == []


@pytest.mark.parametrize("lose", [shutil.rmtree, lambda folder: (folder / "manifest.json").unlink()])
def test_a_delivery_whose_staged_bytes_are_lost_can_be_corrected(world, lose):
    lose(staged(sealed_world(world)))
    with pytest.raises(errors.DeliveryStateError, match="use mode correct"):
        path.run(world.services, world.order())
    outcome = path.run(world.services, world.order(Mode.CORRECT, "the staging disk was lost"))
    assert outcome.edition == 2
    assert not world.published(1).exists()
    manifest = json.loads((world.published(2) / "manifest.json").read_bytes())
    assert manifest["supersedes"] is None, "the recipient never saw edition 1"
    assert world.services.ledger.get(AGREEMENT, MARCH, 1).state == "superseded"


def test_a_published_delivery_that_can_not_be_redelivered_can_be_corrected(world):
    world.conclude()
    path.run(world.services, world.order())
    shutil.rmtree(staged(world))
    shutil.rmtree(world.published())
    with pytest.raises(errors.DeliveryStateError, match="use mode correct"):
        path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    assert path.run(world.services, world.order(Mode.CORRECT, "lost here too")).edition == 2
    assert json.loads((world.published(2) / "manifest.json").read_bytes())["supersedes"] == 1


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def state_of(world, edition):
    return world.services.ledger.get(AGREEMENT, MARCH, edition).state


def corrected_in_vain(world):
    """Edition 1 was published; its correction was stopped; and the recipient lost what it had."""
    world.conclude()
    path.run(world.services, world.order())
    before, source = contents(world.published()), world.source.read_bytes()
    world.source.write_bytes(b"not a Parquet file")
    with pytest.raises(errors.GlaError):
        path.run(world.services, world.order(Mode.CORRECT, "one amount was wrong"))
    world.source.write_bytes(source)
    assert state_of(world, 2) in STOPPED
    shutil.rmtree(world.published())
    return before


def test_while_its_correction_is_stopped_a_delivery_comes_again(world):
    before = corrected_in_vain(world)
    outcome = path.run(world.services, world.order(Mode.REDELIVER, "lost by the recipient"))
    assert (outcome.edition, outcome.done_before, contents(world.published())) == (1, False, before)
    assert state_of(world, 1) == "published"
    assert state_of(world, 2) in STOPPED
    assert path.run(world.services, world.order()).edition == 2, "the correction goes on"
    assert json.loads((world.published(2) / "manifest.json").read_bytes())["supersedes"] == 1
    assert [state_of(world, edition) for edition in (1, 2)] == ["superseded", "published"]
    assert path.run(world.services, world.order(Mode.REDELIVER, "lost")).edition == 2, "the newest that was published"
    verify(world.services.engine, [])


def test_a_redelivery_that_was_stopped_too_is_tried_again_with_the_same_word(world):
    before = corrected_in_vain(world)
    services = world.services

    class Gone(DirectoryTransport):
        def put(self, source, name):
            raise DestinationUnreachable("gone")

    world.services = _Opening(services, Gone(services.recipient_folder(RECIPIENT)))
    with pytest.raises(DestinationUnreachable):
        path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    world.services = services
    assert state_of(world, 1) == "failed"
    assert path.run(world.services, world.order(Mode.REDELIVER, "lost")).edition == 1
    assert contents(world.published()) == before
    assert path.run(world.services, world.order()).edition == 2


def test_while_its_correction_is_unfinished_a_delivery_does_not_come_again(world):
    world.conclude()
    path.run(world.services, world.order())
    first = world.services.ledger.get(AGREEMENT, MARCH, 1)
    died = world.services.ledger.claim(
        AGREEMENT, MARCH, 2, worker="dead", lease_seconds=120, actor="tester", reason="wrong",
        agreement_digest=first.agreement_digest, recipient=first.recipient, product=first.product,
    )  # fmt: skip
    with pytest.raises(errors.DeliveryBusy):
        path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    world.services.ledger.release(died)
    with pytest.raises(errors.DeliveryStateError, match="newer edition, 2: work on that one"):
        path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    assert path.run(world.services, world.order()).edition == 2


def test_a_folder_that_was_altered_at_the_destination_is_not_overwritten_and_can_be_replaced(world):
    world.conclude()
    path.run(world.services, world.order())
    before = (world.published() / "people.parquet.age").read_bytes()
    flip_a_byte(world.published() / "people.parquet.age")
    with pytest.raises(errors.ReadBackMismatch, match="remove it, and resume"):
        path.run(world.services, world.order(Mode.REDELIVER, "it does not open"))
    shutil.rmtree(world.published())
    path.run(world.services, world.order())
    assert (world.published() / "people.parquet.age").read_bytes() == before


def test_bytes_sealed_to_a_key_that_was_revoked_since_are_not_published(world):
    sealed_world(world)
    recipients.revoke(world.services, RECIPIENT, world.identity.recipient.fingerprint)
    with pytest.raises(errors.KeyUnusable):
        path.run(world.services, world.order())
    assert world.visible_files() == []


def test_bytes_sealed_to_two_keys_of_which_one_was_revoked_are_sealed_again_to_the_other(world):
    second = generate_identity("hybrid")
    [added] = recipients.register(world.services, RECIPIENT, "90000102", [str(second.recipient)], [])
    possession.prove(world.services, RECIPIENT, returned(world.services, added, second))
    world.conclude()
    path.run(world.services, world.order())
    shutil.rmtree(world.published())
    recipients.revoke(world.services, RECIPIENT, second.recipient.fingerprint)
    with pytest.raises(errors.KeyUnusable, match="use mode correct"):
        path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    assert world.visible_files() == []
    path.run(world.services, world.order(Mode.CORRECT, "a key was revoked"))
    assert world.published(2).is_dir()


def lose_what_is_staged(world):
    shutil.rmtree(staged(world))


def revoke_the_key(world):
    recipients.revoke(world.services, RECIPIENT, world.identity.recipient.fingerprint)


@pytest.mark.parametrize("happening", [lose_what_is_staged, revoke_the_key])
def test_a_redelivery_that_is_refused_leaves_what_the_recipient_has_as_it_is(world, happening):
    world.conclude()
    path.run(world.services, world.order())
    happening(world)
    with pytest.raises(errors.GlaError, match=r"use mode correct|is revoked"):
        path.run(world.services, world.order(Mode.REDELIVER, "it does not open"))
    assert state_of(world, 1) == "published"
    verify(world.services.engine, [])
    world.at(NOW + timedelta(days=29))
    assert len(remind(world.services)) == 1
    world.at(NOW + timedelta(days=31))
    remove_what_is_over(world.services)
    assert state_of(world, 1) == "expired"


def appeared_world(world):
    """A delivery that its recipient sees, and whose worker died before that was recorded; sealed to two keys."""
    second = generate_identity("hybrid")
    [added] = recipients.register(world.services, RECIPIENT, "90000102", [str(second.recipient)], [])
    possession.prove(world.services, RECIPIENT, returned(world.services, added, second))
    world.conclude()
    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop_before("record"))
    assert (world.published().exists(), state_of(world, 1)) == (True, "failed")
    return world


@pytest.mark.parametrize("lost", [False, True])
def test_what_appeared_is_recorded_whatever_stands_against_publishing_it_now(world, lost):
    before = contents(appeared_world(world).published())
    recipients.revoke(world.services, RECIPIENT, world.identity.recipient.fingerprint)
    if lost:
        shutil.rmtree(staged(world))
    assert not path.run(world.services, world.order()).done_before
    assert (state_of(world, 1), contents(world.published())) == ("published", before)
    path.run(world.services, world.order(Mode.CORRECT, "a key was revoked"))
    assert json.loads((world.published(2) / "manifest.json").read_bytes())["supersedes"] == 1
    verify(world.services.engine, [])


def test_what_appeared_is_not_corrected_before_that_is_recorded(world):
    appeared_world(world)
    with pytest.raises(errors.DeliveryStateError, match="appeared, and that was not recorded yet: resume it first"):
        path.run(world.services, world.order(Mode.CORRECT, "the source was mended"))
    assert world.services.ledger.latest_edition(AGREEMENT, MARCH) == 1, "and nothing was begun"
    path.run(world.services, world.order())
    assert path.run(world.services, world.order(Mode.CORRECT, "the source was mended")).edition == 2
    assert [state_of(world, edition) for edition in (1, 2)] == ["superseded", "published"]


def test_what_appeared_and_was_altered_is_not_recorded_as_ours(world):
    flip_a_byte(appeared_world(world).published() / "people.parquet.age")
    with pytest.raises(errors.ReadBackMismatch, match="remove it, and resume"):
        path.run(world.services, world.order())
    assert state_of(world, 1) == "failed"


def test_a_worker_that_lost_its_delivery_does_not_record_that_it_appeared(world):
    appeared_world(world)

    def taken_over(name, function, *args):
        if name == "publish":
            with writing(world.services.engine) as connection:
                connection.execute(update(deliveries).values(token=deliveries.c.token + 1))
        return function(*args)

    with pytest.raises(errors.DeliveryBusy):
        path.run(world.services, world.order(), step=taken_over)


def test_a_first_attempt_looks_once_whether_it_stands_there(world, monkeypatch):
    world.conclude()
    looks, stat = [], DirectoryTransport.stat
    monkeypatch.setattr(DirectoryTransport, "stat", lambda self, name: looks.append(name) or stat(self, name))
    path.run(world.services, world.order())
    assert looks.count(delivery_folder(AGREEMENT, str(MARCH), 1)) == 1


def test_a_revocation_while_the_files_are_on_their_way_stops_them(world):
    sealed_world(world)
    services = world.services

    def revoke():
        lifecycle.stop(services, AGREEMENT, AgreementState.REVOKED, "wrong recipient", "tester")

    during_the_transfer(world, revoke)
    with pytest.raises(errors.AgreementRevoked):
        path.run(world.services, world.order())
    assert world.visible_files() == []


def test_a_worker_that_lost_its_delivery_while_it_sent_the_files_makes_nothing_appear(world):
    sealed_world(world)

    def take_over():
        with writing(world.services.engine) as connection:
            connection.execute(update(deliveries).values(token=deliveries.c.token + 1))

    during_the_transfer(world, take_over)
    with pytest.raises(errors.DeliveryBusy):
        path.run(world.services, world.order())
    assert world.visible_files() == []


def test_a_worker_that_lost_its_delivery_never_makes_the_half_written_files_of_the_next_one_appear(world):
    """The first worker compared everything and is about to rename when the second one begins to stage."""
    sealed_world(world)
    folder = staged(world)
    files = {file.name: file for file in folder.iterdir()}
    transport = DirectoryTransport(world.services.recipient_folder(RECIPIENT))
    target = delivery_folder(AGREEMENT, str(MARCH), 1)
    delivery = world.services.ledger.get(AGREEMENT, MARCH, 1)
    seen = []

    def second_begins(_receipts):
        class Cut(DirectoryTransport):
            def put(self, source, name):
                seen.append(name)
                raise SystemExit  # killed at its first file

        with pytest.raises(SystemExit):
            publish_folder(Cut(transport._root), files, target, f"{delivery.id}2")
        (transport._root / seen[0]).parent.mkdir()

    with pytest.raises(errors.DestinationRefused):
        publish_folder(transport, files, target, f"{delivery.id}1", second_begins)
    assert world.visible_files() == []


def test_each_attempt_has_a_staging_folder_of_its_own_at_the_destination(world):
    world.conclude()
    names = []

    class Watched(DirectoryTransport):
        def put(self, source, name):
            names.append(name.split("/")[-2])
            raise DestinationUnreachable("gone")

    services = world.services
    world.services = _Opening(services, Watched(services.recipient_folder(RECIPIENT)))
    for _ in range(2):
        with pytest.raises(DestinationUnreachable):
            path.run(world.services, world.order())
    assert len(set(names)) == 2
    assert all(name.startswith(f"{STAGING_PREFIX}edition-1-") for name in names)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(token="1/../../other/sealed-1"),
        lambda value: value["files"].update({"../../../gla.db": [1, "0" * 64]}),
        lambda value: value["files"].pop("pakbon.json.age"),
        lambda value: value.pop("files"),
    ],
)
def test_a_database_row_names_no_other_files_to_publish(world, change):
    change_sealed(sealed_world(world), change)
    with pytest.raises(errors.GlaError):
        path.run(world.services, world.order())
    assert world.visible_files() == []


def test_the_sealed_files_of_another_period_are_not_published_under_this_one(world):
    sealed_world(world)
    april = replace(world.order(), period=MARCH.parse("2026-02"))
    path.run(world.services, april)
    other = world.services.ledger.get(AGREEMENT, april.period, 1)
    ours = staged(world)
    shutil.rmtree(ours)
    shutil.copytree(world.services.settings.staging_dir / other.id / "sealed-1", ours)
    change_sealed_to = json.loads(other.sealed)
    mine = world.services.ledger.get(AGREEMENT, MARCH, 1)
    with writing(world.services.engine) as connection:
        change = {**change_sealed_to, "token": Sealed.from_json(mine.sealed).token}
        statement = update(deliveries).where(deliveries.c.id == mine.id)
        connection.execute(statement.values(sealed=json.dumps(change)))
    with pytest.raises(errors.DeliveryStateError):
        path.run(world.services, world.order())
    assert not world.published().exists()


def test_what_dead_attempts_left_in_staging_goes_when_the_delivery_is_sealed_again(tmp_path):
    for name in (".open-1", "sealed-2", ".open-4"):
        (tmp_path / "delivery" / name).mkdir(parents=True)
    with new_folder(tmp_path, "delivery", 3, lambda _earlier, _folder: None):
        pass
    assert sorted(item.name for item in (tmp_path / "delivery").iterdir()) == [".open-4", "sealed-3"]


def test_a_publication_whose_worker_died_before_its_checkpoint_gets_one_when_it_is_asked_for_again(world):
    world.conclude()
    path.run(world.services, world.order())
    world.services.settings.checkpoints_path.unlink()
    assert path.run(world.services, world.order()).done_before
    assert world.services.settings.checkpoints_path.read_bytes().count(b"\n") == 1
