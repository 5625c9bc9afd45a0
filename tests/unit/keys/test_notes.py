"""Signed notes, against the examples of the specification; and everything about one that can be wrong."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from keys.notes import judge, key_id, signed_bytes, signed_note, verifier_key
from keys.private.signing import Signer
from keys.published import PublishedKey
from keys.roles import Role
from keys.sshsig import SshPublicKey, pack
from keys.verification import Reason

NAME = "gla-ledger/00"
TEXT = f"{NAME}\n12\nAAAA\n2026-02-01T06:00:00.000Z\n"
NOW = datetime(2026, 2, 1, 6, tzinfo=UTC)
SIGNER = Signer.generate()

# C2SP signed-note, sections "Ed25519 signatures" and "Example"
EXAMPLE_KEY = base64.b64decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
EXAMPLE = (
    "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYN"
    "ZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def ed25519_line(raw: bytes) -> str:
    return f"ssh-ed25519 {base64.b64encode(pack(b'ssh-ed25519') + pack(raw)).decode()}"


def published(line: str, until: datetime | None = None) -> PublishedKey:
    return PublishedKey(Role.LEDGER, line, datetime.min.replace(tzinfo=UTC), until)


OURS = [published(SIGNER.public_key.line)]


def test_the_example_of_the_specification_has_our_signature_form() -> None:
    key = SshPublicKey(ed25519_line(EXAMPLE_KEY[1:]))
    assert verifier_key("example.com/foo", key) == f"example.com/foo+530d903a+{base64.b64encode(EXAMPLE_KEY).decode()}"
    raw = base64.b64decode(EXAMPLE.rsplit(" ", maxsplit=1)[-1])
    assert signed_note("example.com/foo", "This is an example message.\n", key, raw[4:]) == EXAMPLE


def test_a_note_by_the_example_key_verifies_under_its_own_name_only() -> None:
    """Ours are named in their first line, which this message is not."""
    key = SshPublicKey(ed25519_line(EXAMPLE_KEY[1:]))
    assert judge([published(key.line)], EXAMPLE).reason is Reason.ANOTHER_KEY


def test_what_we_sign_verifies() -> None:
    assert judge(OURS, SIGNER.sign_note(NAME, TEXT)).valid


def test_a_token_without_ed25519_signs_with_ecdsa() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    line = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    note = signed_note(NAME, TEXT, SshPublicKey(line), private.sign(signed_bytes(TEXT), ec.ECDSA(hashes.SHA256())))
    assert judge([published(line)], note).valid
    assert judge([published(line)], note.replace("\n12\n", "\n13\n")).reason is Reason.NOT_GENUINE


def test_signatures_of_others_are_passed_over() -> None:
    other = Signer.generate().sign_note("witness.example/w", TEXT).rpartition("\n\n")[2]
    text, _, own = SIGNER.sign_note(NAME, TEXT).rpartition("\n\n")
    assert judge(OURS, f"{text}\n\n{other}{own}").valid
    assert judge(OURS, f"{text}\n\n{own}{other}").valid
    assert judge(OURS, f"{text}\n\n{other}").reason is Reason.ANOTHER_KEY


def test_a_wrong_signature_in_our_name_is_not_saved_by_a_right_one() -> None:
    text, _, own = SIGNER.sign_note(NAME, TEXT).rpartition("\n\n")
    wrong = base64.b64encode(key_id(NAME, SIGNER.public_key) + bytes(64)).decode()
    assert judge(OURS, f"{text}\n\n{own}\u2014 {NAME} {wrong}\n").reason is Reason.NOT_GENUINE


def test_a_key_that_was_replaced_signs_no_later_note() -> None:
    keys = [published(SIGNER.public_key.line, NOW), published(Signer.generate().public_key.line)]
    note = SIGNER.sign_note(NAME, TEXT)
    assert judge(keys, note, NOW).valid
    assert judge(keys, note, NOW + timedelta(hours=1)).reason is Reason.KEY_REPLACED


def test_an_ssh_signature_can_be_no_note_and_a_note_no_ssh_signature() -> None:
    with pytest.raises(ValueError, match="a note is lines of text"):
        SIGNER.sign_note("SSHSIG", "SSHSIG\n1\n")


@pytest.mark.parametrize("text", ["", "no end", "a\n\nb\n", "\na\n", "a\tb\n", "a\rb\n", "a\0b\n"])
def test_what_can_be_no_note_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="a note is lines of text"):
        SIGNER.sign_note(NAME, text)


@given(data=st.data())
def test_a_note_that_was_changed_anywhere_does_not_verify(data: st.DataObject) -> None:
    note = SIGNER.sign_note(NAME, TEXT)
    place = data.draw(st.integers(0, len(note) - 1))
    new = data.draw(st.characters(codec="utf-8") | st.just(""))
    changed = note[:place] + new + note[place + 1 :]
    assert judge(OURS, changed).valid is (changed == note)


@given(st.text())
def test_text_that_is_no_note_is_refused(text: str) -> None:
    assert not judge(OURS, text).valid
