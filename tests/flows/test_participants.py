"""Participants: how lists become sets, and that only people of the set in force are delivered."""

from __future__ import annotations

import io
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agreements.rules import AgreementState
from core import errors
from core.clock import dutch_date
from core.database import reading
from flows.steps import lifecycle, participant_sets, path
from flows.steps.agree import agree
from flows.steps.intake import Incoming, receive
from flows.steps.order import Mode
from flows.steps.participant_retention import forget_past_sets
from flows.steps.participants import keep, participants_of
from flows.steps.recipients import register, revoke
from keys import notes
from keys.envelope.seal import Sealer
from keys.private.custody import Role, open_custody
from keys.private.identities import generate_identity
from keys.private.opening import open_envelope
from keys.private.rotation import rotate
from keys.private.signing import Signer
from keys.sshsig import Namespace, verify_by
from ledger.checkpoints import read_checkpoints
from ledger.verify import verify
from schemas.participants import Finding, ParticipantsReport
from tests.delivery_world import AGREEMENT, NOW, RECIPIENT, make_world, world
from tests.participants_world import (
    MAXIMUM,
    PEOPLE,
    as_csv,
    as_parquet,
    conclude,
    delivered,
    hand_in,
    numbers_for_tests,
    sealed_for_us,
    send,
    set_clients,
    with_participants,
)

__all__ = ["make_world", "world"]

A, B, C, D = PEOPLE[:4]
INVALID = "123456789"


@pytest.fixture
def fund(world):
    """An agreement over 300 clients, limited to participants."""
    return with_participants(world)


def sets(fund):
    with reading(fund.services.engine) as connection:
        return participant_sets.history(connection, AGREEMENT)


def in_force(fund) -> list[str] | None:
    """Who may be delivered now; None if there is no set."""
    found = participant_sets.in_force(sets(fund), dutch_date(fund.services.clock()))
    if found is None:
        return None
    people = participant_sets.load(fund.services, AGREEMENT, found)
    return [str(number) for part in people.numbers() for number in part.tolist()]


def checkpoint_verifier(fund):
    custody = fund.services.custody

    def check(note, at):
        notes.judge(custody.published(Role.LEDGER), note, at).require("the checkpoint")

    return check


def events_of(fund, action: str) -> list[dict[str, Any]]:
    return [json.loads(event["detail"]) for event in fund.events() if event["action"] == action]


def reports(fund) -> dict[str, ParticipantsReport]:
    """What lies in the drop zone, after its signature was checked with the key that the agreement names."""
    folder = fund.services.recipient_folder(RECIPIENT) / AGREEMENT / "participants"
    key = fund.services.custody.public_key(Role.MANIFEST).fingerprint
    found = {}
    for file in sorted(folder.glob("*.json")):
        signature = file.with_name(f"{file.name}.sig").read_text()
        verify_by(signature, file.read_bytes(), Namespace.PARTICIPANTS, key)
        found[file.name] = ParticipantsReport.from_bytes(file.read_bytes())
    return found


def deliver(fund, **order: Any) -> pl.DataFrame:
    outcome = path.run(fund.services, fund.order(**order))
    return delivered(fund, fund.published(outcome.edition))


def tomorrow(fund, days: int = 1) -> str:
    return (NOW + timedelta(days=days)).date().isoformat()


