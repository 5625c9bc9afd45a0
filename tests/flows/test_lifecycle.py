"""Offers that could never be delivered are refused at once, and assent is given only once, by a valid key."""

from __future__ import annotations

import json

import pytest

from agreements import store
from agreements.rules import AgreementState
from core.database import reading
from core.errors import AgreementStateError, SignerUnknown, UnusableInput
from flows.steps import lifecycle
from flows.steps.draft import as_yaml
from flows.steps.recipients import register, revoke
from keys.private.custody import Role
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from tests.delivery_world import AGREEMENT


def refused(world, document, match):
    before = len(world.events())
    with pytest.raises(UnusableInput, match=match) as caught:
        world.offer(document)
    assert caught.value.__context__ is None
    with reading(world.services.engine) as connection:
        assert store.find(connection, AGREEMENT) is None
    assert len(world.events()) == before
    assert not (world.home / "agreements").exists()


def state(world):
    with reading(world.services.engine) as connection:
        return store.get(connection, AGREEMENT).state


def assent(world, canonical, signer=None):
    return (signer or world.signer).sign(canonical, "gla-agreement")


class TestOffer:
    def test_offered_bytes_are_in_the_file_that_the_recipient_signs(self, world):
        agreement, path = lifecycle.offer(world.services, as_yaml(world.document()).encode(), "tester")
        assert path.read_bytes() == agreement.canonical
        assert world.events()[-1]["action"] == "agreement.offered"
        assert json.loads(world.events()[-1]["detail"])["digest"] == agreement.digest

    def test_sender_key_that_is_not_ours(self, world):
        refused(world, world.document(senderKey=Signer.generate().public_key.line), "senderKey is not our key")

    def test_another_key_of_ours_as_sender_key(self, world):
        ours = world.services.custody.public_key(Role.AGREEMENT_SEAL).line
        refused(world, world.document(senderKey=ours), "senderKey is not our key")

    @pytest.mark.parametrize("term", ["source", "destination"])
    def test_unknown_source_or_destination(self, world, term):
        refused(world, world.document(**{term: "nowhere"}), "nowhere")

    def test_unknown_recipient(self, world):
        refused(world, world.document(recipient={"name": "nobody", "kvk": "90000102"}), "has no valid key")

    def test_recipient_with_another_kvk_number(self, world):
        refused(world, world.document(recipient={"name": "fonds", "kvk": "90000103"}), "another KvK number")

    @pytest.mark.parametrize("term", ["recipientKeys", "recipientSigner"])
    def test_unknown_key(self, world, term):
        unknown = Signer.generate().public_key.fingerprint
        refused(world, world.document(**{term: [unknown] if term == "recipientKeys" else unknown}), "has no valid key")

    def test_key_of_another_organisation(self, world):
        theirs = generate_identity("x25519").recipient
        register(world.services, "other", "90000103", [str(theirs)], [])
        refused(world, world.document(recipientKeys=[theirs.fingerprint]), "has no valid key")

    def test_revoked_key(self, world):
        document = world.document()
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        refused(world, document, "has no valid key")

    def test_keys_of_two_kinds_that_can_not_share_a_file(self, world):
        other = generate_identity("x25519").recipient
        register(world.services, "fonds", "90000102", [str(other)], [])
        both = [world.identity.recipient.fingerprint, other.fingerprint]
        refused(world, world.document(recipientKeys=both), "keep one kind")

    def test_keys_in_each_others_place(self, world):
        seal, sign = world.identity.recipient.fingerprint, world.signer.public_key.fingerprint
        refused(world, world.document(recipientKeys=[sign]), "to seal with")
        refused(world, world.document(recipientSigner=seal), "to sign with")

    @pytest.mark.parametrize(
        "column",
        [
            {"logicalTypeOptions": {"pattern": "("}},
            {"logicalTypeOptions": {"minimum": 5}},
            {"quality": [{"type": "sql", "query": "SELECT 1", "mustBe": 0}]},
        ],
    )
    def test_contract_that_does_not_compile(self, world, column):
        document = world.document()
        document["schema"][0]["properties"][3] |= column
        refused(world, document, "pattern|ODCS|quality")

    def test_what_is_no_agreement(self, world):
        with pytest.raises(UnusableInput):
            lifecycle.offer(world.services, b"id: x\n", "tester")

    def test_a_changed_offer_replaces_the_one_before_it_was_accepted(self, world):
        first = world.offer()
        second = world.offer(world.document(empty="deliver"))
        assert first != second
        assert (world.home / "agreements" / f"{AGREEMENT}.json").read_bytes() == second
        with pytest.raises(SignerUnknown):
            lifecycle.accept(world.services, AGREEMENT, assent(world, first), "tester")
        lifecycle.accept(world.services, AGREEMENT, assent(world, second), "tester")

    def test_an_agreed_id_is_not_offered_again_and_its_file_stays(self, world):
        world.conclude()
        file = world.home / "agreements" / f"{AGREEMENT}.json"
        before = file.read_bytes()
        with pytest.raises(AgreementStateError, match="new id"):
            world.offer(world.document(empty="deliver"))
        assert file.read_bytes() == before
        assert state(world) is AgreementState.ACTIVE


