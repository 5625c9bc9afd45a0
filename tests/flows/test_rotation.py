"""A recipient replaces its key by a signed statement; a thief of its SSH key, or of our database, does not."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta

import pytest
from sqlalchemy import update

from agreements import registry
from agreements.standing import Standing
from agreements.tables import key_rotations, recipient_keys
from core import errors
from core.database import reading, writing
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.possession import prove
from flows.steps.recipients import Validity, register, revoke
from flows.steps.rotation import rotate, statement_of
from keys.envelope.errors import NoMatchingKey
from keys.private.identities import generate_identity
from keys.private.opening import open_envelope
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import AGREEMENT, NOW, returned

TODAY = NOW.date()
NEW = generate_identity("hybrid")


def statement(world, new=NEW, old=None, first=TODAY, recipient="fonds"):
    return statement_of(recipient, old or world.identity.recipient.fingerprint, new.recipient, first)


def signed_in(world, new=NEW, signer=None, **said):
    """What the recipient sends, up to our challenge."""
    content = statement(world, new, **said)
    return rotate(world.services, "fonds", content, (signer or world.signer).sign(content, Namespace.ROTATION))


def rotated(world, new=NEW, old=None, **said):
    """The whole of it, with the recipient's two keys."""
    done = signed_in(world, new, old=old and old.recipient.fingerprint, **said)
    answer = returned(world.services, done, old or world.identity, new)
    assert prove(world.services, "fonds", answer) == new.recipient.fingerprint
    return done


def sealed_to(world, mode=Mode.RESUME):
    path.run(world.services, world.order(mode, "" if mode is Mode.RESUME else "test"))
    edition = world.services.ledger.latest_edition(AGREEMENT, world.order().period)
    sealed = world.services.ledger.get(AGREEMENT, world.order().period, edition).sealed
    return set(json.loads(sealed)["keys"])


def fingerprints(*identities):
    return {identity.recipient.fingerprint for identity in identities}


def key(world, identity):
    with reading(world.services.engine) as connection:
        return registry.find_key(connection, identity.recipient.fingerprint)


