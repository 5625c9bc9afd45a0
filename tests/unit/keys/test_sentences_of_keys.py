"""Each thing that can be wrong with a key of ours is told in its own sentence, which names it and the next step."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from core.errors import GlaError, KeyUnusable, SignerUnknown
from keys.private.custody import Custody, Role
from keys.private.mldsa import MldsaSigner
from keys.private.openpgp_signing import OpenPgpSigners
from keys.private.passphrase import nobody_asks
from keys.private.rotation import rotate
from keys.private.secret import Secret, read_secret_file, read_secret_variable
from keys.private.signing import Signer
from keys.private.uri import EnvUri, FileUri, parse_key_uri
from keys.published import KeyHistory
from keys.sshsig import parse_public_key, verify_by
from keys.verification import Reason, Verification

TOKEN = "pkcs11:token=t;object=o?module-path=/lib/p11.so&pin-source=file:/etc/pin"


def said(call: Callable[[], object], kind: type[GlaError] = KeyUnusable) -> str:
    with pytest.raises(kind) as refusal:
        call()
    assert type(refusal.value) is kind
    assert refusal.value.__context__ is None
    return str(refusal.value)


@pytest.fixture
def custody(tmp_path: Path) -> Custody:
    return Custody(tmp_path / "keys")


def test_a_key_directory_that_is_absent_or_open(custody: Custody) -> None:
    folder = custody.directory
    absent = f"the key directory {folder} is not there: create the keys first"
    assert said(lambda: custody.load(Role.LEDGER)) == absent
    folder.touch()
    assert said(lambda: custody.load(Role.LEDGER)) == absent
    folder.unlink()
    custody.check_directory(create=True)
    folder.chmod(0o710)
    assert said(custody.check_directory) == f"the key directory {folder} is open to others: it must have mode 0700"


def test_a_key_directory_is_made_with_those_above_it_and_more_than_once(tmp_path: Path) -> None:
    custody = Custody(tmp_path / "above" / "keys")
    for _ in range(2):
        custody.check_directory(create=True)
    assert custody.directory.stat().st_mode & 0o777 == 0o700


def test_a_key_file_that_is_absent_or_open(custody: Custody) -> None:
    custody.check_directory(create=True)
    path = custody.path(Role.LEDGER)
    load = partial(custody.load, Role.LEDGER)
    assert said(load) == f"the private key {path} cannot be read: No such file or directory"
    path.touch(mode=0o604)
    path.chmod(0o604)
    assert said(load) == f"the private key {path} is open to others: it must be yours, with mode 0600"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_key_file_of_another_user_is_open_to_that_user(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    os.chown(path, 1, 1)
    sentence = f"the private key {path} is open to others: it must be yours, with mode 0600"
    assert said(lambda: read_secret_file(path)) == sentence


def test_a_variable_that_is_absent_or_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "the variable NO_KEY of the environment, which holds a key, is not set: set it, or name another"
    assert said(lambda: read_secret_variable("NO_KEY")) == sentence
    monkeypatch.setenv("NO_KEY", "")
    assert said(lambda: read_secret_variable("NO_KEY")) == sentence


def test_a_secret_of_another_kind_than_text() -> None:
    sentence = "the secret is not text: it is not of the kind that is expected there"
    assert said(Secret(b"\xff").text) == sentence


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        (Role.MANIFEST, "is not an ed25519 private key of OpenSSH without a passphrase"),
        (Role.MANIFEST_MLDSA, "is not an ML-DSA-65 private key (PKCS#8, PEM) without a passphrase"),
        (Role.PERSON_DIGESTS, "does not hold secrets of 32 bytes in hexadecimal, one a line"),
        (Role.OPENPGP, "does not hold OpenPGP private keys without a passphrase that can sign"),
    ],
)
@pytest.mark.parametrize("content", ["", "x", "0" * 63, "0" * 65])
def test_a_key_file_of_another_kind(role: Role, content: str, sentence: str, custody: Custody) -> None:
    custody.check_directory(create=True)
    custody.path(role).touch(mode=0o600)
    custody.path(role).write_text(content)
    assert said(lambda: custody.load(role)) == f"file:{custody.path(role)} {sentence}"


def test_a_key_that_is_made_where_one_is_or_can_not_be(custody: Custody, tmp_path: Path) -> None:
    start = "no key for ledger was made at file:"
    custody.create(Role.LEDGER)
    path = custody.path(Role.LEDGER)
    again = said(lambda: custody.make(Role.LEDGER, FileUri(path)))
    assert again == f"{start}{path}: there is one already, and it is not replaced"
    nowhere = tmp_path / "absent" / "key"
    sentence = f"{start}{nowhere}: it cannot be written (No such file or directory)"
    assert said(lambda: custody.make(Role.LEDGER, FileUri(nowhere))) == sentence
    sentence = "env:KEY is not ours to make: put a new ledger key into the variable"
    assert said(lambda: custody.make(Role.LEDGER, EnvUri("KEY"))) == sentence
    sentence = "there is a key for ledger already, and it is not replaced by this: use gla keys rotate-own ledger"
    assert said(lambda: custody.create(Role.LEDGER)) == sentence


def test_a_key_whose_place_does_not_suit_its_role(tmp_path: Path) -> None:
    uris = {Role.DROPZONE_HOST: "env:KEY", Role.INTAKE: TOKEN, Role.MANIFEST: "env:KEY", Role.LEDGER: "ledger"}
    custody = Custody(tmp_path, uris)
    assert {role: said(lambda role=role: custody.path(role)) for role in uris} == {
        Role.DROPZONE_HOST: "GLA_KEYS__DROPZONE_HOST: the SFTP server reads its key itself, so it must be a file:",
        Role.INTAKE: "GLA_KEYS__INTAKE: a token cannot hold such a key here: use file: or env:",
        Role.MANIFEST: "the manifest key is not in a file",
        Role.LEDGER: "GLA_KEYS__LEDGER: a key is named by file:PATH, env:NAME or pkcs11:token=...;object=...",
    }


PLACE = "file: needs a path on this machine, env: the name of a variable"
ATTRIBUTES = (
    "a pkcs11: URI is pkcs11:token=...;object=...?module-path=...&pin-source=file:..., each once"
    " and nothing else but serial and type"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a key is named by file:PATH, env:NAME or pkcs11:token=...;object=..."),
        ("file:", "a key is named by file:PATH, env:NAME or pkcs11:token=...;object=..."),
        ("ftp:x", "a key is named by file:PATH, env:NAME or pkcs11:token=...;object=..."),
        ("file://host/x", PLACE),
        ("file:////x", PLACE),
        ("env:a b", PLACE),
        ("env:" + "a" * 202, PLACE),
        ("env:" + "0" * 64, "env: names the place of a key, and what follows looks like the key itself"),
        ("file:" + "AB" * 32, "file: names the place of a key, and what follows looks like the key itself"),
        ("file:x\x1f", "file: names the place of a key, and what follows looks like the key itself"),
        (TOKEN + "&more=1", ATTRIBUTES),
        (TOKEN.replace("object=o", "object=o;object=p"), ATTRIBUTES),
        (TOKEN.replace("object=o", "object="), ATTRIBUTES),
        (TOKEN.replace("object=o", "object=%ff"), ATTRIBUTES),
        (TOKEN.replace("object=o", "object=\0"), ATTRIBUTES),
        (TOKEN.replace("?", ";type=cert?"), "a pkcs11: URI of such a key has the type private, or none"),
        (
            TOKEN + "&pin-value=1",
            "a PIN does not belong in a pkcs11: URI: put it in a file of mode 0600, and name it: pin-source",
        ),
    ],
)  # fmt: skip
def test_a_uri_that_is_none(text: str, sentence: str) -> None:
    assert said(lambda: parse_key_uri(text, Path("/keys"))) == sentence


def test_a_variable_of_the_longest_name_is_one() -> None:
    assert parse_key_uri("env:" + "a" * 201, Path("/keys")) == EnvUri("a" * 201)


def test_a_key_that_signs_nothing_or_is_not_the_last_one_of_the_history(custody: Custody) -> None:
    for role in (Role.AGREEMENT_SEAL, Role.INTAKE, Role.LEDGER):
        custody.create(role)
    assert said(lambda: custody.signer(Role.INTAKE)) == "the intake key makes no SSH signatures"
    replaced = custody.path(Role.LEDGER).read_bytes()
    _, new = rotate(custody, Role.LEDGER)
    custody.path(Role.LEDGER).write_bytes(replaced)
    assert said(lambda: custody.signer(Role.LEDGER)) == (
        f"the ledger key is not the one that the history of our keys ends with, {new.fingerprint}: "
        "set GLA_KEYS__LEDGER to that key, or finish its rotation with gla keys rotate-own ledger"
    )


def test_a_history_that_cannot_be_read(custody: Custody) -> None:
    custody.check_directory(create=True)
    custody.history_path.mkdir()
    sentence = f"the history of our keys cannot be read (Is a directory): check {custody.history_path}"
    assert said(custody.history) == sentence


def test_a_history_that_is_none_or_does_not_lead_on(custody: Custody) -> None:
    custody.create(Role.LEDGER)
    assert said(lambda: KeyHistory.parse(b"x\n"), SignerUnknown) == (
        "line 1 of the history of our keys is not an entry of it: restore the file"
    )
    assert said(lambda: custody.history().after(Role.LEDGER, "other"), SignerUnknown) == (
        "the history of our ledger keys does not hold the key that is trusted: do not use it"
    )
    entries = custody.history().entries
    assert said(lambda: KeyHistory(entries * 2).of(Role.LEDGER), SignerUnknown) == (
        "the history of our ledger keys is not one that we signed: do not use it"
    )


def test_a_rotation_to_a_place_that_does_not_suit(
    custody: Custody, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in (Role.AGREEMENT_SEAL, Role.LEDGER, Role.INTAKE):
        custody.create(role)
    assert said(lambda: rotate(custody, Role.LEDGER, "file:ledger")) == (
        "GLA_KEYS__LEDGER names this key already: name another with --to"
    )
    monkeypatch.setenv("KEY", custody.path(Role.LEDGER).read_text())
    assert said(lambda: rotate(custody, Role.LEDGER, "env:KEY")) == (
        "the ledger key at env:KEY is the one of today: name a new key"
    )
    elsewhere = Custody(custody.directory, {Role.LEDGER: "env:KEY"})
    assert said(lambda: rotate(elsewhere, Role.LEDGER)) == (
        "the ledger key is not in a file: name the place of the new one with --to"
    )
    other = Custody(tmp_path / "other")
    for role in (Role.AGREEMENT_SEAL, Role.INTAKE):
        other.create(role)
    monkeypatch.setenv("KEY", other.path(Role.INTAKE).read_text())
    assert said(lambda: rotate(custody, Role.INTAKE, "env:KEY")) == (
        "env:KEY must hold the earlier intake keys too, behind the new one: what is old needs them"
    )


def test_a_passphrase_that_nobody_can_give() -> None:
    sentence = "the key has a passphrase, and nobody can be asked for it here: use a key without one"
    assert said(lambda: nobody_asks("the key")) == sentence


def test_an_openpgp_key_that_is_not_ours() -> None:
    sentence = "OPENPGP:00 is not an OpenPGP key of ours: offer a new agreement, or restore the key"
    assert said(lambda: OpenPgpSigners(()).named("OPENPGP:00")) == sentence


@pytest.mark.parametrize("signer", [Signer.generate(), MldsaSigner.generate()])
def test_a_signature_for_no_purpose(signer: Signer | MldsaSigner) -> None:
    with pytest.raises(ValueError, match=r"^a signature needs a namespace$"):
        signer.sign(b"x", "")


def test_public_keys_and_signatures_of_others() -> None:
    kinds = "ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa"
    line = Signer.generate().public_key.line
    for text in ("", line.split()[1], f"x{line}", line.split()[0], line + "x" * 16_384):
        assert said(partial(parse_public_key, text)) == f"this is not an SSH public key of one of the kinds {kinds}"
    assert said(lambda: parse_public_key(line[:-8])) == "this is not a well-formed SSH public key"
    assert said(lambda: parse_public_key("-----BEGIN {} KEY-----".format("PRIVATE"))) == (
        "this is a PRIVATE key: treat it as leaked, make a new one, and give only the .pub file"
    )
    ours, theirs = Signer.generate(), Signer.generate().public_key
    signature = ours.sign(b"x", "gla-ledger")
    by_another = partial(verify_by, signature, b"x", "gla-ledger", theirs.fingerprint)
    assert said(by_another, SignerUnknown) == (
        f"the document is signed with {ours.public_key.fingerprint}, not with the expected key {theirs.fingerprint}"
    )
    assert said(partial(verify_by, signature, b"y", "gla-ledger", theirs.fingerprint), SignerUnknown) == (
        "this is not a valid SSH signature of the document for gla-ledger: the signature is not over these bytes"
    )


def test_every_reason_ends_the_sentence_that_starts_with_what_was_signed() -> None:
    told = {reason: said(partial(Verification(reason).require, "it"), SignerUnknown) for reason in list(Reason)[1:]}
    assert list(told.values()) == [
        "it: the signature is not well-formed",
        "it: the signature was made for another purpose",
        "it: the signature's key or algorithm is not accepted",
        "it: the signature is not over these bytes",
        "it: the signature is by another key",
        "it: the signature was made after its key was replaced",
        "it: the signature could not be checked",
    ]
    assert Verification(Reason.VALID).require("it") is None
