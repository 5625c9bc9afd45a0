"""Registering organisations and keys, and how that reaches the drop zone: at once, and never the wrong way."""

from __future__ import annotations

import json
import threading

import pytest

from agreements import registry
from agreements.rules import AgreementState
from core.database import reading
from core.errors import GlaError, KeyUnusable, UnusableInput
from flows.steps import lifecycle
from flows.steps.accounts import write_accounts
from flows.steps.draft import as_yaml, draft
from flows.steps.possession import prove
from flows.steps.recipients import register, revoke
from flows.steps.sealing_keys import usable_keys
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from schemas.accounts import Accounts
from schemas.agreement import load_agreement
from tests.delivery_world import AGREEMENT, returned

AGE = generate_identity("x25519")
KVK = "90000103"


@pytest.fixture
def ssh_key(tmp_path):
    """A key pair in files, as ssh-keygen leaves it; returns the private one."""
    from keys.private.custody import Custody, Role

    custody = Custody(tmp_path / "theirs")
    custody.create(Role.MANIFEST)
    private = tmp_path / "theirs" / Role.MANIFEST
    private.with_name("id.pub").write_text(custody.public_key(Role.MANIFEST).line + " someone@example\n")
    return private


def names(world):
    with reading(world.services.engine) as connection:
        return [name for name, _ in registry.list_recipients(connection)]


def keys(world, name="other"):
    with reading(world.services.engine) as connection:
        return registry.keys_of(connection, name)


def refused(world, error, age=(), ssh=(), kvk=KVK, name="other"):
    """It must be refused, tell nothing of what was pasted, and store nothing."""
    before = len(world.events())
    with pytest.raises(error) as caught:
        register(world.services, name, kvk, age, ssh)
    assert names(world) == ["fonds"]
    assert len(world.events()) == before
    assert caught.value.__context__ is None
    return str(caught.value)


class TestRegister:
    def test_keys_are_stored_in_their_canonical_form_and_told_in_the_ledger(self, world, ssh_key):
        added = register(world.services, "other", KVK, [f" {AGE.recipient}\n"], [str(ssh_key.with_name("id.pub"))])
        stored = {key.purpose: key for key in keys(world)}
        assert [each.key for each in added] == [stored["seal"], stored["sign"]]
        assert [stored[purpose].kind for purpose in ("seal", "sign")] == ["age-x25519", "ssh"]
        assert stored["seal"].public_key == str(AGE.recipient)
        assert stored["sign"].public_key.count(" ") == 1
        event, *challenges = world.events()[-3:]
        assert (event["action"], event["object"]) == ("recipient.added", "recipient:other")
        fingerprints = [each.key.fingerprint for each in added]
        assert json.loads(event["detail"])["keys"] == fingerprints
        assert [json.loads(each["detail"])["key"] for each in challenges] == fingerprints

    @pytest.mark.parametrize(
        "kvk", ["", "9000010", "900001020", "9000010a", " 90000103", "90000103\n", "\u06690000103"]
    )
    def test_kvk_number_of_another_form(self, world, kvk):
        assert "8 digits" in refused(world, UnusableInput, [str(AGE.recipient)], kvk=kvk)

    @pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "-rf", "a" * 201])
    def test_name_that_could_become_a_path(self, world, name):
        refused(world, UnusableInput, [str(AGE.recipient)], name=name)

    def test_name_of_another_organisation(self, world):
        refused(world, UnusableInput, [str(AGE.recipient)], name="fonds")

    def test_age_private_key_pasted_as_public(self, world):
        message = refused(world, KeyUnusable, [AGE.secret_text()])
        assert "PRIVATE" in message
        assert AGE.secret_text()[20:] not in message

    def test_hybrid_private_key_pasted_as_public(self, world):
        secret = generate_identity("hybrid").secret_text()
        assert "PRIVATE" in refused(world, KeyUnusable, [secret.lower()])

    def test_ssh_private_key_file_named_as_public(self, world, ssh_key):
        message = refused(world, KeyUnusable, ssh=[str(ssh_key)])
        assert "PRIVATE" in message
        assert ssh_key.read_text().splitlines()[1] not in message

    def test_ssh_private_key_pasted_as_public(self, world, ssh_key):
        message = refused(world, KeyUnusable, ssh=[ssh_key.read_text()])
        assert "PRIVATE" in message
        assert ssh_key.read_text().splitlines()[1] not in message

    def test_age_private_key_pasted_as_ssh_key(self, world):
        assert AGE.secret_text() not in refused(world, GlaError, ssh=[AGE.secret_text()])

    def test_public_keys_pasted_in_each_others_place(self, world):
        refused(world, KeyUnusable, [Signer.generate().public_key.line])
        refused(world, GlaError, ssh=[str(AGE.recipient)])

    @pytest.mark.parametrize("text", ["", "nothing.pub", "a\0b", "x" * 5000, "/", "ssh-ed25519", "ssh-dss AAAA"])
    def test_text_that_is_no_key_and_no_file(self, world, text):
        refused(world, GlaError, ssh=[text])

    def test_file_with_two_keys_is_refused_rather_than_half_read(self, world, tmp_path):
        file = tmp_path / "authorized_keys"
        file.write_text("".join(f"{Signer.generate().public_key.line}\n" for _ in range(2)))
        assert "one line" in refused(world, UnusableInput, ssh=[str(file)])

    def test_file_that_is_no_text(self, world, tmp_path):
        (tmp_path / "key.pub").write_bytes(b"\xff\xfe\x00")
        refused(world, UnusableInput, ssh=[str(tmp_path / "key.pub")])

    def test_one_bad_key_among_good_ones_stores_none(self, world):
        refused(world, KeyUnusable, [str(AGE.recipient), "age1nonsense"], [Signer.generate().public_key.line])

    def test_key_of_another_organisation_stores_none(self, world):
        theirs = world.signer.public_key.line
        assert "another organisation" in refused(world, UnusableInput, [str(AGE.recipient)], [theirs])

    def test_a_second_key_joins_the_first(self, world):
        register(world.services, "fonds", "90000102", [str(AGE.recipient)], [])
        assert len(keys(world, "fonds")) == 3


