"""Where our keys may be, and that a secret is shown nowhere: not by a wrong URI, a wrong content, or any repr."""

from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import pytest

from core.errors import KeyUnusable
from core.settings import KeySettings, Settings
from keys.private.custody import Custody, Role, open_custody
from keys.private.secret import Secret, read_secret_file, read_secret_variable
from keys.private.uri import EnvUri, FileUri, TokenUri, parse_key_uri

PEM = "-----BEGIN {kind}-----\n{{}}\n".format(kind="PRIVATE KEY")  # no key, and not to be taken for one
HERE = Path("/srv/of/keys")
TOKEN = "pkcs11:token=My%20token;object=manifest?module-path=/lib/p11.so&pin-source=file:/etc/pin"


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("file:manifest", FileUri(HERE / "manifest")),
        ("file:/etc/keys/m", FileUri(Path("/etc/keys/m"))),
        ("file:///etc/keys/m", FileUri(Path("/etc/keys/m"))),
        ("env:GLA_MANIFEST_KEY", EnvUri("GLA_MANIFEST_KEY")),
        (TOKEN, TokenUri("My token", "manifest", Path("/lib/p11.so"), FileUri(Path("/etc/pin")))),
        (
            "pkcs11:object=a%3Bb;token=t;serial=12;type=private?pin-source=env:PIN&module-path=/lib/p11.so",
            TokenUri("t", "a;b", Path("/lib/p11.so"), EnvUri("PIN"), "12"),
        ),
        (TOKEN.replace("file:/etc/pin", "/etc/pin"), parse_key_uri(TOKEN, HERE)),
    ],
)
def test_a_uri_says_where_a_key_is(text: str, uri: object) -> None:
    assert parse_key_uri(text, HERE) == uri


@pytest.mark.parametrize(
    "text",
    [
        "", "geheim-4711", "file:", "env:", "env:geheim-4711 x", "file://geheim-4711/x", "http:geheim-4711",
        "file:geheim-4711\0", "pkcs11:", "pkcs11:token=geheim-4711", TOKEN.replace("object=", "objekt=geheim-4711"),
        TOKEN + "&pin-value=geheim-4711", TOKEN.replace("token=", "pin-value=geheim-4711;token="),
        TOKEN + "&more=geheim-4711", TOKEN.replace("pin-source=file:/etc/pin", "pin-sauce=geheim-4711"),
        TOKEN + "&pin-source=geheim-4711", TOKEN.replace("object", "type=public;object"), TOKEN.replace("My", "%ff"),
        TOKEN.replace("token=My%20token", "token="),
    ],
)  # fmt: skip
def test_what_is_no_uri_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(KeyUnusable) as caught:
        parse_key_uri(text, HERE)
    assert "4711" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_pin_in_a_uri_is_refused_with_the_next_step() -> None:
    with pytest.raises(KeyUnusable, match="put it in a file of mode 0600"):
        parse_key_uri(TOKEN + "&pin-value=4711", HERE)


@pytest.mark.parametrize(
    ("role", "uri", "sentence"),
    [
        (Role.DROPZONE_HOST, "env:KEY", "must be a file"),
        (Role.DROPZONE_HOST, TOKEN, "must be a file"),
        (Role.INTAKE, TOKEN, "a token cannot hold"),
        (Role.MANIFEST_MLDSA, TOKEN, "a token cannot hold"),
        (Role.PERSON_DIGESTS, TOKEN.replace("?", ";type=private?"), "has the type secret-key, or none"),
        (Role.MANIFEST, TOKEN.replace("?", ";type=secret-key?"), "has the type private, or none"),
        (Role.MANIFEST, "geheim-4711", "named by file:PATH"),
    ],
)
def test_a_place_that_does_not_suit_the_role_names_the_setting(role: Role, uri: str, sentence: str) -> None:
    with pytest.raises(KeyUnusable, match=sentence) as caught:
        Custody(HERE, {role: uri}).uri(role)
    assert role.setting in str(caught.value)
    assert "4711" not in str(caught.value)


def test_settings_name_the_places_and_do_not_show_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLA_HOME", str(tmp_path))
    for role in Role:
        monkeypatch.setenv(role.setting, f"file:geheim-4711-{role}")
    settings = Settings()
    assert set(KeySettings.model_fields) == {role.replace("-", "_") for role in Role}
    assert "4711" not in repr(settings)
    custody = open_custody(settings)
    assert [custody.path(role).name for role in Role] == [f"geheim-4711-{role}" for role in Role]


@pytest.mark.parametrize("role", list(Role))
def test_a_variable_that_is_not_set_is_named(role: Role, tmp_path: Path) -> None:
    if role is Role.DROPZONE_HOST:
        return
    custody = Custody(tmp_path, {role: "env:NOT_SET_4711"})
    assert custody.exists(role), "whether it is there is only known by asking"
    with pytest.raises(KeyUnusable, match=r"NOT_SET_4711 of the environment.*set it"):
        custody.load(role)
    with pytest.raises(KeyUnusable, match="not ours to make"):
        custody.create(role)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("content", ["", "geheim-4711", PEM.format("geheim-4711"), "é"])
def test_a_wrong_content_is_refused_and_not_shown(role: Role, content: str, tmp_path: Path) -> None:
    custody = Custody(tmp_path / "keys")
    custody.check_directory(create=True)
    custody.path(role).touch(mode=0o600)
    custody.path(role).write_text(content)
    with pytest.raises(KeyUnusable) as caught:
        custody.load(role)
    assert "4711" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_not_read(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("geheim")
    path.chmod(mode)
    with pytest.raises(KeyUnusable, match="mode 0600"):
        read_secret_file(path)


def test_a_secret_is_shown_by_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDER", "geheim-4711")
    secret = read_secret_variable("HOLDER")
    caplog.set_level(logging.DEBUG)
    logging.getLogger().debug("%s %r %s", secret, secret, {"a": [secret]})
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", caplog.text, repr(vars(type(secret)))]
    assert not any("4711" in text for text in shown)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"^a secret is not copied to anywhere$"):
            leak(secret)
    assert secret.reveal() == b"geheim-4711"


def test_a_secret_that_is_not_text_says_so_without_showing_it() -> None:
    with pytest.raises(KeyUnusable, match="not text") as caught:
        Secret(b"\xff4711").text()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_lazy_keys_are_made_once_and_only_when_asked_for(tmp_path: Path) -> None:
    custody = Custody(tmp_path / "keys")
    custody.create(Role.AGREEMENT_SEAL)
    assert not custody.exists(Role.INTAKE)
    assert [each.recipient for each in custody.identities()] == [each.recipient for each in custody.identities()]
    [key], [again] = custody.person_digest_keys(), custody.person_digest_keys()
    assert key.name == again.name
    assert len(bytes.fromhex(custody.path(Role.PERSON_DIGESTS).read_text())) == 32


def test_the_second_signature_is_off_unless_configured(tmp_path: Path) -> None:
    custody = Custody(tmp_path / "keys")
    custody.create(Role.MANIFEST_MLDSA)
    assert custody.mldsa_signer() is None
    assert Custody(tmp_path / "keys", {Role.MANIFEST_MLDSA: "file:manifest-mldsa"}).mldsa_signer() is not None
