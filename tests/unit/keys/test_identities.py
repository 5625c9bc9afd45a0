from __future__ import annotations

import pytest

from core.errors import KeyUnusable
from keys.envelope import bech32
from keys.private.identities import Identity, generate_identity, parse_identities


def test_a_key_file_with_comments_gives_its_keys_in_order() -> None:
    first, second = generate_identity("hybrid"), generate_identity("x25519")
    text = f"# created: today\r\n# {first.recipient}\n\n {first.secret_text()} \n{second.secret_text()}"
    assert [key.recipient for key in parse_identities(text)] == [first.recipient, second.recipient]


def test_a_secret_is_in_its_text_only(identity: Identity) -> None:
    secret = identity.secret_text()
    assert secret.startswith("AGE-SECRET-KEY-")
    for shown in (repr(identity), str(identity), f"{identity!r:>10}"):
        assert secret[20:] not in shown
        assert identity.recipient.fingerprint in shown


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_a_key_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable):
        parse_identities(text)


def test_a_mistyped_key_is_named_by_its_line_and_not_shown(identity: Identity) -> None:
    secret = identity.secret_text()
    wrong = secret[:-1] + ("Q" if secret[-1] != "Q" else "P")
    for line in (wrong, secret.lower(), str(identity.recipient), bech32.encode("AGE-SECRET-KEY-", bytes(31))):
        with pytest.raises(KeyUnusable, match="line 2 ") as refusal:
            parse_identities(f"# a key\n{line}\n")
        assert line[20:] not in str(refusal.value)
        assert refusal.value.__context__ is None


def test_new_keys_differ() -> None:
    assert len({generate_identity(kind).secret_text() for kind in ("hybrid", "x25519") for _ in range(5)}) == 10


def test_a_new_key_is_hybrid_unless_asked_otherwise_and_has_32_secret_bytes() -> None:
    assert generate_identity().recipient.is_hybrid
    for kind, length in (("hybrid", 77), ("x25519", 74)):
        assert len(generate_identity(kind).secret_text()) == length