class TestAList:
    def test_the_first_list_makes_set_1_in_force_at_once(self, fund):
        report = send(fund, [B, A])
        assert (report.outcome, report.lines, report.findings, report.reason) == ("accepted", 2, (), "")
        made = report.participants
        assert (made.number, made.kind, made.people, made.added, made.removed) == (1, "full", 2, 2, 0)
        assert in_force(fund) == [A, B]

    def test_the_names_of_a_set_are_on_disk_before_it_is_recorded(self, fund, monkeypatch):
        """Else the ledger on another machine could know of a file that a power cut took here."""
        synced = []
        fsync = os.fsync

        def noting(descriptor):
            synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), len(sets(fund))))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", noting)
        send(fund, [A])
        folder = fund.services.settings.participants_dir.resolve()
        assert {(folder, 0), (folder / AGREEMENT, 0)} <= set(synced)

    def test_the_report_is_signed_in_the_drop_zone_and_stands_in_the_ledger(self, fund):
        report = send(fund, [A])
        assert reports(fund) == {"set-000001.json": report}
        (told,) = events_of(fund, "participants.accepted")
        assert told["report"] == report.model_dump(mode="json", by_alias=True)
        witnesses = read_checkpoints(fund.services.settings.checkpoints_path, checkpoint_verifier(fund))
        assert verify(fund.services.engine, witnesses).witnessed == len(fund.events())

    def test_parquet_makes_the_same_set_as_csv(self, fund):
        assert send(fund, as_parquet([B, A]), "deelnemers.parquet.age").outcome == "accepted"
        assert in_force(fund) == [A, B]

    def test_a_full_list_takes_the_place_of_the_one_before(self, fund):
        send(fund, [A, B])
        made = send(fund, [B, C]).participants
        assert (made.number, made.people, made.added, made.removed, made.unchanged) == (2, 2, 1, 1, 1)
        assert in_force(fund) == [B, C]

    def test_additions_and_removals_change_it(self, fund):
        send(fund, [A, B])
        added = send(fund, [B, C], "deelnemers.additions.csv.age").participants
        assert (added.base, added.people, added.added, added.unchanged) == (1, 3, 1, 1)
        removed = send(fund, [A, D], "participants-april.removals.csv.age").participants
        assert (removed.base, removed.people, removed.removed, removed.unchanged) == (2, 2, 1, 1)
        assert in_force(fund) == [B, C]

    def test_everybody_can_be_removed(self, fund):
        send(fund, [A])
        assert send(fund, [A], "deelnemers.removals.csv.age").participants.people == 0
        assert in_force(fund) == []
        with pytest.raises(errors.DeliveryEmpty):
            path.run(fund.services, fund.order())

    @pytest.mark.parametrize("kind", ["additions", "removals"])
    def test_changes_need_a_list_that_they_change(self, fund, kind):
        report = send(fund, [A], f"deelnemers.{kind}.csv.age")
        assert report.outcome == "refused"
        assert "full list first" in report.reason
        assert sets(fund) == []

    def test_the_same_file_again_changes_nothing_and_says_so(self, fund):
        sealed = sealed_for_us(fund, as_csv([A]))
        first = hand_in(fund, sealed)
        send(fund, [B])
        again = hand_in(fund, sealed)  # an old list cannot be brought back by whoever kept the file
        assert again.outcome == "repeated"
        assert "as set 1, and nothing changed" in again.reason
        assert again.participants == first.participants
        assert in_force(fund) == [B]
        assert len(events_of(fund, "participants.repeated")) == 1
        assert len(reports(fund)) == 3

    def test_the_same_list_sealed_again_is_taken(self, fund):
        send(fund, [A])
        send(fund, [B])
        assert send(fund, [A]).outcome == "accepted"
        assert in_force(fund) == [A]

    def test_a_report_that_a_crash_kept_back_comes_with_the_next_try(self, fund):
        sealed = sealed_for_us(fund, as_csv([A]))
        first = hand_in(fund, sealed)
        folder = fund.services.recipient_folder(RECIPIENT) / AGREEMENT / "participants"
        for file in folder.iterdir():
            file.unlink()
        hand_in(fund, sealed)
        assert reports(fund)["set-000001.json"] == first

    def test_a_list_may_come_before_the_first_day_of_the_agreement(self, world):
        fund = with_participants(world, validFrom="2026-06-01")
        assert send(fund, [A]).outcome == "accepted"

    def test_two_agreements_do_not_share_a_set(self, fund):
        conclude(fund, "GLA-OTHER")
        send(fund, [A])
        send(fund, [B], agreement="GLA-OTHER")
        assert in_force(fund) == [A]


