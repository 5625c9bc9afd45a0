"""What recipients put into `receipts/` is recorded once, by its digest; what is no receipt stops nobody."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.canonical import sha256_hex
from core.errors import SignerUnknown, UnusableInput
from flows.steps import arrivals, path
from flows.steps.accounts import write_accounts
from flows.steps.order import Mode
from flows.steps.receipts import Came, receive, take_receipts
from flows.steps.recipients import register
from keys.private.signing import Signer
from keys.sshsig import Namespace
from ledger.receipts import cases
from ledger.states import State
from schemas.accounts import Upload, ticket_name
from tests.delivery_world import AGREEMENT, MARCH, RECIPIENT, World

QUIET = 61  # seconds: longer than a file without a ticket, or without a signature, is waited for


@pytest.fixture
def published(world: World) -> World:
    world.conclude()
    path.run(world.services, world.order())
    return world


def area(world: World) -> Path:
    return world.services.receipts_folder / RECIPIENT


def digest(world: World, edition: int = 1) -> str:
    return sha256_hex((world.published(edition) / "manifest.json").read_bytes())


def put(world: World, name: str, content: bytes | str, *, ticket: bool = False, age: int = QUIET) -> Path:
    """A file of `age` seconds in the recipient's folder."""
    file = area(world) / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    written = world.services.clock().timestamp() - age
    os.utime(file, (written, written))
    if ticket:
        moment = "2026-04-05T12:00:00.000Z"
        told = Upload(
            recipient=RECIPIENT, size=file.stat().st_size, address="192.0.2.1", session="0" * 32,
            fingerprint="SHA256:x", started=moment, ended=moment,
        )  # fmt: skip
        (area(world) / ticket_name(name)).write_bytes(told.to_bytes())
    return file


def sign(world: World, content: str, signer: Signer | None = None, namespace: str = Namespace.RECEIPT) -> str:
    return (signer or world.signer).sign(content.encode(), namespace)


def state(world: World, edition: int = 1) -> State:
    found = world.services.ledger.get(AGREEMENT, MARCH, edition)
    assert found is not None
    return found.state


def told(world: World, action: str) -> list[dict[str, Any]]:
    return [json.loads(event["detail"]) for event in world.events() if event["action"] == action]


def left(world: World) -> list[str]:
    return sorted(file.name for file in area(world).iterdir())


def test_everyone_who_may_log_in_has_a_place_for_receipts(published: World) -> None:
    area(published).rmdir()
    write_accounts(published.services)
    assert left(published) == []


def test_a_plain_receipt_confirms_the_delivery_and_goes(published: World) -> None:
    put(published, "march.ack", f"{digest(published)}  manifest.json\n", ticket=True)
    assert take_receipts(published.services) == 1
    assert state(published) is State.CONFIRMED
    [detail] = told(published, "delivery.confirmed")
    assert (detail["signer"], detail["address"], detail["recipient"]) == (None, "192.0.2.1", RECIPIENT)
    assert left(published) == []


def test_a_signed_receipt_is_taken_at_once_and_names_its_signer(published: World) -> None:
    text = f"{digest(published)}\n"
    put(published, "march.ack", text, ticket=True, age=0)
    put(published, "march.ack.sig", sign(published, text), ticket=True, age=0)
    assert take_receipts(published.services) == 1
    [detail] = told(published, "delivery.confirmed")
    assert detail["signer"] == published.signer.public_key.fingerprint
    assert left(published) == []


def test_a_receipt_is_recorded_once_however_often_it_comes(published: World) -> None:
    for number in range(5):
        put(published, f"{number}.ack", digest(published) + "\n" * number)
        take_receipts(published.services)
    assert len(told(published, "delivery.confirmed")) == 1
    assert left(published) == []


def test_a_receipt_waits_for_its_signature(published: World) -> None:
    text = digest(published)
    put(published, "march.ack", text, ticket=True, age=5)
    assert take_receipts(published.services) == 0
    put(published, "march.ack.sig", sign(published, text), age=5)
    assert take_receipts(published.services) == 0, "a signature without a ticket may be half"
    put(published, "march.ack.sig", sign(published, text), ticket=True, age=5)
    assert take_receipts(published.services) == 1
    assert told(published, "delivery.confirmed")[0]["signer"] is not None


def test_a_file_without_a_ticket_may_be_half_and_waits(published: World) -> None:
    put(published, "march.ack", digest(published)[:20], age=5)
    assert take_receipts(published.services) == 0
    put(published, "march.ack", digest(published))
    assert take_receipts(published.services) == 1


def test_a_negative_receipt_opens_a_case_and_the_delivery_stays(published: World) -> None:
    text = f"{digest(published)}\ncannot-open\n"
    put(published, "march.nack", text, ticket=True)
    put(published, "march.nack.sig", sign(published, text), ticket=True)
    assert take_receipts(published.services) == 1
    [case] = cases(published.services.engine)
    assert (case.reason, case.delivery, case.recipient) == ("cannot-open", f"{AGREEMENT}/2026-03/1", RECIPIENT)
    assert case.signer == published.signer.public_key.fingerprint
    assert state(published) is State.PUBLISHED
    assert len(published.visible_files()) > 0


def test_a_signed_reason_cannot_be_exchanged(published: World) -> None:
    put(published, "march.nack", f"{digest(published)}\ncontent\n", ticket=True)
    put(published, "march.nack.sig", sign(published, f"{digest(published)}\ndamaged\n"), ticket=True)
    assert take_receipts(published.services) == 1
    assert cases(published.services.engine) == []
    assert told(published, "receipt.refused")[0]["error"] == "SignerUnknown"


