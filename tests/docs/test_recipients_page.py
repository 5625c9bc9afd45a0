"""The commands for Linux in docs/recipients.md, run as they stand on a real delivery, and on one that was changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.settings import DropzoneSettings
from flows.steps import lifecycle, path
from flows.steps.accounts import write_accounts
from flows.steps.possession import prove
from flows.steps.recipients import register, revoke
from keys.roles import Role
from tests.delivery_world import AGREEMENT, RECIPIENT, World, make_world
from tests.foreign_keys import GnuPg, certificate_pair
from tests.servers.dropzone import Dropzone

__all__ = ["make_world"]
pytestmark = pytest.mark.server
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recipients.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\S+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
EDITION = f"deliveries/{AGREEMENT}/2026-03/edition-1"


class Recipient:
    """A folder with the recipient's files, in which the page's commands are run."""

    def __init__(self, world: World, folder: Path, **environment: str) -> None:
        folder.mkdir()
        self.world, self.folder, self.place = world, folder, "127.0.0.1:1"
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": programs, "GLA_HOME": str(folder / "home"), **environment}
        self.write("age.key", f"{world.identity.secret_text()}\n")
        self.write("id_ed25519", world.signer.private_file())

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o600)
        return file

    def run(self, *names: str, folder: Path | None = None, fails: bool = False) -> str:
        """The blocks one after the other, with this world's names in the place of the page's."""
        script = "\n".join(BLOCKS[name] for name in names)
        for word, name in (("HOST:PORT", self.place), ("YOU", RECIPIENT), ("GLA-1", AGREEMENT), ("DATA", "people")):
            script = script.replace(word, name)
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def agree(self) -> None:
        """Sign as the page says; the sender takes the signature and delivers."""
        agreements = self.world.home / "agreements"
        self.world.offer()
        for paper in agreements.glob(f"{AGREEMENT}*"):
            shutil.copy(paper, self.folder)
        self.run("sign")
        signature = (self.folder / f"{AGREEMENT}.json.sig").read_text()
        lifecycle.accept(self.world.services, AGREEMENT, signature, "tester")
        lifecycle.activate(self.world.services, AGREEMENT, "tester")
        path.run(self.world.services, self.world.order())

    def fetch(self) -> Path:
        """The folder of the edition, with the recipient's own files beside those that came."""
        edition = self.folder / EDITION
        shutil.copytree(self.world.published(), edition)
        for own in [file for file in self.folder.iterdir() if file.is_file()]:
            shutil.copy(own, edition)
        return edition


def sealed_to(world: World, tmp_path: Path, public: bytes, opened: Callable[[Path], bytes]) -> None:
    """Another key than the world's; its holder opens the challenge with `opened`."""
    (tmp_path / "public.key").write_bytes(public)
    [added] = register(world.services, RECIPIENT, "90000102", [str(tmp_path / "public.key")], [])
    assert added.challenge is not None
    prove(world.services, RECIPIENT, opened(added.challenge.path(world.services)).decode())
    revoke(world.services, RECIPIENT, world.identity.recipient.fingerprint)


def check_opened(edition: Path) -> None:
    assert pl.read_parquet(edition / "people.parquet").height == 310


@pytest.fixture(autouse=True)
def _programs(require_program: Callable[[str], str]) -> None:
    for name in ("jq", "ssh-keygen", "age", "gpg", "sq", "openssl"):
        require_program(name)


@pytest.fixture
def recipient(make_world: Any, tmp_path: Path) -> Recipient:
    """With an X25519 key, which Debian's age knows."""
    recipient = Recipient(make_world(kind="x25519"), tmp_path / "recipient")
    recipient.agree()
    return recipient


def test_every_block_of_the_page_that_can_be_run_is_run_here():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in BLOCKS if f'"{name}"' not in here] == []
    assert len(BLOCKS) == 10


def test_age_opens_what_was_checked_before(recipient):
    edition = recipient.fetch()
    said = recipient.run("signature", "checksums", "age", "pakbon", folder=edition)
    assert 'Good "gla-manifest" signature for sender' in said
    check_opened(edition)


@pytest.mark.parametrize("name", ["people.parquet.age", "pakbon.json.age"])
def test_the_checksums_find_a_file_that_was_changed(recipient, name):
    edition = recipient.fetch()
    content = bytearray((edition / name).read_bytes())
    content[-1] ^= 1
    (edition / name).write_bytes(content)
    assert "FAILED" in recipient.run("checksums", folder=edition, fails=True)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig"])