class TestRefused:
    """A file of which something is wrong changes nothing; the recipient is told what, without a value."""

    @pytest.fixture
    def fund(self, world):
        fund = with_participants(world)
        send(fund, [A])
        return fund

    def refused(self, fund, report: ParticipantsReport, *words: str) -> ParticipantsReport:
        assert report.outcome == "refused"
        assert report.participants is None
        for word in words:
            assert word in report.reason
        assert in_force(fund) == [A]
        assert len(events_of(fund, "participants.refused")) == 1
        assert report in reports(fund).values()
        everything = report.to_bytes().decode() + json.dumps([event["detail"] for event in fund.events()])
        assert INVALID not in everything
        assert B not in everything
        return report

    def test_invalid_numbers(self, fund):
        report = self.refused(fund, send(fund, [B, INVALID, C, INVALID]), "no valid BSN of nine digits: 2 (line 3, 5)")
        assert report.findings[0] == Finding(rule="bsn", count=2, lines=(3, 5))

    def test_duplicates(self, fund):
        self.refused(fund, send(fund, [B, C, B]), "the same BSN again: 1 (line 4)")

    def test_more_than_the_maximum(self, fund):
        self.refused(fund, send(fund, numbers_for_tests(MAXIMUM + 1)), "more than the agreement's maximum: 1")

    def test_additions_beyond_the_maximum(self, fund):
        report = send(fund, numbers_for_tests(MAXIMUM + 1)[1:], "deelnemers.additions.csv.age")
        self.refused(fund, report, f"{MAXIMUM + 1} participants", f"more than the {MAXIMUM}")

    def test_no_rows(self, fund):
        self.refused(fund, send(fund, []), "no line but the header")

    def test_a_wrong_key(self, fund):
        target = io.BytesIO()
        with Sealer(target, [generate_identity().recipient]) as sealer:
            sealer.write(as_csv([B]))
        self.refused(fund, hand_in(fund, target.getvalue()), "sealed for another key")

    def test_a_file_that_is_not_sealed(self, fund):
        self.refused(fund, hand_in(fund, as_csv([B])), "")

    @pytest.mark.parametrize("length", [-1, -17, 200, 10])
    def test_a_file_that_was_cut(self, fund, length):
        self.refused(fund, hand_in(fund, sealed_for_us(fund, as_csv([B, *PEOPLE[10:200]]))[:length]))

    def test_a_file_with_a_changed_byte(self, fund):
        sealed = bytearray(sealed_for_us(fund, as_csv([B])))
        sealed[-20] ^= 1
        self.refused(fund, hand_in(fund, bytes(sealed)))

    def test_another_encoding(self, fund):
        self.refused(fund, send(fund, as_csv([B]).decode().encode("utf-16")), "UTF-8")

    @pytest.mark.parametrize(
        "name",
        ["deelnemers.csv", "aditions.csv.age", "deelnemers.aditions.csv.age", "deelnemers.2026-02-30.csv.age",
         "deelnemers.csv.pgp", "deelnemers.full.additions.csv.age", "../deelnemers.csv.age", "deelnemers.txt.age"],
    )  # fmt: skip
    def test_a_name_that_says_something_else(self, fund, name):
        self.refused(fund, send(fund, [B], name), "name of a participants file")

    def test_a_file_that_is_too_large(self, fund):
        dropzone = fund.services.settings.dropzone.model_copy(update={"upload_bytes": 3_000})
        settings = fund.services.settings.model_copy(update={"dropzone": dropzone})
        fund.services = replace(fund.services, settings=settings)
        self.refused(fund, send(fund, [B, *PEOPLE[10:300]]), "larger than the 3000 bytes")

    def test_an_agreement_that_is_over(self, fund):
        lifecycle.stop(fund.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
        self.refused(fund, send(fund, [B]), "not active")

    def test_an_agreement_without_the_term(self, fund):
        conclude(fund, "GLA-FREE", participants=None)
        report = send(fund, [B], agreement="GLA-FREE")
        assert "has no gla.participants" in report.reason

    def test_a_file_from_another_than_the_agreements_recipient(self, fund):
        register(fund.services, "other", "90000103", [str(generate_identity().recipient)],
                 [Signer.generate().public_key.line])  # fmt: skip
        before = fund.visible_files()
        with pytest.raises(errors.UnusableInput, match="is not one of other"):
            send(fund, [B], recipient="other")
        assert in_force(fund) == [A]
        assert len(events_of(fund, "participants.refused")) == 1
        assert fund.visible_files() == before

    def test_what_was_refused_may_be_sent_again_when_it_can_be_taken(self, world):
        fund = with_participants(world)
        sealed = sealed_for_us(fund, as_csv([B]))
        assert hand_in(fund, sealed, "deelnemers.additions.csv.age").outcome == "refused"
        send(fund, [A])
        assert hand_in(fund, sealed, "deelnemers.additions.csv.age").outcome == "accepted"
        assert in_force(fund) == [A, B]


class TestSigned:
    """What came over the drop zone counts only with the recipient's signature, under its name and agreement."""

    def hand(self, fund, signature: str | None, name: str = "deelnemers.csv.age", **terms: Any) -> ParticipantsReport:
        content = io.BytesIO(sealed_for_us(fund, as_csv([A])))
        made = None if signature is None else fund.signer.sign(content.getvalue(), signature)
        return receive(fund.services, Incoming(AGREEMENT, RECIPIENT, name, content, RECIPIENT, made, **terms))

    def test_the_report_names_the_key_that_signed(self, fund):
        report = self.hand(fund, f"gla-participants:{AGREEMENT}:deelnemers.csv.age")
        assert (report.outcome, report.signer) == ("accepted", fund.signer.public_key.fingerprint)

    @pytest.mark.parametrize(
        "namespace",
        [None, "gla-participants", f"gla-participants:{AGREEMENT}:deelnemers.removals.csv.age", "gla-agreement",
         "gla-participants:GLA-OTHER:deelnemers.csv.age", f"gla-participants:{AGREEMENT}:deelnemers.csv.age "],
    )  # fmt: skip
    def test_any_other_signature_is_refused_and_nothing_is_told_of_the_list(self, fund, namespace):
        report = self.hand(fund, namespace)
        assert (report.outcome, report.lines, report.findings, report.signer) == ("refused", None, (), None)
        assert "ssh-keygen -Y sign" in report.reason
        assert in_force(fund) is None

    def test_a_revoked_key_signs_no_list(self, fund):
        revoke(fund.services, RECIPIENT, fund.signer.public_key.fingerprint, "tester", "stolen")
        report = self.hand(fund, f"gla-participants:{AGREEMENT}:deelnemers.csv.age")
        assert (report.outcome, "revoked" in report.reason) == ("refused", True)

    def test_an_operator_vouches_for_what_has_no_signature(self, fund):
        report = self.hand(fund, None, vouched=True)
        assert (report.outcome, report.signer) == ("accepted", None)

    def test_nobody_vouches_for_a_signature_that_is_wrong(self, fund):
        assert self.hand(fund, "gla-agreement", vouched=True).outcome == "refused"


class TestDays:
    def test_a_list_takes_effect_on_its_day(self, fund):
        send(fund, [A])
        send(fund, [B], f"deelnemers.{tomorrow(fund)}.csv.age")
        assert in_force(fund) == [A]
        fund.at(NOW + timedelta(days=1))
        assert in_force(fund) == [B]

    def test_a_day_that_is_past_means_at_once(self, fund):
        assert send(fund, [A], "deelnemers.2026-01-01.csv.age").participants.effective == "2026-04-05"

    def test_before_the_first_day_nothing_is_delivered_and_it_says_when(self, fund):
        send(fund, [A], f"deelnemers.{tomorrow(fund)}.csv.age")
        with pytest.raises(errors.ParticipantsUnusable, match="takes effect on 2026-04-06"):
            path.run(fund.services, fund.order())

    def test_a_full_list_withdraws_those_that_were_to_come_no_earlier(self, fund):
        send(fund, [A])
        send(fund, [B], f"deelnemers.{tomorrow(fund, 2)}.csv.age")
        made = send(fund, [C], f"deelnemers.full.{tomorrow(fund)}.csv.age").participants
        assert made.withdrawn == (2,)
        fund.at(NOW + timedelta(days=1))
        assert in_force(fund) == [C]
        fund.at(NOW + timedelta(days=3))
        assert in_force(fund) == [C]

    def test_a_list_for_a_later_day_leaves_one_for_an_earlier_day(self, fund):
        send(fund, [A], f"deelnemers.{tomorrow(fund)}.csv.age")
        assert send(fund, [B], f"deelnemers.{tomorrow(fund, 2)}.csv.age").participants.withdrawn == ()
        fund.at(NOW + timedelta(days=1))
        assert in_force(fund) == [A]

    @pytest.mark.parametrize("kind", ["additions", "removals"])
    def test_changes_do_not_overtake_a_set_that_is_to_come(self, fund, kind):
        send(fund, [A])
        send(fund, [A, B], f"deelnemers.{tomorrow(fund, 2)}.csv.age")
        report = send(fund, [A], f"deelnemers.{kind}.csv.age")
        assert (report.outcome, "takes effect on 2026-04-07" in report.reason) == ("refused", True)
        later = send(fund, [C], f"deelnemers.additions.{tomorrow(fund, 2)}.csv.age")
        assert (later.outcome, later.participants.base, later.participants.people) == ("accepted", 2, 3)


class TestKept:
    def test_nothing_readable_is_written(self, fund):
        send(fund, [A, B])
        path.run(fund.services, fund.order())
        needles = [needle for number in (A, B) for needle in (number.encode(), int(number).to_bytes(4, "little"))]
        clients = fund.home / "clients.parquet"
        for file in fund.home.rglob("*"):
            if file.is_file() and file != clients:
                content = file.read_bytes()
                assert not [needle for needle in needles if needle in content], file

    def test_no_log_shows_who_is_on_a_list(self, fund, caplog):
        with caplog.at_level(logging.DEBUG):
            send(fund, [A, B])
            send(fund, [A, INVALID])
            send(fund, as_parquet([A, INVALID]), "deelnemers.parquet.age")
            path.run(fund.services, fund.order())
        assert not [number for number in (A, B, INVALID) if number in caplog.text]

    def test_a_set_is_found_with_keys_that_were_replaced_since(self, fund):
        send(fund, [A])
        for role in (Role.INTAKE, Role.PERSON_DIGESTS):
            rotate(fund.services.custody, role, None)
        assert in_force(fund) == [A]
        send(fund, [B], "deelnemers.additions.csv.age")
        assert in_force(fund) == [A, B]

    def test_people_that_somebody_else_put_there_are_not_used(self, fund):
        send(fund, [A])
        (file,) = (fund.home / "participants" / AGREEMENT).iterdir()
        with file.open("wb") as target, Sealer(target, [fund.services.custody.identities()[0].recipient]) as sealer:
            sealer.write(b"".join(int(each).to_bytes(4, "little") for each in (A, B)))
        with pytest.raises(errors.ParticipantsUnusable, match="no longer kept as they were recorded"):
            path.run(fund.services, fund.order())

    def test_the_people_of_another_set_do_not_pass_for_it(self, fund):
        send(fund, [A, B])
        send(fund, [A])
        one, two = sorted((fund.home / "participants" / AGREEMENT).iterdir())
        two.write_bytes(one.read_bytes())
        with pytest.raises(errors.ParticipantsUnusable):
            path.run(fund.services, fund.order())

    @pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"")])
    def test_people_that_are_lost_stop_a_delivery(self, fund, damage):
        send(fund, [A])
        damage(next((fund.home / "participants" / AGREEMENT).iterdir()))
        with pytest.raises(errors.ParticipantsUnusable, match="full list"):
            path.run(fund.services, fund.order())
        assert send(fund, [B], "deelnemers.additions.csv.age").outcome == "refused"
        assert send(fund, [B], "deelnemers-weer.csv.age").outcome == "accepted"
        assert in_force(fund) == [B]

    def test_two_files_at_once_make_two_sets(self, fund):
        send(fund, [A])
        names = "deelnemers.additions.csv.age"
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda people: send(fund, people, names), ([B], [C])))
        assert [each.number for each in sets(fund)] == [1, 2, 3]
        assert in_force(fund) == [A, B, C]
        assert len(list((fund.home / "participants" / AGREEMENT).iterdir())) == 3