@pytest.mark.parametrize("attack", ["another key", "another purpose", "other bytes", "no signature", "not text"])
def test_a_signature_that_is_not_the_recipients_is_refused_and_never_taken_as_plain(
    published: World, attack: str
) -> None:
    text = digest(published)
    signature: str | bytes = {
        "another key": lambda: sign(published, text, Signer.generate()),
        "another purpose": lambda: sign(published, text, namespace=Namespace.AGREEMENT),
        "other bytes": lambda: sign(published, f"{text}\n"),
        "no signature": lambda: "signed, really",
        "not text": lambda: b"\xff\x00" * 40,
    }[attack]()
    put(published, "march.ack", text, ticket=True)
    put(published, "march.ack.sig", signature, ticket=True)
    assert take_receipts(published.services) == 1
    assert state(published) is State.PUBLISHED
    [refused] = told(published, "receipt.refused")
    assert refused["error"] == "SignerUnknown"
    assert left(published) == []


def test_a_key_that_was_registered_later_does_not_sign_for_the_one_that_signed_the_agreement(published: World) -> None:
    other = Signer.generate()
    register(published.services, RECIPIENT, "90000102", [], [other.public_key.line])
    came = Came(RECIPIENT, "x.ack", digest(published).encode(), sign(published, digest(published), other).encode(), "x")
    with pytest.raises(SignerUnknown, match="which signed agreement"):
        receive(published.services, came)


BAD = {
    "empty": b"",
    "no digest": b"all is well",
    "another manifest": b"0" * 64,
    "half": b"0" * 63,
    "very long": b"0" * 20_000,
    "binary": bytes(range(256)),
    "a program": b"#!/bin/sh\ntouch /tmp/owned\n",
    "JSON": b'{"ok": true}',
    "a quote": b"'; drop table events; --",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_no_receipt_is_recorded_without_its_content_and_stops_nobody(published: World, bad: bytes) -> None:
    put(published, "a.ack", bad)
    put(published, "b.ack", digest(published))
    assert take_receipts(published.services) == 2
    assert state(published) is State.CONFIRMED
    put(published, "a.ack", bad + b" ")
    assert take_receipts(published.services) == 1
    [event] = [event for event in published.events() if event["action"] == "receipt.refused"]
    if len(bad) > 3:
        assert bad.decode("latin-1")[:12] not in event["detail"]
    assert left(published) == []


def test_a_link_or_a_folder_in_its_place_is_not_followed(published: World, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_text(digest(published))
    (area(published) / "a.ack").symlink_to(target)
    (area(published) / "b.ack").mkdir()
    put(published, "c.ack", digest(published))
    assert take_receipts(published.services) == 1
    assert target.exists()


@pytest.mark.parametrize("unreadable", ["march.ack", "march.ack.sig"])
def test_what_we_cannot_read_stays_and_is_not_taken_for_something_else(
    published: World, unreadable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = digest(published)
    put(published, "march.ack", text, ticket=True)
    put(published, "march.ack.sig", sign(published, text), ticket=True)
    real = arrivals.descriptor_of

    def refuse(path: Path) -> int:
        if path.name == unreadable:
            raise PermissionError
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(arrivals, "descriptor_of", refuse)
        assert take_receipts(published.services) == 0
    assert state(published) is State.PUBLISHED
    assert told(published, "receipt.refused") == []
    assert take_receipts(published.services) == 1
    assert told(published, "delivery.confirmed")[0]["signer"] is not None


def test_nobody_confirms_what_was_delivered_to_another(published: World) -> None:
    came = Came("other", "x.ack", digest(published).encode(), None, "other")
    with pytest.raises(UnusableInput, match="no delivery to other"):
        receive(published.services, came)
    assert state(published) is State.PUBLISHED


def test_a_delivery_that_never_appeared_cannot_be_confirmed(world: World) -> None:
    world.conclude()

    def stop(name: str, function: Any, *args: Any) -> Any:
        if name == "publish":
            raise KeyboardInterrupt
        return function(*args)

    with pytest.raises(KeyboardInterrupt):
        path.run(world.services, world.order(), step=stop)
    [manifest] = world.services.settings.staging_dir.glob("*/sealed-*/manifest.json")
    with pytest.raises(UnusableInput, match="no delivery"):
        receive(world.services, Came(RECIPIENT, "x.ack", sha256_hex(manifest.read_bytes()).encode(), None, RECIPIENT))


def test_each_edition_has_its_own_receipt(published: World) -> None:
    first = digest(published)
    path.run(published.services, published.order(Mode.CORRECT, "again"))
    put(published, "first.ack", first)
    take_receipts(published.services)
    assert (state(published, 1), state(published, 2)) == (State.SUPERSEDED, State.PUBLISHED)
    put(published, "second.ack", digest(published, 2))
    take_receipts(published.services)
    assert state(published, 2) is State.CONFIRMED


def test_a_signature_that_lost_its_receipt_goes_in_time(published: World) -> None:
    put(published, "march.ack.sig", "late", age=100_000)
    put(published, "april.ack.sig", "early", age=10)
    assert take_receipts(published.services) == 0
    assert left(published) == ["april.ack.sig"]


def test_a_process_that_was_killed_before_it_removed_the_file_records_nothing_twice(
    published: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(published, "march.nack", f"{digest(published)}\nother")
    with monkeypatch.context() as patch:
        patch.setattr("flows.steps.receipts.remove", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_receipts(published.services)
    assert left(published) == ["march.nack"]
    assert take_receipts(published.services) == 1
    assert len(cases(published.services.engine)) == 1
    assert left(published) == []


def test_the_real_clock_is_the_one_of_the_files(published: World) -> None:
    """`waited` compares our clock with the file system's."""
    published.at(datetime.now(UTC))
    (area(published) / "march.ack").write_text(digest(published))
    assert take_receipts(published.services) == 0
