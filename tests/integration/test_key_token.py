"""Keys in a real PKCS#11 token (SoftHSM2): they sign inside it, never leave it, and say plainly what is wrong."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from core.errors import KeyUnusable
from keys import notes
from keys.private.custody import Custody, Role
from keys.private.rotation import rotate
from keys.private.token import TokenSigner, create_token_key, load_token_signer
from keys.private.uri import TokenUri, parse_key_uri
from keys.published import PublishedKey
from keys.sshsig import Namespace, verify
from tests.servers.softhsm import PIN, SoftToken, make_token, token

__all__ = ["make_token", "token"]

pytestmark = pytest.mark.server
MESSAGE = b"what is signed"


def parsed(text: str) -> TokenUri:
    uri = parse_key_uri(text, Path("/nowhere"))
    assert isinstance(uri, TokenUri)
    return uri


def session(token: SoftToken, **options):
    return pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin=PIN, **options)


def make_p256(token: SoftToken, label: str = "key", **private: bool) -> None:
    """A key pair as another program may have made it."""
    with session(token, rw=True) as opened:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        opened.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            label=label, store=True, private_template={getattr(Attribute, name): it for name, it in private.items()}
        )


@pytest.fixture(params=["ed25519", "p256"])
def signer(request, token) -> TokenSigner:
    if request.param == "ed25519":
        return create_token_key(parsed(token.uri()))
    make_p256(token)
    return load_token_signer(parsed(token.uri()))


def test_a_key_is_ed25519_where_the_token_can(token):
    assert create_token_key(parsed(token.uri())).public_key.line.startswith("ssh-ed25519 ")


def test_ssh_keygen_verifies_what_a_token_signed(signer, require_program, tmp_path):
    (tmp_path / "signers").write_text(f"us {signer.public_key.line}\n")
    (tmp_path / "sig").write_text(signer.sign(MESSAGE, Namespace.MANIFEST))
    command = [require_program("ssh-keygen"), "-Y", "verify", "-f", tmp_path / "signers", "-I", "us"]
    for message, code in ((MESSAGE, 0), (MESSAGE + b"!", 255)):
        done = subprocess.run(
            [*command, "-n", Namespace.MANIFEST, "-s", tmp_path / "sig"],
            input=message,
            capture_output=True,
            check=False,
        )
        assert done.returncode == code, done.stderr


def test_our_own_verifier_agrees_for_many_signatures(signer):
    """Numbers of an ECDSA signature are shorter, or have their first bit set, only now and then."""
    for number in range(40):
        message = number.to_bytes(2, "big")
        assert verify(signer.sign(message, "gla-ledger"), message, "gla-ledger") == signer.public_key


def test_the_private_key_cannot_leave_the_token(token):
    create_token_key(parsed(token.uri()))
    with session(token) as opened:
        key = opened.get_key(object_class=ObjectClass.PRIVATE_KEY, label="key")
        assert (key[Attribute.EXTRACTABLE], key[Attribute.SENSITIVE], key[Attribute.PRIVATE]) == (False, True, True)
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


@pytest.mark.parametrize("attributes", [{"EXTRACTABLE": True}, {"SENSITIVE": False}])
def test_a_key_that_could_leave_the_token_does_not_sign(token, attributes):
    make_p256(token, **attributes)
    with pytest.raises(KeyUnusable, match="could leave"):
        load_token_signer(parsed(token.uri())).sign(MESSAGE, "gla-ledger")


def test_a_key_is_never_made_over_another(token):
    create_token_key(parsed(token.uri()))
    with pytest.raises(KeyUnusable, match="not replaced"):
        create_token_key(parsed(token.uri()))


def test_a_wrong_pin_is_tried_once_and_named_as_such(token, caplog):
    caplog.set_level(logging.DEBUG)
    signer = create_token_key(parsed(token.uri()))
    token.pin_file.write_text("0000\n")
    with pytest.raises(KeyUnusable, match="the PIN is wrong: correct what pin-source names") as caught:
        signer.sign(MESSAGE, "gla-ledger")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "0000" not in str(caught.value) + repr(signer) + caplog.text
    token.pin_file.write_text(f"{PIN}\n")
    assert signer.sign(MESSAGE, "gla-ledger")


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ({"label": "absent"}, "the token holds no such key"),
        ({"module-path": "/nowhere/lib.so"}, "cannot be loaded: install it"),
        ({"module-path": __file__}, "cannot be loaded: install it"),
    ],
)
def test_what_is_absent_is_named_with_the_next_step(token, uri, sentence):
    with pytest.raises(KeyUnusable, match=sentence) as caught:
        load_token_signer(parsed(token.uri(**uri)))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_an_absent_token_is_named_with_the_next_step(token):
    elsewhere = SoftToken("another", token.module, token.pin_file)
    with pytest.raises(KeyUnusable, match="there is no such token: plug it in"):
        load_token_signer(parsed(elsewhere.uri()))


def test_a_pin_file_open_to_others_is_not_used(token):
    signer = create_token_key(parsed(token.uri()))
    token.pin_file.chmod(0o640)
    with pytest.raises(KeyUnusable, match="0600"):
        signer.sign(MESSAGE, "gla-ledger")


def test_the_pin_may_be_in_the_environment(token, monkeypatch):
    monkeypatch.setenv("TOKEN_PIN", PIN)
    signer = create_token_key(parsed(token.uri(**{"pin-source": "env:TOKEN_PIN"})))
    assert signer.sign(MESSAGE, "gla-ledger")
    monkeypatch.delenv("TOKEN_PIN")
    with pytest.raises(KeyUnusable, match="TOKEN_PIN"):
        signer.sign(MESSAGE, "gla-ledger")


def test_two_keys_of_one_label_are_not_chosen_between(token):
    make_p256(token)
    make_p256(token)
    with pytest.raises(KeyUnusable, match="more than one"):
        load_token_signer(parsed(token.uri()))


def test_threads_may_sign_at_the_same_time(signer):
    signatures: list[str] = []
    threads = [threading.Thread(target=lambda: signatures.append(signer.sign(MESSAGE, "gla-ledger"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verify(each, MESSAGE, "gla-ledger") for each in signatures] == [signer.public_key] * 6


def test_a_child_process_signs_too(signer):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        signature = pool.apply(signer.sign, (MESSAGE, "gla-ledger"))
    assert verify(signature, MESSAGE, "gla-ledger") == signer.public_key
    assert signer.sign(MESSAGE, "gla-ledger")


def test_a_role_moves_to_a_key_that_is_in_the_token_already(token, tmp_path):
    custody = Custody(tmp_path / "keys")
    custody.create(Role.MANIFEST)
    made = create_token_key(parsed(token.uri()))
    _, new = rotate(custody, Role.MANIFEST, token.uri())
    assert new.line == made.public_key.line


def test_a_key_of_another_kind_is_told(token):
    with session(token, rw=True) as opened:
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}
        opened.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(label="key", store=True)
    sentence = "the key is neither Ed25519 nor ECDSA P-256: make another with gla keys create"
    with pytest.raises(KeyUnusable) as caught:
        load_token_signer(parsed(token.uri()))
    assert str(caught.value) == f"token {token.label!r}, object 'key': {sentence}"


def test_a_key_that_the_token_does_not_let_sign_is_told(token):
    make_p256(token, SIGN=False, SENSITIVE=True, EXTRACTABLE=False)
    with pytest.raises(KeyUnusable, match=r": the token does not do it: see whether it works with pkcs11-tool$"):
        load_token_signer(parsed(token.uri())).sign(MESSAGE, "gla-ledger")


def test_a_role_moves_from_a_file_into_a_token_and_on(token, tmp_path):
    folder = tmp_path / "keys"
    before = Custody(folder)
    before.create(Role.MANIFEST)
    signature = before.signer(Role.MANIFEST).sign(MESSAGE, Namespace.MANIFEST)
    first = token.uri("first")
    old, new = rotate(before, Role.MANIFEST, first)
    assert (old.line, new.until) == (before.load(Role.MANIFEST).public_key.line, None)
    with pytest.raises(KeyUnusable, match="GLA_KEYS__MANIFEST"):
        before.signer(Role.MANIFEST)
    inside = Custody(folder, {Role.MANIFEST: first})
    assert inside.verify(Role.MANIFEST, signature, MESSAGE, Namespace.MANIFEST).valid
    with pytest.raises(KeyUnusable, match="--to"):
        rotate(inside, Role.MANIFEST)
    rotate(inside, Role.MANIFEST, token.uri("second"))
    later = Custody(folder, {Role.MANIFEST: token.uri("second")})
    own = later.signer(Role.MANIFEST).sign(MESSAGE, Namespace.MANIFEST)
    assert [later.verify(Role.MANIFEST, each, MESSAGE, Namespace.MANIFEST).valid for each in (signature, own)] == [
        True
    ] * 2
    assert len(later.published(Role.MANIFEST)) == 3


def test_a_token_signs_checkpoints_of_the_ledger(signer):
    text = "gla-ledger/00\n12\nAAAA\n2026-02-01T06:00:00.000Z\n"
    note = signer.sign_note("gla-ledger/00", text)
    key = PublishedKey(Role.LEDGER, signer.public_key.line, datetime.min.replace(tzinfo=UTC), None)
    assert notes.judge([key], note).valid
    assert not notes.judge([key], note.replace("\n12\n", "\n13\n")).valid
