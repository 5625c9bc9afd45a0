"""Recipients with OpenPGP or X.509 keys, attacked and in their limits: what is refused, when, and what it leaves."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from pysequoia import CipherSuite, Profile, Tsk

from core.clock import utc_now
from core.errors import KeyUnusable, UnusableInput
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml
from flows.steps.order import Mode
from flows.steps.possession import prove
from flows.steps.recipients import register, revoke
from keys.cms import sealing
from keys.private.kinds import open_envelope, parse_private_keys
from keys.private.rotation import rotate
from keys.roles import Role
from schemas.envelopes import CMS, OPENPGP, form_of_file
from tests.delivery_world import NOW, RECIPIENT, World
from tests.foreign_keys import certificate_pair

LATER = timedelta(minutes=1)  # keys that Sequoia makes are born now


def only_key(world: World, public: str, private: bytes) -> None:
    """Make `public` the recipient's only key, proven."""
    [added] = register(world.services, RECIPIENT, "90000102", [public], [])
    assert added.challenge is not None
    content = added.challenge.path(world.services).read_bytes()
    prove(world.services, RECIPIENT, open_envelope(io.BytesIO(content), parse_private_keys(private)).read().decode())
    revoke(world.services, RECIPIENT, world.identity.recipient.fingerprint)


@pytest.fixture
def x509_world(make_world) -> World:
    world = make_world()
    private, public = certificate_pair()
    only_key(world, public.decode(), private + public)
    return world


def openpgp_world(make_world, tsk: Tsk) -> World:
    world = make_world()
    world.at(utc_now() + LATER)
    only_key(world, str(tsk.extract_certificate()), bytes(tsk))
    document = world.document()
    for term in document["customProperties"]:
        if term["property"] in ("gla.validFrom", "gla.validUntil"):
            term["value"] = "2026-01-01" if term["property"].endswith("From") else "2999-12-31"
    world.conclude(document)
    return world


def staged(world: World) -> list[Path]:
    return [file for file in world.services.settings.staging_dir.rglob("*") if file.is_file()]


def test_more_than_cms_can_hold_is_refused_while_it_is_written_and_leaves_nothing(x509_world, monkeypatch):
    monkeypatch.setattr(sealing, "LIMIT", 1000)
    x509_world.conclude()
    with pytest.raises(UnusableInput, match=r"file for an X\.509 certificate .* agree on parts"):
        path.run(x509_world.services, x509_world.order())
    assert staged(x509_world) == []
    assert x509_world.visible_files() == []


def test_a_certificate_that_expired_since_stops_the_sealing_and_says_so(make_world):
    world = make_world()
    private, public = certificate_pair(days=120)  # until 1 May
    only_key(world, public.decode(), private + public)
    world.conclude()
    world.at(NOW + timedelta(days=60))
    with pytest.raises(KeyUnusable, match=r"2026-0[45]-[0-9]{2}"):
        path.run(world.services, world.order())
    assert world.visible_files() == []


@pytest.mark.parametrize("start", [1, -400])
def test_a_certificate_out_of_its_time_is_not_registered(world, start):
    _, public = certificate_pair(start=NOW + timedelta(days=start), days=300)
    with pytest.raises(KeyUnusable, match=r"not valid before|expired on"):
        register(world.services, RECIPIENT, "90000102", [public.decode()], [])


def test_private_keys_are_refused_and_stand_nowhere_in_the_home(world, tmp_path):
    private, _ = certificate_pair()
    file = tmp_path / "secret.asc"
    for secret in (private, str(Tsk.generate("fonds")).encode()):
        file.write_bytes(secret)
        with pytest.raises(KeyUnusable, match="PRIVATE key, not a public one"):
            register(world.services, RECIPIENT, "90000102", [str(file)], [])
        part = secret.splitlines()[5]
        assert not [each for each in world.home.rglob("*") if each.is_file() and part in each.read_bytes()]


def test_an_openpgp_certificate_of_another_organisation_is_refused(make_world):
    tsk = Tsk.generate("fonds")
    world = openpgp_world(make_world, tsk)
    with pytest.raises(UnusableInput, match="belongs to another organisation"):
        register(world.services, "other", "90000103", [str(tsk.extract_certificate())], [])


def test_a_post_quantum_openpgp_recipient_gets_a_delivery(make_world):
    tsk = Tsk.generate("fonds", profile=Profile.RFC9580, cipher_suite=CipherSuite.MLDSA65_Ed25519)
    world = openpgp_world(make_world, tsk)
    path.run(world.services, world.order())
    sealed = world.published() / "people.parquet.pgp"
    assert open_envelope(io.BytesIO(sealed.read_bytes()), parse_private_keys(bytes(tsk))).read(4) == b"PAR1"


def test_a_delivery_to_an_openpgp_key_needs_no_folder_for_temporary_files(make_world, monkeypatch, tmp_path):
    """Neither process has where to put plaintext: nothing can be written but the staged ciphertext and our records."""
    world = openpgp_world(make_world, Tsk.generate("fonds"))
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))
    path.run(world.services, world.order())
    assert all(form_of_file(file.name) is OPENPGP or file.name.startswith("manifest") for file in staged(world))
    for file in (each for each in tmp_path.rglob("*") if each.is_file() and each != world.source):
        assert b"nota-000" not in file.read_bytes(), file


def test_an_earlier_key_of_ours_goes_on_signing_for_the_agreement_that_names_it(make_world):
    tsk = Tsk.generate("fonds")
    world = openpgp_world(make_world, tsk)
    old, new = rotate(world.services.custody, Role.OPENPGP)
    assert old.fingerprint != new.fingerprint
    path.run(world.services, world.order())
    terms = {term["property"]: term["value"] for term in world.document()["customProperties"]}
    assert terms["gla.senderOpenpgp"] == new.fingerprint


def test_an_offer_that_names_an_openpgp_key_that_is_not_ours_is_refused(world):
    with pytest.raises(KeyUnusable, match="not an OpenPGP key of ours"):
        world.offer(world.document(senderOpenpgp=f"OPENPGP:{'A' * 40}"))


def test_kinds_of_key_are_never_mixed_in_an_agreement(x509_world):
    terms = {term["property"]: term["value"] for term in x509_world.document()["customProperties"]}
    both = [*terms["gla.recipientKeys"], x509_world.identity.recipient.fingerprint]
    with pytest.raises(UnusableInput, match="may not share a delivery: keep one kind"):
        lifecycle.offer(x509_world.services, as_yaml(x509_world.document(recipientKeys=both)).encode(), "tester")


def test_files_of_an_x509_delivery_are_named_after_their_form(x509_world):
    x509_world.conclude()
    path.run(x509_world.services, x509_world.order())
    sealed = [name for name in x509_world.visible_files() if "manifest" not in name]
    assert len(sealed) == 3
    assert all(form_of_file(name) is CMS for name in sealed)
    assert path.run(x509_world.services, x509_world.order(Mode.REDELIVER, "lost")).edition == 1
