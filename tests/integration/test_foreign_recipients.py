"""Whole deliveries to recipients who have only OpenPGP or an X.509 certificate, opened with their own programs."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from pysequoia import Profile, Tsk
from pysequoia.packet import PacketPile, Tag

from apps.cli.envelope import envelope
from apps.cli.open_delivery import open_delivery
from core.clock import utc_now
from core.errors import KeyUnusable
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.possession import prove
from flows.steps.recipients import register, revoke
from keys.kinds import open_sealer, parse_sealing_key
from keys.sshsig import Namespace
from schemas.manifest import Manifest
from tests.delivery_world import AGREEMENT, NOW, World, make_world
from tests.foreign_keys import BORN, PASSPHRASE, GnuPg, certificate_pair

__all__ = ["make_world"]
pytestmark = pytest.mark.server
USER = "fonds@example.org"
NPM = Path(__file__).parents[1] / "npm"
Opened = Callable[[Path], bytes]  # the content of an encrypted file


@pytest.fixture
def gpg(require_program, tmp_path):
    gnupg = GnuPg(require_program("gpg"), tmp_path / "gnupg")
    yield gnupg
    gnupg.stop()


def delivered(make_world, public: bytes, tmp_path: Path, opened: Opened) -> World:
    """A delivery to `public`, given as a file, as an operator does; its holder opens the challenge with `opened`."""
    world: World = make_world()
    file = tmp_path / "public.key"
    file.write_bytes(public)
    [added] = register(world.services, "fonds", "90000102", [str(file)], [])
    prove(world.services, "fonds", opened(added.challenge.path(world.services)).decode())
    revoke(world.services, "fonds", world.identity.recipient.fingerprint)
    world.conclude()
    path.run(world.services, world.order())
    return world


def check(world: World, suffix: str, content_type: str, opened: Opened) -> None:
    """`opened` gives the content of a published file."""
    names = {file.name for file in world.published().iterdir()}
    sealed = {f"{name}{suffix}" for name in ("people.parquet", "pakbon.json", "pakbon.html")}
    assert names == {*sealed, "manifest.json", "manifest.json.sig"}
    manifest = Manifest.from_bytes((world.published() / "manifest.json").read_bytes())
    assert {file.content_type.split(";")[0] for file in manifest.files} == {content_type}
    expected = pl.read_parquet(world.source).select("id", "day", "amount", "note")
    found = pl.read_parquet(io.BytesIO(opened(world.published() / f"people.parquet{suffix}")))
    assert found.equals(expected.filter(pl.col("day").dt.month() == 3))
    assert json.loads(opened(world.published() / f"pakbon.json{suffix}"))["rows"] == found.height == 310


def gla_open(world: World, key: bytes, tmp_path: Path, given: str = "") -> Path:
    """The recipient's side with our program: its own signed copy of the agreement, and its private key."""
    paper = tmp_path / "papers" / f"{AGREEMENT}.json"
    paper.parent.mkdir()
    paper.write_bytes((world.home / "agreements" / paper.name).read_bytes())
    paper.with_name(f"{paper.name}.sig").write_text(world.signer.sign(paper.read_bytes(), Namespace.AGREEMENT))
    file = tmp_path / "private.key"
    file.write_bytes(key)
    out = tmp_path / "opened"
    words = [str(world.published()), "-i", str(file), "--agreement", str(paper), "-o", str(out)]
    settings = Settings(home=tmp_path / "recipient")
    result = CliRunner().invoke(open_delivery, words, obj=settings, input=given, catch_exceptions=False)
    assert "whole and authentic" in result.output
    return out


