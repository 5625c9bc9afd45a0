"""Proof of possession: what comes back from a recipient, from a thief, and from somebody who guesses."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from datetime import timedelta

import pytest
from sqlalchemy import select

from agreements import registry
from agreements.standing import Standing
from agreements.tables import key_challenges
from core.database import reading
from core.errors import KeyNotProven, KeyUnusable, UnusableInput
from flows.steps import path, possession
from flows.steps.possession import prove, prove_by_signature
from flows.steps.recipients import register, revoke
from keys.envelope.errors import NoMatchingKey
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import AGREEMENT, NOW, returned

KVK = "90000103"
OTHER = generate_identity("x25519")


@pytest.fixture
def added(world):
    """A new organisation with a key that nobody has proven."""
    [added] = register(world.services, "other", KVK, [str(OTHER.recipient)], [])
    return added


def key(world, fingerprint=OTHER.recipient.fingerprint):
    with reading(world.services.engine) as connection:
        return registry.find_key(connection, fingerprint)


def refused(world, text, match, name="other", error=KeyNotProven):
    """It proves nothing, is recorded, and what was returned stands nowhere."""
    with pytest.raises(error, match=match) as caught:
        prove(world.services, name, text)
    assert key(world).standing(NOW) is Standing.NOT_PROVEN
    assert text.strip() not in str(caught.value)
    assert text.strip() not in json.dumps(world.events(), default=repr)
    if error is KeyNotProven:
        event = world.events()[-1]
        assert (event["action"], event["result"]) == ("key.proven", "refused")


class TestAge:
    def test_the_holder_of_the_key_proves_it(self, world, added):
        assert key(world).standing(NOW) is Standing.NOT_PROVEN
        assert prove(world.services, "other", f" {returned(world.services, added, OTHER)}\n") == added.key.fingerprint
        assert (key(world).standing(NOW), key(world).proven_by) == (Standing.VALID, "challenge")
        assert json.loads(world.events()[-1]["detail"])["key"] == added.key.fingerprint

    def test_nobody_else_can_open_the_challenge(self, world, added):
        with pytest.raises(NoMatchingKey):
            returned(world.services, added, world.identity)

    def test_the_file_goes_with_the_proof(self, world, added):
        assert added.challenge.path(world.services).stat().st_mode & 0o777 == 0o600
        prove(world.services, "other", returned(world.services, added, OTHER))
        assert not added.challenge.path(world.services).exists()

    def test_a_challenge_used_twice(self, world, added):
        token = returned(world.services, added, OTHER)
        prove(world.services, "other", token)
        with pytest.raises(KeyNotProven, match="answered before"):
            prove(world.services, "other", token)

    def test_an_expired_challenge_and_a_new_one(self, world, added):
        token = returned(world.services, added, OTHER)
        world.at(NOW + timedelta(days=14))
        refused(world, token, "expired on 2026-04-19: gla keys add writes a new challenge")
        [again] = register(world.services, "other", None, [str(OTHER.recipient)], [])
        prove(world.services, "other", returned(world.services, again, OTHER))
        assert key(world).proven_at == "2026-04-19T12:00:00.000Z"

    def test_a_newer_challenge_replaces_the_older(self, world, added):
        token = returned(world.services, added, OTHER)
        [again] = register(world.services, "other", None, [str(OTHER.recipient)], [])
        assert not added.challenge.path(world.services).exists()
        refused(world, token, "answers no open challenge")
        prove(world.services, "other", returned(world.services, again, OTHER))

    def test_a_challenge_of_another_organisation(self, world, added):
        refused(world, returned(world.services, added, OTHER), "answers no open challenge", name="fonds")

    def test_a_challenge_to_another_key_proves_only_that_one(self, world, added):
        third = generate_identity("x25519")
        [theirs] = register(world.services, "other", None, [str(third.recipient)], [])
        prove(world.services, "other", returned(world.services, theirs, third))
        assert key(world).standing(NOW) is Standing.NOT_PROVEN
        assert key(world, third.recipient.fingerprint).standing(NOW) is Standing.VALID

    @pytest.mark.parametrize("part", [12, -64, -1], ids=["the id", "the first digit", "the last digit"])
    def test_a_guessed_token(self, world, added, part):
        token = returned(world.services, added, OTHER).strip()
        guess = [*token]
        guess[part] = "1" if guess[part] != "1" else "2"
        refused(world, "".join(guess), "answers no open challenge")

    @pytest.mark.parametrize("text", ["", "gla-proof-", "x" * 100_000, "gla-proof-\u0660" + "0" * 95, "a\0b"])
    def test_text_that_is_no_token_is_not_repeated(self, world, added, text):
        with pytest.raises(UnusableInput, match="not the text of a challenge"):
            prove(world.services, "other", text)

    def test_a_token_with_something_around_it(self, world, added):
        token = returned(world.services, added, OTHER).strip()
        for text in (f"{token}x", f"x{token}", token.upper(), token[:-1]):
            refused(world, text, "not the text", error=UnusableInput)

    def test_an_unknown_recipient(self, world, added):
        refused(world, returned(world.services, added, OTHER), "no recipient", name="nobody", error=UnusableInput)

    def test_a_challenge_to_a_key_that_was_revoked(self, world, added):
        token = returned(world.services, added, OTHER)
        revoke(world.services, "other", OTHER.recipient.fingerprint)
        with pytest.raises(KeyNotProven, match="answers no open challenge"):
            prove(world.services, "other", token)
        assert key(world).standing(NOW) is Standing.REVOKED
        assert not added.challenge.path(world.services).exists()

    def test_a_row_moved_to_another_organisation_or_key_in_the_database(self, world, added):
        """The digest that is kept also binds the token to what it was made for."""
        from sqlalchemy import update

        from core.database import writing

        token = returned(world.services, added, OTHER)
        third = generate_identity("x25519").recipient
        register(world.services, "other", None, [str(third)], [])
        with writing(world.services.engine) as connection:
            connection.execute(
                update(key_challenges)
                .where(key_challenges.c.fingerprint == OTHER.recipient.fingerprint)
                .values(fingerprint=third.fingerprint)
            )
        refused(world, token, "answers no open challenge")
        assert key(world, third.fingerprint).standing(NOW) is Standing.NOT_PROVEN

    def test_a_proven_key_registered_again_gets_no_challenge(self, world, added):
        prove(world.services, "other", returned(world.services, added, OTHER))
        [again] = register(world.services, "other", None, [str(OTHER.recipient)], [])
        assert again.challenge is None
        assert again.key.proven_by == "challenge"

    def test_the_token_is_neither_kept_nor_logged(self, world, caplog):
        caplog.set_level(logging.DEBUG)
        [added] = register(world.services, "other", KVK, [str(OTHER.recipient)], [])
        token = returned(world.services, added, OTHER).strip()
        prove(world.services, "other", token)
        secret = token.rpartition("-")[2]
        assert secret not in caplog.text
        with reading(world.services.engine) as connection:
            rows = [dict(row._mapping) for row in connection.execute(select(key_challenges))]
        assert secret not in json.dumps(rows, default=repr) + json.dumps(world.events(), default=repr) + repr(added)
        for file in world.home.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


class TestSsh:
    def test_a_signature_over_the_text_proves_the_key(self, world):
        signer = Signer.generate()
        [added] = register(world.services, "other", KVK, [], [signer.public_key.line])
        text = added.challenge.path(world.services).read_bytes()
        prove_by_signature(world.services, "other", signer.sign(text, Namespace.POSSESSION))
        assert key(world, signer.public_key.fingerprint).proven_by == "signature"
        with pytest.raises(KeyNotProven, match="answered before"):
            prove_by_signature(world.services, "other", signer.sign(text, Namespace.POSSESSION))

    @pytest.mark.parametrize("case", ["another purpose", "another key", "another text", "no signature", "expired"])
    def test_a_signature_that_proves_nothing(self, world, case):
        signer = Signer.generate()
        [added] = register(world.services, "other", KVK, [], [signer.public_key.line])
        text = added.challenge.path(world.services).read_bytes()
        signature = {
            "another purpose": signer.sign(text, Namespace.RECEIPT),
            "another key": world.signer.sign(text, Namespace.POSSESSION),
            "another text": signer.sign(text + b" ", Namespace.POSSESSION),
            "no signature": "nonsense",
            "expired": signer.sign(text, Namespace.POSSESSION),
        }[case]
        if case == "expired":
            world.at(NOW + timedelta(days=15))
        with pytest.raises(KeyNotProven):
            prove_by_signature(world.services, "other", signature)
        assert key(world, signer.public_key.fingerprint).standing(NOW) is Standing.NOT_PROVEN

    def test_an_assent_proves_the_key_that_signed_it(self, world):
        assert key(world, world.signer.public_key.fingerprint).standing(NOW) is Standing.NOT_PROVEN
        world.conclude()
        assert key(world, world.signer.public_key.fingerprint).proven_by == "assent"

    @pytest.mark.server
    def test_ssh_keygen_signs_the_text(self, world, require_program, tmp_path):
        keygen = require_program("ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True)
        [added] = register(world.services, "other", KVK, [], [str(tmp_path / "id.pub")])
        file = added.challenge.path(world.services)
        subprocess.run([keygen, "-q", "-Y", "sign", "-n", "gla-possession", "-f", tmp_path / "id", file], check=True)
        prove_by_signature(world.services, "other", file.with_name(f"{file.name}.sig").read_text())
        assert key(world, added.key.fingerprint).standing(NOW) is Standing.VALID


@pytest.mark.server
def test_debians_age_opens_a_challenge(world, added, require_program, tmp_path):
    (tmp_path / "key").write_text(f"{OTHER.secret_text()}\n")
    file = added.challenge.path(world.services)
    token = subprocess.check_output([require_program("age"), "-d", "-i", tmp_path / "key", file], text=True)
    prove(world.services, "other", token)


class TestDelivery:
    def unproven(self, world):
        """An agreement that names only a key that nobody has proven."""
        second = generate_identity("hybrid")
        [added] = register(world.services, "fonds", None, [str(second.recipient)], [])
        world.conclude(world.document(recipientKeys=[second.recipient.fingerprint]))
        return second, added

    def test_nothing_is_sealed_to_a_key_that_is_not_proven(self, world):
        second, added = self.unproven(world)
        with pytest.raises(KeyNotProven, match=re.escape("returns the text (gla keys prove)")) as caught:
            path.run(world.services, world.order())
        assert caught.value.exit_code == 38
        assert second.recipient.fingerprint in str(caught.value)
        assert world.visible_files() == []
        assert world.events()[-1]["action"] == "delivery.refused"
        prove(world.services, "fonds", returned(world.services, added, second))
        path.run(world.services, world.order())
        assert world.published().is_dir()

    def test_a_key_that_is_proven_does_not_wait_for_one_that_is_not(self, world):
        second = generate_identity("hybrid")
        register(world.services, "fonds", None, [str(second.recipient)], [])
        world.conclude()
        path.run(world.services, world.order())
        sealed = json.loads(world.services.ledger.get(AGREEMENT, world.order().period, 1).sealed)
        assert sealed["keys"] == [world.identity.recipient.fingerprint]

    def test_a_revoked_key_beside_one_that_is_not_proven_is_told_too(self, world):
        second = generate_identity("hybrid")
        register(world.services, "fonds", None, [str(second.recipient)], [])
        world.conclude()
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        with pytest.raises(
            KeyNotProven, match=f"key {re.escape(second.recipient.fingerprint)} is not proven: "
        ) as caught:
            path.run(world.services, world.order())
        assert f"key {world.identity.recipient.fingerprint} is revoked: " in str(caught.value)

    def test_a_key_that_disappeared_from_the_database(self, world):
        from sqlalchemy import delete

        from agreements.tables import recipient_keys
        from core.database import writing

        world.conclude()
        with writing(world.services.engine) as connection:
            connection.execute(delete(key_challenges))
            connection.execute(delete(recipient_keys).where(recipient_keys.c.purpose == "seal"))
        with pytest.raises(KeyUnusable, match="is not registered"):
            path.run(world.services, world.order())

    def test_a_crash_before_the_file_was_written_costs_a_new_challenge_only(self, world, monkeypatch):
        def crash(*_, mode):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(possession, "write_file", crash)
            with pytest.raises(KeyboardInterrupt):
                register(world.services, "other", KVK, [str(OTHER.recipient)], [])
        assert key(world).standing(NOW) is Standing.NOT_PROVEN
        [again] = register(world.services, "other", None, [str(OTHER.recipient)], [])
        prove(world.services, "other", returned(world.services, again, OTHER))