class TestAccept:
    def test_by_a_key_that_was_revoked_after_the_offer(self, world):
        canonical = world.offer()
        revoke(world.services, "fonds", world.signer.public_key.fingerprint)
        with pytest.raises(SignerUnknown, match="revoked"):
            lifecycle.accept(world.services, AGREEMENT, assent(world, canonical), "tester")
        assert state(world) is AgreementState.OFFERED
        assert world.events()[-1]["action"] == "agreement.refused"

    def test_by_another_key_of_the_recipient_than_the_offer_names(self, world):
        canonical, second = world.offer(), Signer.generate()
        register(world.services, "fonds", "90000102", [], [second.public_key.line])
        with pytest.raises(SignerUnknown):
            lifecycle.accept(world.services, AGREEMENT, assent(world, canonical, second), "tester")

    @pytest.mark.parametrize("signature", ["", "yes", "\x00", "-----BEGIN SSH SIGNATURE-----"])
    def test_by_what_is_no_signature(self, world, signature):
        world.offer()
        with pytest.raises(SignerUnknown):
            lifecycle.accept(world.services, AGREEMENT, signature, "tester")
        assert state(world) is AgreementState.OFFERED

    def test_twice(self, world):
        canonical = world.offer()
        lifecycle.accept(world.services, AGREEMENT, assent(world, canonical), "tester")
        with pytest.raises(AgreementStateError):
            lifecycle.accept(world.services, AGREEMENT, assent(world, canonical), "tester")

    def test_an_agreement_that_does_not_exist(self, world):
        with pytest.raises(UnusableInput, match="there is no agreement"):
            lifecycle.accept(world.services, "GLA-0", "x", "tester")


class TestActivateAndStop:
    def test_without_assent_nothing_is_active(self, world):
        world.offer()
        with pytest.raises(SignerUnknown, match="no assent"):
            lifecycle.activate(world.services, AGREEMENT, "tester")
        assert state(world) is AgreementState.OFFERED

    @pytest.mark.parametrize("reason", ["", "  \n"])
    def test_stopping_needs_a_reason(self, world, reason):
        world.conclude()
        with pytest.raises(UnusableInput, match="reason"):
            lifecycle.stop(world.services, AGREEMENT, AgreementState.REVOKED, reason, "tester")
        assert state(world) is AgreementState.ACTIVE

    def test_what_was_revoked_never_comes_back(self, world):
        world.conclude()
        lifecycle.stop(world.services, AGREEMENT, AgreementState.REVOKED, "misuse", "tester")
        with pytest.raises(AgreementStateError):
            lifecycle.activate(world.services, AGREEMENT, "tester")
        with pytest.raises(AgreementStateError):
            lifecycle.stop(world.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
        with pytest.raises(AgreementStateError):
            world.offer()
        assert state(world) is AgreementState.REVOKED