@pytest.mark.parametrize("kind", ["default", "nistp256"])  # gpg's default is RSA with 3,072 bits
def test_gpg_opens_a_delivery_and_finds_our_signature_by_the_key_that_the_agreement_names(
    make_world, gpg, tmp_path, kind
):
    gpg.new_key(USER, kind=kind)
    opened = lambda file: gpg("--status-fd", "2", "--decrypt", file)  # noqa: E731
    world = delivered(make_world, gpg.export(USER), tmp_path, opened)
    papers = world.home / "agreements"
    gpg("--import", papers / f"{AGREEMENT}.sender.asc")  # without it gpg opens the file too, but ends with 2
    check(world, ".pgp", "application/pgp-encrypted", opened)
    terms = json.loads((papers / f"{AGREEMENT}.json").read_bytes())["customProperties"]
    [ours] = [term["value"] for term in terms if term["property"] == "gla.senderOpenpgp"]
    [valid] = [line for line in gpg.said.splitlines() if "VALIDSIG" in line]
    assert valid.split()[-1] == ours.removeprefix("OPENPGP:")
    assert not any("PRIVATE KEY" in file.read_text() for file in papers.iterdir())


def test_our_program_opens_a_delivery_to_a_key_of_gpg_and_asks_for_its_passphrase(make_world, gpg, tmp_path):
    gpg.new_key(USER, kind="default", passphrase=PASSPHRASE)
    opened = lambda file: gpg("--decrypt", file, passphrase=PASSPHRASE)  # noqa: E731
    world = delivered(make_world, gpg.export(USER), tmp_path, opened)
    secret = gpg("--armor", "--export-secret-keys", USER, passphrase=PASSPHRASE)
    out = gla_open(world, secret, tmp_path, given=f"{PASSPHRASE}\n")
    assert pl.read_parquet(out / "people.parquet").height == 310


def test_a_certificate_whose_first_key_encrypts_is_sealed_to_as_long_as_it_is_valid(gpg):
    gpg("--quick-gen-key", USER, "rsa3072", "cert,sign,encr", "1y", at=BORN)
    key = parse_sealing_key(gpg.export(USER))
    assert (key.not_before, key.not_after) == (BORN, BORN + timedelta(days=365))
    target = io.BytesIO()
    with open_sealer(target, [key], key.not_after - timedelta(seconds=1)) as sealer:
        sealer.write(b"to its first key")
    assert gpg("--decrypt", given=target.getvalue()) == b"to its first key"
    with pytest.raises(KeyUnusable, match="expired on 2027-01-01"):
        open_sealer(io.BytesIO(), [key], key.not_after)


def test_a_prolonged_certificate_is_taken_up_without_a_new_agreement_or_proof(make_world, gpg, tmp_path):
    gpg.new_key(USER, expires="120d")  # until 1 May
    opened = lambda file: gpg("--decrypt", file)  # noqa: E731
    world = delivered(make_world, gpg.export(USER), tmp_path, opened)
    world.at(NOW + timedelta(days=60))
    with pytest.raises(KeyUnusable):
        path.run(world.services, world.order(Mode.CORRECT, "once more"))
    for subkeys in ([], ["*"]):
        gpg("--quick-set-expire", gpg.fingerprint(USER), "20y", *subkeys, at=BORN + timedelta(days=100))
    (tmp_path / "public.key").write_bytes(gpg.export(USER))
    [added] = register(world.services, "fonds", "90000102", [str(tmp_path / "public.key")], [])
    assert added.challenge is None
    path.run(world.services, world.order())
    assert world.published(edition=2).is_dir()


@pytest.fixture
def sq(require_program, tmp_path):
    program = require_program("sq")

    def run(*words: Any) -> bytes:
        return subprocess.check_output([program, *map(str, words)], stderr=subprocess.PIPE)

    run("key", "generate", "--userid", USER, "--creation-time", "20260101T000000", "--export", tmp_path / "sq.key")
    return run


