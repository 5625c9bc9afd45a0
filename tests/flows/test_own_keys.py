"""Our keys are replaced while agreements live on: old and new deliveries open, and nobody else's key slips in."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apps.cli.keys import keys
from apps.cli.ledger import ledger
from apps.cli.open_delivery import open_delivery
from core.clock import to_rfc3339
from core.errors import DeliveryStateError, GlaError, KeyUnusable, LedgerTampered, SignerUnknown, UnusableInput
from core.period import Period
from core.settings import Settings
from flows.steps import path, recipients
from flows.steps.order import Mode
from flows.steps.own_keys import rotate_own
from keys.private.custody import Role
from keys.private.signing import Signer
from keys.published import Entry, KeyHistory, new_entry
from keys.sshsig import Namespace
from ledger.checkpoints import write_checkpoint
from schemas.manifest import MANIFEST_NAME, PQ_SIGNATURE_NAME, SENDER_KEYS_NAME, SIGNATURE_NAME
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World
from tests.servers.softhsm import make_token, token

__all__ = ["make_token", "token"]

FEBRUARY, JANUARY = Period.parse("2026-02"), Period.parse("2026-01")


@dataclass
class Recipient:
    """A machine with the signed agreement, the age key, and nothing else of the sender."""

    world: World
    home: Path

    def __post_init__(self) -> None:
        self.home.mkdir()
        self.agreement = self.home / f"{AGREEMENT}.json"
        shutil.copy(self.world.home / "agreements" / self.agreement.name, self.agreement)
        signature = self.world.signer.sign(self.agreement.read_bytes(), Namespace.AGREEMENT)
        self.agreement.with_name(f"{self.agreement.name}.sig").write_text(signature)
        self.key = self.home / "age.key"
        self.key.write_text(self.world.identity.secret_text())

    def fetch(self, period: Period = MARCH, edition: int = 1) -> Path:
        target = self.home / f"{period}-{edition}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.world.published(edition, period), target)
        return target

    def open(self, delivery: Path, *options: object, first: bool = True) -> str:
        out = self.home / "opened" / delivery.name
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(exist_ok=True)
        paper = ("--agreement", self.agreement) if first else ()
        arguments = [str(item) for item in (delivery, "-i", self.key, "--out", out, *paper, *options)]
        result = CliRunner().invoke(open_delivery, arguments, obj=Settings(home=self.home / "gla"))
        if result.exception is not None:
            raise result.exception
        assert (out / "people.parquet").is_file()
        return result.output


def rotate(world: World, role: Role = Role.MANIFEST, days: int = 1, to: str | None = None) -> None:
    world.at(world.services.clock() + timedelta(days=days))
    rotate_own(world.services, role, to, "tester")


def deliver(world: World, period: Period = MARCH) -> None:
    path.run(world.services, world.order(period=period))


@pytest.fixture
def rotated(world: World, tmp_path: Path) -> Recipient:
    """March before the manifest key was replaced, February after."""
    world.conclude()
    deliver(world)
    rotate(world)
    deliver(world, FEBRUARY)
    return Recipient(world, tmp_path / "recipient")


class TestManifestKey:
    def test_deliveries_from_before_and_after_open(self, rotated):
        before, after = rotated.fetch(MARCH), rotated.fetch(FEBRUARY)
        assert not (before / SENDER_KEYS_NAME).exists()
        for delivery, first in ((before, True), (after, False), (before, False), (after, True)):
            assert "whole and authentic" in rotated.open(delivery, first=first)

    def test_ssh_keygen_verifies_both_with_the_keys_of_the_history(self, rotated, require_program, tmp_path):
        history = KeyHistory.parse((rotated.fetch(FEBRUARY) / SENDER_KEYS_NAME).read_bytes())
        for period, key in zip((MARCH, FEBRUARY), history.of(Role.MANIFEST), strict=True):
            (tmp_path / "signers").write_text(f"sender {key.line}\n")
            delivery = rotated.fetch(period)
            with (delivery / MANIFEST_NAME).open("rb") as content:
                subprocess.run(
                    [require_program("ssh-keygen"), "-Y", "verify", "-f", tmp_path / "signers", "-I", "sender",
                     "-n", Namespace.MANIFEST, "-s", delivery / SIGNATURE_NAME],
                    stdin=content, check=True, capture_output=True,
                )  # fmt: skip

    def test_ssh_keygen_verifies_the_history_itself(self, rotated, require_program, tmp_path):
        first, second = KeyHistory.parse((rotated.fetch(FEBRUARY) / SENDER_KEYS_NAME).read_bytes()).entries
        for key, signature in ((first.key, second.endorsement), (second.key, second.possession)):
            (tmp_path / "signers").write_text(f"sender {key}\n")
            (tmp_path / "sig").write_text(signature)
            subprocess.run(
                [require_program("ssh-keygen"), "-Y", "verify", "-f", tmp_path / "signers", "-I", "sender",
                 "-n", Namespace.KEY_HISTORY, "-s", tmp_path / "sig"],
                input=second.message(), check=True, capture_output=True,
            )  # fmt: skip

    def test_many_rotations_are_followed(self, rotated):
        for _ in range(3):
            rotate(rotated.world)
        deliver(rotated.world, JANUARY)
        rotated.open(rotated.fetch(JANUARY))
        rotated.open(rotated.fetch(FEBRUARY), first=False)

    def test_a_delivery_without_the_history_is_refused_unless_it_is_given(self, rotated, tmp_path):
        after = rotated.fetch(FEBRUARY)
        (after / SENDER_KEYS_NAME).rename(tmp_path / "history.jsonl")
        with pytest.raises(SignerUnknown, match="by another key"):
            rotated.open(after)
        rotated.open(after, "--sender-history", tmp_path / "history.jsonl")
        rotated.open(after, first=False)

    def test_what_was_published_by_gla_keys_history_is_that_history(self, rotated, tmp_path):
        after = rotated.fetch(FEBRUARY)
        (after / SENDER_KEYS_NAME).unlink()
        (tmp_path / "history.jsonl").write_text(run(rotated.world, "history").output)
        rotated.open(after, "--sender-history", tmp_path / "history.jsonl")

    def test_repair_fetches_the_history_and_the_second_signature_too(self, rotated):
        empty = rotated.home / "empty"
        rotated.open(empty, "--from", rotated.fetch(FEBRUARY))
        assert (empty / SENDER_KEYS_NAME).is_file()

    def test_a_delivery_sealed_before_is_published_after(self, world, tmp_path):
        world.conclude()

        def stop(name, function, *args):
            if name == "publish":
                raise KeyboardInterrupt
            return function(*args)

        with pytest.raises(KeyboardInterrupt):
            path.run(world.services, world.order(), step=stop)
        rotate(world)
        deliver(world)
        Recipient(world, tmp_path / "recipient").open(world.published())

    def test_a_redelivery_has_the_same_bytes(self, rotated):
        before = {item.name: item.read_bytes() for item in rotated.fetch(MARCH).iterdir()}
        shutil.rmtree(rotated.world.published())
        path.run(rotated.world.services, rotated.world.order(Mode.REDELIVER, "lost"))
        assert {item.name: item.read_bytes() for item in rotated.fetch(MARCH).iterdir()} == before

    def test_a_new_agreement_names_the_new_key_and_needs_no_history(self, make_world, tmp_path):
        world = make_world()
        rotate(world)
        world.conclude()
        deliver(world)
        assert not (world.published() / SENDER_KEYS_NAME).exists()
        Recipient(world, tmp_path / "recipient").open(world.published())

    def test_an_offer_that_names_a_replaced_key_is_refused(self, world):
        document = world.document()
        rotate(world)
        with pytest.raises(UnusableInput, match="senderKey is not our key"):
            world.offer(document)

    def test_staged_bytes_signed_by_a_replaced_key_later_on_are_not_published(self, world):
        world.conclude()
        old = world.services.custody.signer(Role.MANIFEST)
        rotate(world)

        def forge(name, function, *args):
            if name == "publish":
                [folder] = world.services.settings.staging_dir.glob("*/sealed-*")
                content = (folder / MANIFEST_NAME).read_bytes()
                (folder / SIGNATURE_NAME).write_text(old.sign(content, Namespace.MANIFEST))
            return function(*args)

        with pytest.raises(DeliveryStateError):
            path.run(world.services, world.order(), step=forge)


class TestAttacksOnTheRecipient:
    """Whoever has the drop zone, or an old key of the sender, makes nothing that opens."""

    def history(self, delivery: Path) -> list[Entry]:
        return list(KeyHistory.parse((delivery / SENDER_KEYS_NAME).read_bytes()).entries)

    def write(self, delivery: Path, entries: list[Entry]) -> None:
        (delivery / SENDER_KEYS_NAME).write_bytes(KeyHistory(entries).lines((Role.MANIFEST, Role.MANIFEST_MLDSA)))

    def sign(self, delivery: Path, signer: Signer) -> None:
        content = (delivery / MANIFEST_NAME).read_bytes()
        (delivery / SIGNATURE_NAME).write_text(signer.sign(content, Namespace.MANIFEST))

    def entry(self, history: list[Entry], signer: Signer, endorser: Signer) -> Entry:
        draft = new_entry(KeyHistory(history), Role.MANIFEST, signer.public_key.line, NOW)
        both = [each.sign(draft.message(), Namespace.KEY_HISTORY) for each in (endorser, signer)]
        return replace(draft, endorsement=both[0], possession=both[1])

    def test_a_history_of_the_thiefs_own(self, rotated):
        thief = Signer.generate()
        delivery = rotated.fetch(FEBRUARY)
        self.sign(delivery, thief)
        draft = new_entry(KeyHistory(), Role.MANIFEST, thief.public_key.line, NOW)
        self.write(delivery, [replace(draft, possession=thief.sign(draft.message(), Namespace.KEY_HISTORY))])
        with pytest.raises(SignerUnknown, match="does not hold the key that is trusted"):
            rotated.open(delivery)

    def test_a_thief_adds_his_key_at_the_end(self, rotated):
        thief = Signer.generate()
        delivery = rotated.fetch(FEBRUARY)
        self.sign(delivery, thief)
        entries = self.history(delivery)
        self.write(delivery, [*entries, self.entry(entries, thief, thief)])
        with pytest.raises(SignerUnknown, match="not one that we signed"):
            rotated.open(delivery)

    def test_an_old_key_that_was_stolen_signs_nothing_new(self, world, tmp_path):
        """Its holder cannot sign in another successor for who has seen the real one, nor deliver as of today."""
        world.conclude()
        deliver(world)
        stolen = world.services.custody.signer(Role.MANIFEST)
        rotate(world)
        world.at(world.services.clock() + timedelta(hours=1))
        deliver(world, FEBRUARY)
        recipient = Recipient(world, tmp_path / "recipient")
        delivery = recipient.fetch(FEBRUARY)
        recipient.open(delivery)
        self.sign(delivery, stolen)
        with pytest.raises(SignerUnknown, match="after its key was replaced"):
            recipient.open(delivery)
        thief = Signer.generate()
        self.sign(delivery, thief)
        first = self.history(delivery)[:1]
        self.write(delivery, [*first, self.entry(first, thief, stolen)])
        for known in (True, False):
            with pytest.raises(SignerUnknown, match="another history than was seen before"):
                recipient.open(delivery, first=known)

    def test_a_history_that_is_cut_off_later_makes_nobody_forget(self, rotated):
        delivery = rotated.fetch(FEBRUARY)
        rotated.open(delivery)
        self.write(delivery, self.history(delivery)[:1])
        rotated.open(delivery, first=False)
        rotated.open(delivery)

    @pytest.mark.parametrize("content", [b"", b"x\n", b"{}\n", b"\xff\n", b"[" * 100_000 + b"\n"])
    def test_rubbish_in_place_of_the_history(self, rotated, content):
        delivery = rotated.fetch(FEBRUARY)
        (delivery / SENDER_KEYS_NAME).write_bytes(content)
        with pytest.raises(SignerUnknown) as caught:
            rotated.open(delivery)
        assert caught.value.__context__ is None

    def test_a_damaged_pin_is_named(self, rotated):
        rotated.open(rotated.fetch(FEBRUARY))
        pin = rotated.home / "gla" / "pins" / f"{AGREEMENT}.json"
        value = json.loads(pin.read_bytes())
        pin.write_text(json.dumps(value | {"senderHistory": value["senderHistory"].replace("2026", "2025")}))
        with pytest.raises(UnusableInput, match="damaged"):
            rotated.open(rotated.fetch(FEBRUARY), first=False)


class TestSeal:
    def test_agreements_that_an_earlier_seal_is_on_are_delivered(self, world):
        world.conclude()
        rotate(world, Role.AGREEMENT_SEAL)
        deliver(world)

    def test_a_seal_by_no_key_of_ours_is_refused(self, world):
        world.conclude()
        world.services.custody.history_path.unlink()
        world.services.custody.path(Role.AGREEMENT_SEAL).write_bytes(Signer.generate().private_file())
        with pytest.raises(SignerUnknown, match=r"does not bear our seal.*by another key"):
            deliver(world)

    def test_a_recipient_may_not_sign_with_an_earlier_key_of_ours(self, world):
        ours = world.services.custody.signer(Role.AGREEMENT_SEAL)
        document = world.document(recipientSigner=ours.public_key.fingerprint)
        rotate(world, Role.AGREEMENT_SEAL)
        with pytest.raises(GlaError):
            world.conclude(document)


class TestSecondSignature:
    @pytest.fixture
    def hybrid(self, world, tmp_path) -> Recipient:
        world.set_keys(manifest_mldsa="file:manifest-mldsa")
        world.conclude()
        deliver(world)
        return Recipient(world, tmp_path / "recipient")

    def test_a_delivery_has_both_and_opens(self, hybrid):
        delivery = hybrid.fetch()
        assert len((delivery / PQ_SIGNATURE_NAME).read_bytes()) == 3309
        assert b"gla.senderKeyPq" in hybrid.agreement.read_bytes()
        hybrid.open(delivery)
        hybrid.open(delivery, first=False)

    @pytest.mark.parametrize(
        "change", [lambda it: it[:-1], lambda it: b"", lambda it: bytes([it[0] ^ 1]) + it[1:], None]
    )
    def test_a_second_signature_that_is_wrong_or_absent_is_refused(self, hybrid, change):
        delivery = hybrid.fetch()
        hybrid.open(delivery)
        file = delivery / PQ_SIGNATURE_NAME
        content = file.read_bytes()
        file.unlink()
        if change:
            file.write_bytes(change(content))
        for first in (True, False):
            with pytest.raises(SignerUnknown, match="not signed by the sender"):
                hybrid.open(delivery, first=first)

    def test_a_forger_of_ed25519_alone_is_refused(self, hybrid):
        delivery = hybrid.fetch()
        manifest = (delivery / MANIFEST_NAME).read_bytes().replace(b'"edition":1', b'"edition":2')
        (delivery / MANIFEST_NAME).write_bytes(manifest)
        forged = hybrid.world.services.custody.signer(Role.MANIFEST).sign(manifest, Namespace.MANIFEST)
        (delivery / SIGNATURE_NAME).write_text(forged)
        with pytest.raises(SignerUnknown, match="not over these bytes"):
            hybrid.open(delivery)

    def test_it_is_replaced_like_the_first(self, hybrid):
        rotate(hybrid.world, Role.MANIFEST_MLDSA)
        deliver(hybrid.world, FEBRUARY)
        rotate(hybrid.world, Role.MANIFEST)
        deliver(hybrid.world, JANUARY)
        for period in (MARCH, FEBRUARY, JANUARY):
            hybrid.open(hybrid.fetch(period))

    def test_repair_fetches_it_too(self, hybrid):
        hybrid.open(hybrid.home / "empty", "--from", hybrid.fetch())

    def test_an_agreement_without_it_is_delivered_after_it_was_switched_on(self, world, tmp_path):
        world.conclude()
        world.set_keys(manifest_mldsa="file:manifest-mldsa")
        deliver(world)
        Recipient(world, tmp_path / "recipient").open(world.published())

    def test_a_promise_of_it_is_not_kept_silently_without_it(self, hybrid):
        hybrid.world.set_keys(manifest_mldsa=None)
        with pytest.raises(KeyUnusable, match="set GLA_KEYS__MANIFEST_MLDSA"):
            deliver(hybrid.world, FEBRUARY)

    def test_staged_bytes_without_it_are_not_published(self, hybrid):
        world = hybrid.world

        def remove(name, function, *args):
            if name == "publish":
                for file in world.services.settings.staging_dir.glob(f"*/sealed-*/{PQ_SIGNATURE_NAME}"):
                    file.write_bytes(bytes(3309))
            return function(*args)

        with pytest.raises(DeliveryStateError):
            path.run(world.services, world.order(period=FEBRUARY), step=remove)


class TestLedger:
    @pytest.fixture
    def world(self, world: World) -> World:
        """One checkpoint by each of three ledger keys, and one made right after each rotation."""
        world.conclude()
        for period in (MARCH, FEBRUARY, JANUARY):
            deliver(world, period)
            rotate(world, Role.LEDGER)
        return world

    def verify(self, world: World, *options: object) -> Result:
        arguments = ["verify", *map(str, options)]
        return CliRunner().invoke(ledger, arguments, obj=world.services.settings, catch_exceptions=False)

    def test_checkpoints_of_all_keys_verify(self, world):
        assert "6 signed checkpoints witness the events" in self.verify(world).output

    def test_an_auditor_needs_one_public_key_of_any_time_and_the_history(self, world, tmp_path):
        (tmp_path / "history.jsonl").write_text(run(world, "history").output)
        for key in world.services.custody.published(Role.LEDGER):
            (tmp_path / "key.pub").write_text(f"{key.line}\n")
            options = ("--public-key", tmp_path / "key.pub", "--key-history", tmp_path / "history.jsonl")
            assert "6 signed checkpoints" in self.verify(world, *options).output
            with pytest.raises(LedgerTampered):
                self.verify(world, *options[:2])

    def test_a_replaced_key_witnesses_nothing_later_on(self, world):
        old = world.services.custody.signer(Role.LEDGER)
        rotate(world, Role.LEDGER, days=1)
        settings = world.services.settings
        later = world.services.clock() + timedelta(days=1)
        write_checkpoint(world.services.engine, settings.checkpoints_path, old, lambda: later)
        with pytest.raises(LedgerTampered, match="was not signed by our ledger key"):
            self.verify(world)

    def test_a_rotation_is_in_the_ledger_before_and_after(self, world):
        told = [event for event in world.events() if event["action"] == "key.rotated"]
        assert [event["result"] for event in told] == ["intended", "ok"] * 3
        assert {event["object"] for event in told} == {"key:ledger"}
        keys = world.services.custody.published(Role.LEDGER)
        assert [json.loads(event["detail"]) for event in told][1] == {
            "old": keys[0].fingerprint,
            "new": keys[1].fingerprint,
        }

    def test_a_rotation_that_fails_is_in_the_ledger(self, world):
        with pytest.raises(KeyUnusable):
            rotate_own(world.services, Role.LEDGER, "env:NOT_SET_AT_ALL", "tester")
        assert world.events()[-1]["result"] == "failed"


def run(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(keys, arguments, obj=world.services.settings, catch_exceptions=False)


class TestCommands:
    def test_a_key_is_replaced_and_the_inventory_tells_both(self, world):
        printed = run(world, "rotate-own", "manifest").output
        old, new = world.services.custody.published(Role.MANIFEST)
        assert f"manifest {new.fingerprint} takes the place of {old.fingerprint}" in printed
        listed = [row for row in json.loads(run(world, "inventory", "--json").output) if row["purpose"] == "manifest"]
        assert [(row["fingerprint"], row["state"], bool(row["until"])) for row in listed] == [
            (old.fingerprint, "replaced", True),
            (new.fingerprint, "in use", False),
        ]

    def test_the_inventory_has_owner_algorithm_and_dates_of_everyones_keys(self, world):
        rows = json.loads(run(world, "inventory", "--json").output)
        assert {(row["owner"], row["purpose"], row["algorithm"]) for row in rows} == {
            ("us", "agreement-seal", "Ed25519"),
            ("us", "manifest", "Ed25519"),
            ("us", "ledger", "Ed25519"),
            ("us", "dropzone-host", "Ed25519"),
            ("fonds", "seal", "ML-KEM-768 with X25519"),
            ("fonds", "sign", "Ed25519"),
        }
        assert all(row["since"] and row["fingerprint"].startswith("SHA256:") and row["public_key"] for row in rows)

    def test_a_revoked_key_ends_in_the_inventory_when_it_was_revoked(self, world):
        [seal] = [row for row in json.loads(run(world, "inventory", "--json").output) if row["purpose"] == "seal"]
        recipients.revoke(world.services, RECIPIENT, seal["fingerprint"], "tester", "stolen")
        [told] = [row for row in json.loads(run(world, "inventory", "--json").output) if row["purpose"] == "seal"]
        assert (told["state"], told["until"]) == ("revoked", to_rfc3339(world.services.clock()))

    @pytest.mark.parametrize("options", [(), ("--markdown",), ("--json",)])
    def test_the_inventory_shows_no_secret(self, world, options):
        world.services.custody.person_digest_keys()
        world.services.custody.identities()
        printed = run(world, "inventory", *options).output
        for role in (Role.PERSON_DIGESTS, Role.INTAKE, Role.MANIFEST):
            assert role in printed
            for line in world.services.custody.path(role).read_text().split():
                assert line not in printed or len(line) < 10

    def test_a_key_that_cannot_be_read_is_told_and_does_not_hide_the_others(self, world):
        world.set_keys(ledger="env:NOT_SET_AT_ALL")
        printed = run(world, "inventory").output
        assert "unusable: the variable NOT_SET_AT_ALL" in printed
        assert "us: manifest, Ed25519" in printed

    def test_a_secret_role_is_made_when_asked(self, world):
        assert "intake SHA256:" in run(world, "create", "intake").output
        with pytest.raises(KeyUnusable, match="not replaced"):
            run(world, "create", "intake")

    def test_a_history_that_was_tampered_with_is_not_given_out(self, world):
        file = world.services.custody.history_path
        file.write_bytes(file.read_bytes().replace(b"2026", b"2025", 1))
        with pytest.raises(SignerUnknown):
            run(world, "history")


@pytest.mark.server
def test_a_delivery_signed_inside_a_token_opens(world, token, tmp_path):
    """The manifest key moves into the token while an agreement is in force; the recipient is led there."""
    world.conclude()
    deliver(world)
    uri = token.uri("manifest-2026")
    rotate(world, Role.MANIFEST, to=uri)
    with pytest.raises(KeyUnusable, match="GLA_KEYS__MANIFEST"):
        deliver(world, FEBRUARY)
    world.set_keys(manifest=uri)
    deliver(world, FEBRUARY)
    assert "us: manifest, Ed25519" in run(world, "inventory").output
    recipient = Recipient(world, tmp_path / "recipient")
    for period in (MARCH, FEBRUARY):
        recipient.open(recipient.fetch(period))
    token.pin_file.write_text("0000")
    with pytest.raises(KeyUnusable, match="the PIN is wrong"):
        deliver(world, JANUARY)
