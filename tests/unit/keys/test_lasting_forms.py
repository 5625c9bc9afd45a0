"""What is signed, stored or named for years keeps its exact form: else what is old could not be checked any more."""

from __future__ import annotations

from keys.possession import ProofToken, parse_token, text_to_sign
from keys.private import material
from keys.private.derived import LocalDerivingKey
from keys.private.secret import Secret
from keys.published import Entry, check_value
from keys.roles import SSH_ROLES, Role
from keys.sshsig import Namespace

CHALLENGE = "0" * 32


def test_the_purposes_of_signatures_keep_their_names() -> None:
    purposes = ["agreement", "manifest", "receipt", "possession", "rotation", "ledger", "key-history"]
    assert [purpose.value for purpose in Namespace][: len(purposes)] == [f"gla-{purpose}" for purpose in purposes]


def test_our_roles_keep_their_names_and_settings() -> None:
    assert {role.value: role.setting for role in Role} == {
        "agreement-seal": "GLA_KEYS__AGREEMENT_SEAL",
        "manifest": "GLA_KEYS__MANIFEST",
        "manifest-mldsa": "GLA_KEYS__MANIFEST_MLDSA",
        "ledger": "GLA_KEYS__LEDGER",
        "intake": "GLA_KEYS__INTAKE",
        "person-digests": "GLA_KEYS__PERSON_DIGESTS",
        "openpgp": "GLA_KEYS__OPENPGP",
        "dropzone-host": "GLA_KEYS__DROPZONE_HOST",
    }
    assert SSH_ROLES == ("agreement-seal", "manifest", "ledger", "dropzone-host")


def test_an_entry_of_the_history_of_our_keys_keeps_its_bytes() -> None:
    entry = Entry("ledger", "ssh-ed25519 AAAA", "2026-01-01T00:00:00.000Z", None, "by the last", "by itself")
    assert entry.message() == (
        b'{"key":"ssh-ed25519 AAAA","previous":null,"role":"ledger","since":"2026-01-01T00:00:00.000Z"}'
    )
    assert entry.line() == (
        b'{"endorsement":"by the last","key":"ssh-ed25519 AAAA","possession":"by itself","previous":null,'
        b'"role":"ledger","since":"2026-01-01T00:00:00.000Z"}'
    )


def test_the_line_of_a_secret_keeps_its_form() -> None:
    earlier = "check-value SHA256:s6WiYh1XrmLZb4KN/vEwPTGdoWsxLO7Gxz+Ovd8/gDM"
    assert check_value(bytes(32)) == earlier
    key = LocalDerivingKey(Secret(bytes(32)))
    assert key.name == "check-value SHA256:REtVFn86BbElBG27MjlqfFC1LYG+lPo/JmJEjgbqFEY"
    assert [key.answers_to(name) for name in (key.name, earlier, "")] == [True, True, False]


def test_the_text_that_proves_a_key_keeps_its_bytes() -> None:
    assert text_to_sign(CHALLENGE, "acme", "SHA256:x") == (
        b'{"challenge":"00000000000000000000000000000000","fingerprint":"SHA256:x","recipient":"acme",'
        b'"text":"We hold the private key with this fingerprint, and use it as this recipient."}'
    )


def test_a_challenge_that_was_made_before_an_update_is_still_proved_after_it() -> None:
    token = parse_token(f"gla-proof-{CHALLENGE}-{'1' * 64}\n")
    kept = "4c3e975a5c37cfa3750a73ddfbb9108049129ffa8aaae190df022496e4539539"
    assert token.text() == ProofToken(CHALLENGE, "1" * 64).text() == f"gla-proof-{CHALLENGE}-{'1' * 64}"
    assert token.digest("acme", "SHA256:x") == kept
    assert token.proves(kept, "acme", "SHA256:x")
    assert repr(token) == "<proof token>"


def test_what_is_sealed_to_us_is_safe_from_a_quantum_computer() -> None:
    made = material.generate(Role.INTAKE)
    assert made.startswith(b"AGE-SECRET-KEY-PQ-1")
    assert material.public_line(material.read(Role.INTAKE, Secret(made), "here")).startswith("age1pq1")


def test_key_files_end_in_a_line_end_so_that_others_can_stand_behind_them() -> None:
    for role in (Role.INTAKE, Role.PERSON_DIGESTS, Role.OPENPGP):
        new, old = material.generate(role), material.generate(role)
        both = material.renewed(role, new, Secret(old))
        assert both == new + old
        lines = [material.public_line(material.read(role, Secret(each), "here")) for each in (both, new)]
        assert lines[0] == lines[1], "the new one is first"
    assert material.renewed(Role.LEDGER, b"new", Secret(b"old")) == b"new"
