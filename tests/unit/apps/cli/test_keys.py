"""`gla keys`: from a pasted key to a delivery, as an operator and a recipient type it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.cli.envelope import envelope
from apps.cli.keys import keys
from apps.cli.recipient import recipient
from core.errors import GlaError
from core.settings import Settings
from keys.private.identities import generate_identity
from keys.private.signing import Signer

FONDS = generate_identity("hybrid")
NEW = generate_identity("hybrid")
SIGNER = Signer.generate()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.key").write_text(FONDS.secret_text())
    (tmp_path / "new.key").write_text(NEW.secret_text())
    (tmp_path / "id").touch(0o600)
    (tmp_path / "id").write_bytes(SIGNER.private_file())
    return Settings(home=tmp_path / "home", database_url=None)


def gla(settings, command, *words, given=None):
    result = CliRunner().invoke(command, [str(word) for word in words], obj=settings, input=given)
    if isinstance(result.exception, GlaError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def added(settings):
    words = ("add", "fonds", "--kvk", "90000102", "--key", FONDS.recipient, "--ssh", SIGNER.public_key.line)
    return gla(settings, recipient, *words)


def opened(file: Path, *key_files: str) -> str:
    content = file.read_bytes()
    for key_file in key_files:
        content = CliRunner().invoke(envelope, ["decrypt", "-i", key_file], input=content).stdout_bytes
    return content.decode()


def challenge(settings) -> Path:
    [file] = settings.challenges_dir.glob("fonds-*.age")
    return file


def test_registered_proven_listed_and_revoked(settings):
    output = added(settings)
    assert FONDS.recipient.fingerprint in output
    assert str(challenge(settings)) in output
    assert re.search(r"gla keys prove fonds gla-proof-", output)
    assert "seal  age-hybrid" in gla(settings, keys, "list")
    assert "not proven" in gla(settings, keys, "list", "fonds")
    gla(settings, keys, "prove", "fonds", "-", given=opened(challenge(settings), "old.key"))
    assert f"{FONDS.recipient.fingerprint}  valid" in gla(settings, keys, "list", "fonds")
    gla(settings, keys, "revoke", "fonds", FONDS.recipient.fingerprint, "--reason", "lost")
    assert f"{FONDS.recipient.fingerprint}  revoked" in gla(settings, recipient, "list")


def test_an_ssh_key_proven_by_its_signature(settings):
    added(settings)
    [text] = settings.challenges_dir.glob("fonds-*.txt")
    Path("text.sig").write_text(SIGNER.sign(text.read_bytes(), "gla-possession"))
    output = gla(settings, keys, "prove", "fonds", "--signature", "text.sig")
    assert SIGNER.public_key.fingerprint in output


def test_a_statement_that_our_program_signs_and_its_rotation(settings):
    added(settings)
    gla(settings, keys, "prove", "fonds", opened(challenge(settings), "old.key"))
    said = ("--recipient", "fonds", "--old", FONDS.recipient.fingerprint, "--new", NEW.recipient)
    unsigned = gla(settings, keys, "statement", *said, "-o", "s.json")
    assert "ssh-keygen -Y sign -n gla-rotation -f ~/.ssh/id_ed25519 s.json" in unsigned
    gla(settings, keys, "statement", *said, "-o", "s.json", "--sign", "id")
    output = gla(settings, keys, "rotate", "fonds", "s.json", "s.json.sig")
    assert "-i OLDKEY" in output
    answer = opened(challenge(settings), "old.key", "new.key")
    assert NEW.recipient.fingerprint in gla(settings, keys, "prove", "fonds", answer)
    lines = gla(settings, keys, "list", "fonds").splitlines()
    [old] = [line for line in lines if FONDS.recipient.fingerprint in line]
    assert re.search(r"valid until 20..-..-.., WARNING: (29|30) days left", old)
    assert "nothing is left to do" in gla(settings, keys, "rotate", "fonds", "s.json", "s.json.sig")


def test_a_recipient_writes_its_statement_without_a_home_of_ours(settings):
    said = ("--recipient", "fonds", "--old", "SHA256:x", "--new", NEW.recipient, "--valid-from", "2026-05-01")
    gla(settings, keys, "statement", *said, "-o", "s.json")
    assert not settings.home.exists()
    assert b'"validFrom":"2026-05-01"' in Path("s.json").read_bytes()


@pytest.mark.parametrize("file", ["old.key", "id"])
@pytest.mark.parametrize("option", ["--key", "--ssh"])
def test_a_private_key_named_or_pasted_as_public_is_refused_and_kept_nowhere(settings, file, option):
    added(settings)
    content = Path(file).read_text()
    secret = max(content.splitlines()[-5:], key=len)[16:60]
    for given in (file, content):
        with pytest.raises(GlaError, match="PRIVATE") as caught:
            gla(settings, keys, "add", "fonds", option, given)
        assert secret not in str(caught.value)
    for path in settings.home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ("add", "fonds"),
        ("add", "nobody", "--key", FONDS.recipient),
        ("prove", "fonds"),
        ("prove", "fonds", "text", "--signature", "id"),
        ("list", "nobody"),
        ("revoke", "fonds", "SHA256:none", "--reason", "lost"),
    ],
)
def test_words_that_make_no_sense_are_unusable_input(settings, words):
    added(settings)
    with pytest.raises(GlaError) as caught:
        gla(settings, keys, *words)
    assert caught.value.exit_code == 2


def test_an_age_key_of_the_signing_option_names_the_private_key(settings):
    added(settings)
    with pytest.raises(GlaError):
        gla(settings, keys, "add", "fonds", "--ssh", FONDS.recipient)
    with pytest.raises(GlaError):
        gla(settings, keys, "add", "fonds", "--key", SIGNER.public_key.line)
