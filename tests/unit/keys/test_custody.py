from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from core.errors import KeyUnusable
from keys.private.custody import Custody, Role
from keys.private.signing import Signer, load_signer
from keys.sshsig import Namespace, verify


@pytest.fixture
def custody(tmp_path: Path) -> Custody:
    return Custody(tmp_path / "keys")


def test_a_key_that_was_made_signs_as_itself(custody: Custody) -> None:
    public = custody.create(Role.MANIFEST)
    assert custody.public_key(Role.MANIFEST).line == public.line
    signature = custody.signer(Role.MANIFEST).sign(b"x", Namespace.MANIFEST)
    assert verify(signature, b"x", Namespace.MANIFEST).line == public.line


def test_every_role_has_a_key_of_its_own(custody: Custody) -> None:
    assert len({custody.create(role).fingerprint for role in Role}) == len(Role)


def test_keys_are_for_their_owner_only_whatever_the_umask(custody: Custody, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        custody.create(Role.LEDGER)
    finally:
        os.umask(before)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert custody.path(Role.LEDGER).stat().st_mode & 0o777 == 0o600
    assert custody.history_path.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"ledger", "history.jsonl"}


def test_a_key_is_never_replaced(custody: Custody) -> None:
    public = custody.create(Role.LEDGER)
    with pytest.raises(KeyUnusable, match="already"):
        custody.create(Role.LEDGER)
    assert custody.public_key(Role.LEDGER).line == public.line


def _create(directory: Path) -> str | None:
    try:
        return Custody(directory).create(Role.LEDGER).fingerprint
    except KeyUnusable:
        return None


def test_of_two_processes_that_make_a_key_at_once_one_wins(tmp_path: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        made = [fingerprint for fingerprint in pool.map(_create, [tmp_path / "keys"] * 6) if fingerprint]
    assert made == [Custody(tmp_path / "keys").public_key(Role.LEDGER).fingerprint]


def test_an_absent_key_says_what_is_missing(custody: Custody) -> None:
    assert not custody.exists(Role.LEDGER)
    with pytest.raises(KeyUnusable, match="create the keys"):
        custody.signer(Role.LEDGER)
    custody.create(Role.MANIFEST)
    with pytest.raises(KeyUnusable, match="ledger"):
        custody.signer(Role.LEDGER)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_key_file_open_to_others_is_not_used(custody: Custody, mode: int) -> None:
    custody.create(Role.LEDGER)
    custody.path(Role.LEDGER).chmod(mode)
    with pytest.raises(KeyUnusable, match="0600"):
        custody.signer(Role.LEDGER)


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_key_directory_open_to_others_is_not_used(custody: Custody, tmp_path: Path, mode: int) -> None:
    custody.create(Role.LEDGER)
    (tmp_path / "keys").chmod(mode)
    with pytest.raises(KeyUnusable, match="0700"):
        custody.signer(Role.LEDGER)
    with pytest.raises(KeyUnusable, match="0700"):
        custody.create(Role.MANIFEST)


def test_a_link_in_the_place_of_a_key_is_not_followed(custody: Custody, tmp_path: Path) -> None:
    custody.create(Role.LEDGER)
    custody.path(Role.LEDGER).rename(tmp_path / "elsewhere")
    custody.path(Role.LEDGER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyUnusable):
        custody.signer(Role.LEDGER)


def test_only_an_open_ed25519_key_is_loaded(tmp_path: Path) -> None:
    signer = Signer.generate()
    locked = signer._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"secret"))
    other = rsa.generate_private_key(65537, 3072).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    for content in (locked, other, b"", b"nonsense", signer.private_file()[:-40]):
        path = tmp_path / "key"
        path.touch(0o600)
        path.write_bytes(content)
        with pytest.raises(KeyUnusable) as refusal:
            load_signer(path)
        assert refusal.value.__context__ is None


def test_a_signer_shows_its_fingerprint_and_not_its_key() -> None:
    signer = Signer.generate()
    secret = signer.private_file().decode().splitlines()[1:-1]
    assert signer.public_key.fingerprint in repr(signer)
    assert not any(line in repr(signer) for line in secret)


def test_a_signature_without_a_purpose_is_not_made() -> None:
    with pytest.raises(ValueError, match="namespace"):
        Signer.generate().sign(b"x", "")