def test_sq_opens_a_delivery_to_its_certificate(make_world, sq, tmp_path):
    opened = lambda file: sq("decrypt", "--recipient-key", tmp_path / "sq.key", file)  # noqa: E731
    world = delivered(make_world, sq("key", "extract-cert", tmp_path / "sq.key"), tmp_path, opened)
    check(world, ".pgp", "application/pgp-encrypted", opened)
    out = gla_open(world, (tmp_path / "sq.key").read_bytes(), tmp_path)
    assert pl.read_parquet(out / "people.parquet").height == 310


@pytest.mark.parametrize("profile", [Profile.RFC4880, Profile.RFC9580])
def test_openpgp_js_opens_an_aead_message(require_program, profile):
    """RFC 9580 where the certificate allows it; gpg and sq of Debian 12 know no such messages."""
    node = require_program("node")
    if not (NPM / "node_modules" / "openpgp").is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("openpgp is not installed: make test")
    tsk, target = Tsk.generate(USER, profile=profile), io.BytesIO()
    key = parse_sealing_key(str(tsk.extract_certificate()))
    with open_sealer(target, [key], utc_now() + timedelta(seconds=5)) as sealer:
        sealer.write(CONTENT)
    containers = [packet.body[0] for packet in PacketPile.from_bytes(target.getvalue()) if packet.tag == Tag.SEIP]
    assert containers == [2]
    environment = {**os.environ, "KEY": str(tsk)}
    found = subprocess.run(
        [node, NPM / "openpgp.mjs"], input=target.getvalue(), env=environment, capture_output=True, check=True
    )
    assert found.stdout == CONTENT


def test_openssl_opens_a_delivery_to_an_x509_certificate(make_world, require_program, tmp_path):
    private, certificate = certificate_pair()
    key = tmp_path / "rsa.key"
    key.write_bytes(private)

    def opened(file: Path) -> bytes:
        words = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", str(file), "-inkey", str(key)]
        return subprocess.check_output([require_program("openssl"), *words])

    world = delivered(make_world, certificate, tmp_path, opened)
    check(world, ".p7m", "application/pkcs7-mime", opened)
    out = gla_open(world, private + certificate, tmp_path)
    assert pl.read_parquet(out / "people.parquet").height == 310


CONTENT = b"what the recipient's own program sealed\r\n" * 5000


def envelope_decrypt(sealed: bytes, key: bytes, tmp_path: Path) -> bytes:
    """`gla envelope decrypt`, from file to file."""
    for name, content in (("sealed", sealed), ("key", key)):
        (tmp_path / name).write_bytes(content)
    words = ["decrypt", "-i", str(tmp_path / "key"), "-o", str(tmp_path / "opened"), str(tmp_path / "sealed")]
    assert CliRunner().invoke(envelope, words, catch_exceptions=False).exit_code == 0
    return (tmp_path / "opened").read_bytes()


@pytest.mark.parametrize("options", [[], ["--armor"], ["--compress-algo", "zlib"]])
def test_what_gpg_sealed_opens_with_ours(gpg, tmp_path, options):
    gpg.new_key(USER)
    sealed = gpg(*options, "--encrypt", "--recipient", USER, given=CONTENT)
    assert envelope_decrypt(sealed, gpg("--export-secret-keys", USER), tmp_path) == CONTENT


def test_what_sq_sealed_opens_with_ours(sq, tmp_path):
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "cert").write_bytes(sq("key", "extract-cert", tmp_path / "sq.key"))
    sealed = sq("encrypt", "--recipient-cert", tmp_path / "cert", tmp_path / "content")
    assert envelope_decrypt(sealed, (tmp_path / "sq.key").read_bytes(), tmp_path) == CONTENT


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_what_openssl_sealed_opens_with_ours(require_program, tmp_path, form):
    private, certificate = certificate_pair()
    (tmp_path / "cert.pem").write_bytes(certificate)
    words = ["cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", form, str(tmp_path / "cert.pem")]
    sealed = subprocess.check_output([require_program("openssl"), *words], input=CONTENT)
    assert envelope_decrypt(sealed, private + certificate, tmp_path) == CONTENT