class TestForgotten:
    """The people of a set go when no delivery of it can be asked for again; the ledger keeps that there was one."""

    def kept(self, fund) -> list[int]:
        return [each.number for each in sets(fund) if participant_sets.are_kept(fund.services, AGREEMENT, each)]

    def forget_after(self, fund, days: int) -> list[int]:
        fund.at(NOW + timedelta(days=days))
        forget_past_sets(fund.services)
        return self.kept(fund)

    def test_a_past_set_is_forgotten_when_deliveries_of_it_are(self, fund):
        for people in ([A], [B], [C]):
            send(fund, people)
        assert self.forget_after(fund, 29) == [1, 2, 3]
        assert self.forget_after(fund, 30) == [3]
        assert [told["set"] for told in events_of(fund, "participants.forgotten")] == [1, 2]
        assert len(sets(fund)) == 3
        assert in_force(fund) == [C]
        assert self.forget_after(fund, 60) == [3]

    def test_what_is_in_force_or_to_come_is_kept(self, fund):
        send(fund, [A])
        send(fund, [B], f"deelnemers.{tomorrow(fund, 50)}.csv.age")
        assert self.forget_after(fund, 49) == [1, 2]
        assert self.forget_after(fund, 79) == [1, 2]  # the first was in force until 29 days ago
        assert self.forget_after(fund, 80) == [2]

    def test_a_withdrawn_set_is_forgotten_too(self, fund):
        send(fund, [A])
        send(fund, [B], f"deelnemers.{tomorrow(fund, 50)}.csv.age")
        send(fund, [C])
        assert self.forget_after(fund, 31) == [3]

    def test_everything_is_forgotten_when_the_agreement_is_over_for_as_long(self, fund):
        send(fund, [A])
        lifecycle.stop(fund.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
        assert self.forget_after(fund, 29) == [1]
        assert self.forget_after(fund, 30) == []
        verify(fund.services.engine, [])

    def test_a_delivery_for_a_set_that_is_forgotten_is_not_published_again(self, fund):
        send(fund, [A, B])
        deliver(fund)
        send(fund, [A, B, C])
        self.forget_after(fund, 31)  # its own end is never later than that of its set
        with pytest.raises(errors.DeliveryStateError, match="use mode correct"):
            path.run(fund.services, fund.order(Mode.REDELIVER, "lost"))


class TestDelivered:
    def test_without_a_set_a_delivery_is_refused_and_says_what_to_do(self, fund):
        with pytest.raises(errors.ParticipantsUnusable, match="gla participants add") as caught:
            path.run(fund.services, fund.order())
        assert caught.value.exit_code == 25
        assert fund.visible_files() == []

    def test_only_participants_are_delivered(self, fund):
        send(fund, [A, C, "999999990"])
        assert deliver(fund).get_column("bsn").to_list() == [A, C]

    def test_who_is_no_bsn_is_nobody(self, world):
        fund = with_participants(world, [A, None, INVALID, f" {A}", B, "", "000000000", A[:8]])
        send(fund, [A])
        assert deliver(fund).get_column("bsn").to_list() == [A]

    def test_the_plan_and_the_ledger_tell_which_set_it_was_and_how_many_rows_it_kept_out(self, fund):
        made = send(fund, [A, B]).participants
        path.run(fund.services, fund.order())
        (told,) = events_of(fund, "delivery.limited")
        assert (told["set"], told["digest"], told["people"], told["kept_out"]) == (1, made.digest, 2, 298)
        pakbon = json.loads(_opened(fund, fund.published() / "pakbon.json.age"))
        assert pakbon["plan"]["participants"] == made.digest
        verify(fund.services.engine, [])

    def test_rows_of_others_are_not_judged(self, world):
        """A double key outside the participants must not stop a delivery about others, nor be told of."""
        fund = with_participants(world, [A, B, B])
        send(fund, [A])
        assert deliver(fund).height == 1

    def test_two_editions_use_two_sets(self, fund):
        send(fund, [A, B])
        assert deliver(fund).get_column("bsn").to_list() == [A, B]
        send(fund, [B, C])
        assert deliver(fund, mode=Mode.CORRECT, reason="new list").get_column("bsn").to_list() == [B, C]

    def test_the_same_bytes_are_not_published_again_for_somebody_who_left(self, fund):
        send(fund, [A, B])
        deliver(fund)
        send(fund, [A], "deelnemers.removals.csv.age")
        with pytest.raises(errors.ParticipantsUnusable, match="use mode correct"):
            path.run(fund.services, fund.order(Mode.REDELIVER, "lost"))
        assert deliver(fund, mode=Mode.CORRECT, reason="one left").get_column("bsn").to_list() == [B]

    def test_the_same_bytes_are_published_again_when_people_only_came(self, fund):
        send(fund, [A, B])
        deliver(fund)
        send(fund, [C], "deelnemers.additions.csv.age")
        assert deliver(fund, mode=Mode.REDELIVER, reason="lost").get_column("bsn").to_list() == [A, B]

    def test_somebody_who_leaves_while_a_delivery_runs_is_not_published(self, fund):
        send(fund, [A, B])

        def step(name, function, *args):
            if name == "publish":
                send(fund, [B])
            return function(*args)

        with pytest.raises(errors.ParticipantsUnusable, match=r"set 1.*set 2"):
            path.run(fund.services, fund.order(), step)
        assert not fund.published().exists()
        assert deliver(fund, mode=Mode.CORRECT, reason="one left").get_column("bsn").to_list() == [B]

    def test_a_resumed_delivery_is_made_again_for_the_set_of_the_day(self, fund):
        send(fund, [A, B])
        source = fund.home / "clients.parquet"
        content = source.read_bytes()
        source.unlink()
        with pytest.raises(errors.SourceUnavailable):
            path.run(fund.services, fund.order())
        send(fund, [B])
        source.write_bytes(content)
        assert deliver(fund).get_column("bsn").to_list() == [B]

    def test_numbers_in_a_column_of_whole_numbers_are_looked_up_too(self, world):
        pl.DataFrame({"bsn": [int(A), int(B)], "day": ["2026-03-01"] * 2, "amount": [1, 2]}).with_columns(
            pl.col("day").str.to_date()
        ).write_parquet(world.home / "clients.parquet")
        world.services.sources.add("clients", str(world.home / "clients.parquet"))
        conclude(world, AGREEMENT)
        send(world, [B])
        assert deliver(world).get_column("bsn").to_list() == [int(B)]

    def test_a_column_of_another_kind_is_refused(self, fund):
        send(fund, [A])
        frame = pl.DataFrame({"bsn": [1.5]})
        participants = participants_of(fund.services, agree(fund.services, AGREEMENT))
        with pytest.raises(errors.RowsInvalid, match="neither text nor whole numbers"):
            keep(frame, participants)

    def test_participants_that_are_no_clients_change_nothing(self, fund):
        set_clients(fund, PEOPLE[:2])
        send(fund, PEOPLE[1:])
        assert deliver(fund).get_column("bsn").to_list() == [B]


def _opened(fund, file: Path) -> bytes:
    return open_envelope(io.BytesIO(file.read_bytes()), [fund.identity]).read()


def test_our_missing_key_is_no_fault_of_the_file(fund):
    sealed = sealed_for_us(fund, as_csv([A]))
    key = fund.services.custody.path(Role.INTAKE)
    content = key.read_bytes()
    key.unlink()
    fund.services = replace(fund.services, custody=open_custody(fund.services.settings, fund.services.clock))
    with pytest.raises(errors.KeyUnusable):
        hand_in(fund, sealed)
    assert events_of(fund, "participants.refused") == []
    key.touch(mode=0o600)
    key.write_bytes(content)
    assert hand_in(fund, sealed).outcome == "accepted"