def test_the_signature_finds_a_manifest_that_was_changed(recipient, name):
    edition = recipient.fetch()
    content = bytearray((edition / name).read_bytes())
    content[len(content) // 2] ^= 1
    (edition / name).write_bytes(content)
    recipient.run("signature", folder=edition, fails=True)


def test_the_counts_find_a_file_that_was_changed_after_it_was_opened(recipient):
    edition = recipient.fetch()
    recipient.run("age", folder=edition)
    (edition / "people.parquet").write_bytes(b"other rows")
    recipient.run("pakbon", folder=edition, fails=True)


def test_our_program_opens_and_repairs_from_the_drop_zone(recipient):
    edition = recipient.fetch()
    recipient.run("open")
    check_opened(edition.with_name("edition-1-opened"))
    (edition / "people.parquet.age").write_bytes((edition / "people.parquet.age").read_bytes()[:1000])
    assert "is damaged: 1 of 1 parts" in recipient.run("open", fails=True)
    services = recipient.world.services
    write_accounts(services)
    key = services.custody
    with Dropzone(services.settings.dropzone_dir, key.path(Role.DROPZONE_HOST), DropzoneSettings(port=0)) as zone:
        recipient.place = f"127.0.0.1:{zone.port}"
        line = key.public_key(Role.DROPZONE_HOST).line
        recipient.write("known_hosts", f"[127.0.0.1]:{zone.port} {line}\n")
        assert "repaired 1 of 1 parts" in recipient.run("repair")
    check_opened(recipient.folder / "repaired")


def test_gpg_opens_what_was_checked_before_and_says_who_signed(make_world, tmp_path):
    gpg = GnuPg(shutil.which("gpg"), tmp_path / "gnupg")
    try:
        world = make_world()
        gpg.new_key("fonds@example.org")
        sealed_to(world, tmp_path, gpg.export("fonds@example.org"), lambda file: gpg("--decrypt", file))
        recipient = Recipient(world, tmp_path / "recipient", GNUPGHOME=gpg.environment["GNUPGHOME"])
        recipient.agree()
        edition = recipient.fetch()
        said = recipient.run("signature", "checksums", "gpg", "pakbon", folder=edition)
        assert "Good signature" in said
        check_opened(edition)
    finally:
        gpg.stop()


def test_sq_opens_what_was_checked_before(make_world, tmp_path):
    def sq(*words: Any) -> bytes:
        return subprocess.check_output(["sq", *map(str, words)], stderr=subprocess.PIPE)

    key = tmp_path / "sq.key"
    sq("key", "generate", "--userid", "fonds@example.org", "--creation-time", "20260101T000000", "--export", key)
    world = make_world()
    sealed_to(world, tmp_path, sq("key", "extract-cert", key), lambda file: sq("decrypt", "--recipient-key", key, file))
    recipient = Recipient(world, tmp_path / "recipient")
    recipient.write("you.key", key.read_bytes())
    recipient.agree()
    edition = recipient.fetch()
    recipient.run("signature", "checksums", "sq", "pakbon", folder=edition)
    check_opened(edition)


def test_openssl_opens_what_was_checked_before(make_world, tmp_path):
    private, certificate = certificate_pair()
    key = tmp_path / "rsa.key"
    key.write_bytes(private)

    def opened(file: Path) -> bytes:
        words = ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", str(file), "-inkey", str(key)]
        return subprocess.check_output(words)

    world = make_world()
    sealed_to(world, tmp_path, certificate, opened)
    recipient = Recipient(world, tmp_path / "recipient")
    recipient.write("you.key", private)
    recipient.agree()
    edition = recipient.fetch()
    recipient.run("signature", "checksums", "openssl", "pakbon", folder=edition)
    check_opened(edition)


def test_the_fingerprint_of_an_age_key_can_be_computed_as_the_page_says(recipient):
    [command] = re.findall(r"`(printf %s .*?)`", PAGE)
    line = str(recipient.world.identity.recipient)
    found = subprocess.check_output(["bash", "-c", command.replace("age1...", line)], text=True).strip()
    assert f"SHA256:{found.rstrip('=')}" == recipient.world.identity.recipient.fingerprint
