"""Rotation of our own keys: stopped at any moment it is finished by doing it again, and nothing old is lost."""

from __future__ import annotations

import io
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest

from core.errors import KeyUnusable
from keys.envelope.seal import Sealer
from keys.private import rotation
from keys.private.custody import Custody, Role
from keys.private.derived import LocalDerivingKey
from keys.private.opening import open_envelope
from keys.private.rotation import rotate
from keys.published import check_value
from keys.roles import SSH_ROLES
from keys.sshsig import Namespace

MLDSA = {Role.MANIFEST_MLDSA: "file:manifest-mldsa"}


@pytest.fixture
def custody(tmp_path: Path) -> Custody:
    custody = Custody(tmp_path / "keys", MLDSA)
    for role in Role:
        custody.create(role)
    return custody


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_a_new_key_and_keeps_the_old_public_one(custody: Custody, role: Role) -> None:
    [before] = custody.published(role)
    old, new = rotate(custody, role)
    assert [key.line for key in custody.published(role)] == [before.line, new.line]
    assert (old.line, old.until, new.until) == (before.line, new.since, None)
    assert stat.S_IMODE(custody.path(role).stat().st_mode) == 0o600


def test_other_roles_are_untouched(custody: Custody) -> None:
    before = {role: custody.published(role) for role in Role}
    rotate(custody, Role.LEDGER)
    assert {role for role in Role if custody.published(role) != before[role]} == {Role.LEDGER}


@pytest.mark.parametrize("role", SSH_ROLES)
def test_the_old_private_key_of_a_signer_is_gone(custody: Custody, role: Role) -> None:
    old = custody.path(role).read_bytes().splitlines()[3]
    rotate(custody, role)
    assert not [path for path in custody.directory.iterdir() if old in path.read_bytes()]


def test_what_was_sealed_to_an_earlier_identity_still_opens(custody: Custody) -> None:
    [identity] = custody.identities()
    sealed = io.BytesIO()
    with Sealer(sealed, [identity.recipient]) as sealer:
        sealer.write(b"to us")
    rotate(custody, Role.INTAKE)
    newest, oldest = custody.identities()
    assert (oldest.recipient, newest.recipient != oldest.recipient) == (identity.recipient, True)
    assert open_envelope(io.BytesIO(sealed.getvalue()), custody.identities()).read() == b"to us"


def test_the_earlier_secret_of_digests_is_kept_behind_the_new_one(custody: Custody) -> None:
    [first] = custody.person_digest_keys()
    rotate(custody, Role.PERSON_DIGESTS)
    newest, oldest = custody.person_digest_keys()
    assert oldest.name == first.name != newest.name
    assert not list(custody.directory.glob("*.earlier")), "they stand in one file"