class TestRotation:
    def test_both_keys_are_sealed_to_and_after_the_overlap_only_the_new_one(self, world):
        world.conclude()
        rotated(world)
        assert sealed_to(world) == fingerprints(world.identity, NEW)
        for identity in (world.identity, NEW):
            with (world.published() / "people.parquet.age").open("rb") as file:
                assert open_envelope(file, [identity]).read()
        assert key(world, world.identity).valid_until == "2026-05-05T12:00:00.000Z"
        world.at(NOW + timedelta(days=30))
        assert sealed_to(world, Mode.CORRECT) == fingerprints(NEW)

    def test_nothing_changes_before_its_first_day(self, world):
        world.conclude()
        rotated(world, first=TODAY + timedelta(days=10))
        assert sealed_to(world) == fingerprints(world.identity)
        assert key(world, NEW).standing(NOW) is Standing.NOT_YET_VALID
        assert key(world, world.identity).valid_until == "2026-05-14T22:00:00.000Z"  # 30 days after the new one begins
        world.at(NOW + timedelta(days=10))
        assert sealed_to(world, Mode.CORRECT) == fingerprints(world.identity, NEW)

    def test_an_end_that_was_set_before_stays(self, world):
        world.conclude()
        last = Validity(last=date(2026, 4, 20))
        register(world.services, "fonds", None, [str(world.identity.recipient)], [], validity=last)
        rotated(world)
        assert key(world, world.identity).last_day() == "2026-04-20"

    def test_nothing_changes_before_the_challenge_is_answered(self, world):
        world.conclude()
        signed_in(world)
        assert sealed_to(world) == fingerprints(world.identity)
        assert key(world, world.identity).valid_until is None

    def test_a_statement_that_names_a_known_key_changes_none_of_its_dates_before_it_is_answered(self, world):
        """Else one signature with an SSH key, and no other proof, could stop a key that is in use, or bring it back."""
        [added] = register(world.services, "fonds", None, [str(NEW.recipient)], [])
        prove(world.services, "fonds", returned(world.services, added, NEW))
        world.conclude()
        before = key(world, NEW)
        done = signed_in(world, first=TODAY + timedelta(days=100))
        assert key(world, NEW) == before
        prove(world.services, "fonds", returned(world.services, done, world.identity, NEW))
        assert key(world, NEW) == before, "nor after that: it is in use"
        assert key(world, world.identity).valid_until == "2026-08-12T22:00:00.000Z"  # 30 days after that first day

    def test_a_later_statement_moves_a_first_day_that_is_still_to_come(self, world):
        signed_in(world, first=TODAY + timedelta(days=10))
        done = signed_in(world, first=TODAY + timedelta(days=5))
        assert key(world, NEW).valid_from == "2026-04-14T22:00:00.000Z"
        prove(world.services, "fonds", returned(world.services, done, world.identity, NEW))
        assert key(world, NEW).valid_from == "2026-04-09T22:00:00.000Z"

    def test_twice_in_a_row(self, world):
        world.conclude()
        third = generate_identity("hybrid")
        rotated(world)
        rotated(world, third, old=NEW)
        assert sealed_to(world) == fingerprints(world.identity, NEW, third)
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        assert sealed_to(world, Mode.CORRECT) == fingerprints(NEW, third)

    def test_the_same_statement_again_changes_nothing(self, world):
        world.conclude()
        signed_in(world)
        rotated(world)
        assert signed_in(world).challenge is None
        with reading(world.services.engine) as connection:
            assert len(registry.rotations_of(connection, "fonds")) == 1

    def test_to_a_post_quantum_key_seals_to_that_one_only(self, make_world):
        world = make_world(kind="x25519")
        world.conclude()
        rotated(world)
        assert sealed_to(world) == fingerprints(NEW)

    def test_what_is_told_of_it(self, world):
        rotated(world)
        told = [(event["action"], event["result"]) for event in world.events()[-3:]]
        assert told == [("key.rotated", "intended"), ("key.proven", "ok"), ("key.rotated", "ok")]
        assert "age1" not in json.dumps([event["detail"] for event in world.events()])

    @pytest.mark.server
    def test_ssh_keygen_signs_a_statement(self, world, require_program, tmp_path):
        keygen = require_program("ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
        register(world.services, "fonds", None, [], [str(tmp_path / "id.pub")])
        (tmp_path / "s.json").write_bytes(statement(world))
        command = [keygen, "-q", "-Y", "sign", "-n", "gla-rotation", "-f", tmp_path / "id", tmp_path / "s.json"]
        subprocess.run(command, check=True)
        done = rotate(world.services, "fonds", statement(world), (tmp_path / "s.json.sig").read_text())
        assert done.challenge is not None


class TestThief:
    def test_who_stole_the_ssh_key_cannot_answer(self, world):
        """The challenge opens with the old key first, and the thief of an SSH key has none."""
        world.conclude()
        thief = generate_identity("hybrid")
        done = signed_in(world, thief)
        with pytest.raises(NoMatchingKey):
            returned(world.services, done, thief)
        assert sealed_to(world) == fingerprints(world.identity)

    def test_who_stole_the_old_key_too_is_stopped_by_its_revocation(self, world):
        world.conclude()
        thief = generate_identity("hybrid")
        answer = returned(world.services, signed_in(world, thief), world.identity, thief)
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        with pytest.raises(errors.KeyNotProven, match="which it replaces, is revoked"):
            prove(world.services, "fonds", answer)
        with pytest.raises(errors.KeyUnusable):
            path.run(world.services, world.order())

    def test_a_plain_proof_of_the_new_key_does_not_confirm_the_statement(self, world):
        world.conclude()
        signed_in(world)
        [added] = register(world.services, "fonds", None, [str(NEW.recipient)], [])
        prove(world.services, "fonds", returned(world.services, added, NEW))
        assert key(world, NEW).standing(NOW) is Standing.VALID
        assert sealed_to(world) == fingerprints(world.identity)

    @pytest.mark.parametrize("case", ["a stranger", "a revoked key", "another purpose", "another text", "nonsense"])
    def test_a_statement_that_the_recipient_did_not_sign(self, world, case):
        content = statement(world)
        signer = Signer.generate()
        if case == "a revoked key":
            register(world.services, "fonds", None, [], [signer.public_key.line])
            revoke(world.services, "fonds", signer.public_key.fingerprint)
        signature = {
            "another purpose": world.signer.sign(content, Namespace.AGREEMENT),
            "another text": world.signer.sign(content + b"\n", Namespace.ROTATION),
            "nonsense": "nonsense",
        }.get(case) or signer.sign(content, Namespace.ROTATION)
        with pytest.raises(errors.SignerUnknown, match="gla-rotation"):
            rotate(world.services, "fonds", content, signature)
        assert key(world, NEW) is None
        assert (world.events()[-1]["action"], world.events()[-1]["result"]) == ("key.rotated", "refused")

    def test_a_valid_key_that_did_not_assent_rotates_nothing_of_this_agreement(self, world):
        world.conclude()
        second = Signer.generate()
        register(world.services, "fonds", None, [], [second.public_key.line])
        done = signed_in(world, signer=second)
        prove(world.services, "fonds", returned(world.services, done, world.identity, NEW))
        assert sealed_to(world) == fingerprints(world.identity)

    def test_the_revocation_of_the_signing_key_undoes_what_it_signed_in(self, world):
        world.conclude()
        rotated(world)
        second = Signer.generate()
        register(world.services, "fonds", None, [], [second.public_key.line])
        revoke(world.services, "fonds", world.signer.public_key.fingerprint)
        assert sealed_to(world) == fingerprints(world.identity)

    @pytest.mark.parametrize("change", ["statement", "signature", "old", "new", "recipient"])
    def test_a_row_changed_in_the_database_brings_no_key_in(self, world, change):
        world.conclude()
        evil = generate_identity("hybrid")
        [added] = register(world.services, "fonds", None, [str(evil.recipient)], [])
        prove(world.services, "fonds", returned(world.services, added, evil))
        rotated(world)
        values = {
            "statement": {"statement": statement(world, evil)},
            "signature": {"signature": Signer.generate().sign(statement(world), Namespace.ROTATION)},
            "old": {"old_fingerprint": evil.recipient.fingerprint},
            "new": {"new_fingerprint": evil.recipient.fingerprint},
            "recipient": {"statement": statement(world, recipient="other")},
        }[change]
        with writing(world.services.engine) as connection:
            connection.execute(update(key_rotations).values(**values))
        assert sealed_to(world) == fingerprints(world.identity)

    def test_an_earlier_first_day_in_the_database_counts_for_nothing(self, world):
        world.conclude()
        rotated(world, first=TODAY + timedelta(days=10))
        with writing(world.services.engine) as connection:
            connection.execute(update(recipient_keys).values(valid_from="2026-01-01T00:00:00.000Z"))
        assert sealed_to(world) == fingerprints(world.identity)


class TestRefused:
    def refused(self, world, error, match, **said):
        with pytest.raises(error, match=match):
            signed_in(world, **said)
        with reading(world.services.engine) as connection:
            assert registry.rotations_of(connection, "fonds") == []

    def test_a_weaker_key(self, world):
        self.refused(world, errors.KeyUnusable, "weaker", new=generate_identity("x25519"))

    def test_the_same_key(self, world):
        self.refused(world, errors.UnusableInput, "same key twice", new=world.identity)

    def test_a_statement_of_another_recipient(self, world):
        self.refused(world, errors.UnusableInput, "another recipient", recipient="other")

    def test_an_old_key_that_is_not_theirs(self, world):
        self.refused(world, errors.UnusableInput, "has no key", old=NEW.recipient.fingerprint)

    def test_a_signing_key_is_not_replaced_so(self, world):
        self.refused(world, errors.KeyUnusable, "not for sealing", old=world.signer.public_key.fingerprint)

    def test_a_revoked_old_key(self, world):
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        self.refused(world, errors.KeyUnusable, "it is revoked")

    def test_a_new_key_that_is_revoked(self, world):
        register(world.services, "fonds", None, [str(NEW.recipient)], [])
        revoke(world.services, "fonds", NEW.recipient.fingerprint)
        self.refused(world, errors.UnusableInput, "revoked")

    def test_a_new_key_that_an_operator_limited_is_not_brought_back(self, world):
        last = Validity(last=date(2026, 4, 20))
        register(world.services, "fonds", None, [str(NEW.recipient)], [], validity=last)
        world.at(NOW + timedelta(days=20))
        self.refused(world, errors.KeyUnusable, "was valid until 2026-04-20")
        assert key(world, NEW).last_day() == "2026-04-20"

    def test_a_new_key_of_another_organisation(self, world):
        register(world.services, "other", "90000103", [str(NEW.recipient)], [])
        self.refused(world, errors.UnusableInput, "another organisation")

    def test_a_private_key_as_the_new_one_is_not_repeated(self, world):
        content = statement(world).replace(str(NEW.recipient).encode(), NEW.secret_text().encode())
        with pytest.raises(errors.KeyUnusable, match="PRIVATE") as caught:
            rotate(world.services, "fonds", content, world.signer.sign(content, Namespace.ROTATION))
        assert NEW.secret_text()[20:] not in str(caught.value) + json.dumps(world.events(), default=repr)

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b" " * 3_000_000, b'{"recipient": "fonds"}']
    )
    def test_what_is_no_statement(self, world, content):
        with pytest.raises(errors.UnusableInput):
            rotate(world.services, "fonds", content, world.signer.sign(content, Namespace.ROTATION))