def accounts(world):
    file = Accounts.from_bytes((world.services.settings.dropzone_dir / "accounts.json").read_bytes())
    return {account.name: list(account.keys) for account in file.accounts}


class TestAccounts:
    def test_nobody_logs_in_before_both_signed_and_it_is_active(self, world):
        canonical = world.offer()
        assert accounts(world) == {}
        lifecycle.accept(world.services, AGREEMENT, world.signer.sign(canonical, "gla-agreement"), "tester")
        write_accounts(world.services)
        assert accounts(world) == {}
        lifecycle.activate(world.services, AGREEMENT, "tester")
        assert accounts(world) == {"fonds": [world.signer.public_key.line]}

    def test_what_was_delivered_may_be_fetched_after_the_end_and_not_after_a_revocation(self, world):
        world.conclude()
        lifecycle.stop(world.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
        assert list(accounts(world)) == ["fonds"]

    def test_the_last_revocation_takes_the_account_away(self, world):
        world.conclude()
        lifecycle.stop(world.services, AGREEMENT, AgreementState.REVOKED, "misuse", "tester")
        assert accounts(world) == {}

    def test_a_new_key_logs_in_at_once_and_a_revoked_one_no_more(self, world):
        world.conclude()
        second = Signer.generate().public_key
        register(world.services, "fonds", "90000102", [], [second.line])
        assert sorted(accounts(world)["fonds"]) == sorted([world.signer.public_key.line, second.line])
        revoke(world.services, "fonds", world.signer.public_key.fingerprint)
        assert accounts(world)["fonds"] == [second.line]
        assert world.events()[-1]["action"] == "key.revoked"

    def test_a_key_that_opens_deliveries_never_logs_in(self, world):
        world.conclude()
        assert "age1" not in json.dumps(accounts(world))

    def test_writers_at_the_same_time_leave_the_newest(self, world):
        """A writer that read the keys before a revocation may not write after the one that knows of it."""
        world.conclude()
        signers = [Signer.generate().public_key for _ in range(8)]
        register(world.services, "fonds", "90000102", [], [each.line for each in signers])
        threads = [
            threading.Thread(target=revoke, args=(world.services, "fonds", each.fingerprint)) for each in signers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert accounts(world)["fonds"] == [world.signer.public_key.line]

    def test_the_file_is_ours_alone_and_nothing_half_written_stays(self, world):
        world.conclude()
        folder = world.services.settings.dropzone_dir
        assert (folder / "accounts.json").stat().st_mode & 0o077 == 0
        assert sorted(item.name for item in folder.iterdir() if item.is_file()) == [
            ".accounts.json.lock",
            "accounts.json",
        ]


def test_nobody_revokes_the_key_of_another(world):
    with pytest.raises(UnusableInput, match="has no key"):
        revoke(world.services, "other", world.signer.public_key.fingerprint)
    assert not any(key.revoked for key in keys(world, "fonds"))


def test_a_thousand_keys_of_one_organisation(world):
    """All are registered, challenged and sealed to; nothing in it takes time with the square of their number."""
    identities = [generate_identity("x25519") for _ in range(1000)]
    signer = Signer.generate().public_key
    added = register(world.services, "other", KVK, [str(each.recipient) for each in identities], [signer.line])
    assert len(list(world.services.settings.challenges_dir.glob("other-*.age"))) == 1000
    assert len({each.challenge.stored.id for each in added}) == 1001
    prove(world.services, "other", returned(world.services, added[999], identities[999]))
    document = draft(world.services, AGREEMENT, "people", "other", ("id",), "day")
    agreement = load_agreement(as_yaml(document).encode())
    assert len(agreement.recipient_keys) == 1000
    assert [key.fingerprint for key in usable_keys(world.services, agreement)] == [added[999].key.fingerprint]