@pytest.mark.parametrize("to", [None, "file:elsewhere"])
def test_a_key_for_digests_that_was_published_before_tokens_held_any_is_used_and_replaced(
    tmp_path: Path, to: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    custody = Custody(tmp_path / "keys")
    custody.create(Role.AGREEMENT_SEAL)
    with monkeypatch.context() as patched:
        patched.setattr(LocalDerivingKey, "name", property(lambda key: check_value(key.secret.reveal())))
        custody.create(Role.PERSON_DIGESTS)
    [key], [published] = custody.person_digest_keys(), custody.published(Role.PERSON_DIGESTS)
    assert key.name != published.line
    assert key.answers_to(published.line)
    old, new = rotate(custody, Role.PERSON_DIGESTS, to)
    newest, oldest = Custody(custody.directory, {Role.PERSON_DIGESTS: to} if to else {}).person_digest_keys()
    assert (old.line, new.line, oldest.name) == (published.line, newest.name, key.name)


class Stopped(BaseException):
    """As a kill would."""


@pytest.mark.parametrize("role", [Role.MANIFEST, Role.INTAKE, Role.MANIFEST_MLDSA, Role.PERSON_DIGESTS])
@pytest.mark.parametrize("moment", ["made", "before it is published", "published"])
def test_an_interrupted_rotation_is_finished_by_the_same_call(
    custody: Custody, role: Role, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = custody.published(role)

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    place, name = {
        "made": (Custody, "publish"),
        "before it is published": (rotation, "is_published_as"),
        "published": (Path, "replace"),
    }[moment]
    with monkeypatch.context() as patched:
        patched.setattr(place, name, stop)
        with pytest.raises(Stopped):
            rotate(custody, role)
    if moment == "published":
        with pytest.raises(KeyUnusable, match=f"rotate-own {role}"):
            custody.published(role)
    old, new = rotate(custody, role)
    assert old == first.__class__(first.role, first.line, first.since, new.since)
    assert custody.published(role) == (old, new)
    assert not [path.name for path in custody.directory.iterdir() if path.name.endswith(".next")]


def test_a_key_that_was_replaced_elsewhere_signs_nothing_any_more(custody: Custody) -> None:
    kept = custody.path(Role.LEDGER).read_bytes()
    rotate(custody, Role.LEDGER)
    custody.path(Role.LEDGER).write_bytes(kept)
    with pytest.raises(KeyUnusable, match="GLA_KEYS__LEDGER"):
        custody.signer(Role.LEDGER)


def test_a_key_that_was_lost_is_not_made_anew_by_the_way(custody: Custody) -> None:
    custody.path(Role.INTAKE).unlink()
    with pytest.raises(KeyUnusable, match="rotate-own intake"):
        custody.identities()
    with pytest.raises(KeyUnusable, match="already"):
        custody.create(Role.LEDGER)
    assert not custody.exists(Role.INTAKE)


def test_a_key_that_was_swapped_without_a_rotation_is_not_used(custody: Custody, tmp_path: Path) -> None:
    other = Custody(tmp_path / "other")
    other.create(Role.MANIFEST)
    other.path(Role.MANIFEST).replace(custody.path(Role.MANIFEST))
    with pytest.raises(KeyUnusable, match="history of our keys ends with"):
        custody.signer(Role.MANIFEST)


def test_a_key_moves_to_another_file_and_the_settings_must_follow(custody: Custody, tmp_path: Path) -> None:
    old, new = rotate(custody, Role.LEDGER, f"file:{tmp_path}/elsewhere")
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o600
    with pytest.raises(KeyUnusable, match="GLA_KEYS__LEDGER"):
        custody.signer(Role.LEDGER)
    moved = Custody(custody.directory, {Role.LEDGER: f"file:{tmp_path}/elsewhere"})
    assert moved.published(Role.LEDGER) == (old, new)
    assert moved.signer(Role.LEDGER).public_key.line == new.line


def test_a_key_moves_to_a_variable(custody: Custody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyUnusable, match="NEW_KEY of the environment"):
        rotate(custody, Role.MANIFEST, "env:NEW_KEY")
    other = Custody(tmp_path / "other")
    other.create(Role.MANIFEST)
    monkeypatch.setenv("NEW_KEY", other.path(Role.MANIFEST).read_text())
    _, new = rotate(custody, Role.MANIFEST, "env:NEW_KEY")
    moved = Custody(custody.directory, {Role.MANIFEST: "env:NEW_KEY"})
    assert moved.signer(Role.MANIFEST).public_key.line == new.line == other.public_key(Role.MANIFEST).line


def test_identities_that_move_must_bring_the_earlier_ones(custody: Custody, monkeypatch: pytest.MonkeyPatch) -> None:
    old = custody.path(Role.INTAKE).read_text()
    fresh = custody.directory.parent / "fresh"
    new = Custody(fresh)
    new.create(Role.AGREEMENT_SEAL)
    new.create(Role.INTAKE)
    monkeypatch.setenv("NEW_KEY", new.path(Role.INTAKE).read_text())
    with pytest.raises(KeyUnusable, match="must hold the earlier"):
        rotate(custody, Role.INTAKE, "env:NEW_KEY")
    monkeypatch.setenv("NEW_KEY", new.path(Role.INTAKE).read_text() + old)
    rotate(custody, Role.INTAKE, "env:NEW_KEY")
    assert len(Custody(custody.directory, {Role.INTAKE: "env:NEW_KEY"}).identities()) == 2


@pytest.mark.parametrize("role", [Role.INTAKE, Role.PERSON_DIGESTS, Role.OPENPGP])
def test_what_opens_or_names_what_is_old_moves_along_to_another_file(
    custody: Custody, role: Role, tmp_path: Path
) -> None:
    earlier = custody.path(role).read_bytes()
    _, new = rotate(custody, role, f"file:{tmp_path}/elsewhere")
    assert (tmp_path / "elsewhere").read_bytes().endswith(earlier)
    assert Custody(custody.directory, {role: f"file:{tmp_path}/elsewhere"}).published(role)[-1] == new


def test_a_key_is_not_replaced_by_two_at_the_same_time(custody: Custody) -> None:
    replaced = custody.load(Role.LEDGER)
    rotate(custody, Role.LEDGER)
    sentence = "the ledger key was replaced by someone else at the same time: see gla keys history"
    with pytest.raises(KeyUnusable, match=f"^{sentence}$"):
        custody.publish(Role.LEDGER, custody.uri(Role.LEDGER), replaced)
    assert len(custody.published(Role.LEDGER)) == 2


def test_the_same_key_is_no_new_one(custody: Custody, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyUnusable, match="names this key already"):
        rotate(custody, Role.LEDGER, "file:ledger")
    monkeypatch.setenv("SAME", custody.path(Role.LEDGER).read_text())
    with pytest.raises(KeyUnusable, match="is the one of today"):
        rotate(custody, Role.LEDGER, "env:SAME")
    assert len(custody.published(Role.LEDGER)) == 1


def _rotate(directory: Path) -> bool:
    try:
        rotate(Custody(directory, MLDSA), Role.LEDGER)
    except KeyUnusable:
        return False
    return True


def _sign(directory: Path) -> bool:
    for _ in range(20):
        Custody(directory, MLDSA).signer(Role.LEDGER).sign(b"x", Namespace.LEDGER)
    return True


def test_rotations_at_the_same_time_leave_one_sound_chain(custody: Custody) -> None:
    with get_context("spawn").Pool(2) as pool:
        done = pool.map(_rotate, [custody.directory] * 6)
    keys = custody.published(Role.LEDGER)
    assert sum(done) >= 1
    assert len(keys) == len({key.line for key in keys}) >= 2


def test_signing_goes_on_while_a_key_is_replaced(custody: Custody) -> None:
    with get_context("spawn").Pool(1) as pool:
        signing = pool.apply_async(_sign, [custody.directory])
        for _ in range(5):
            rotate(custody, Role.LEDGER)
        assert signing.get(60)
