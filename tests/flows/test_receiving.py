"""`gla open`, attacked: what was changed, mixed up or smuggled in is refused, and then nothing appears."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from apps.cli import receiving
from apps.cli.open_delivery import open_delivery
from apps.cli.sender_keys import SenderKeys
from core.canonical import canonical_json, sha256_hex
from core.errors import EnvelopeError, KeyUnusable, ManifestInvalid, SignerUnknown, UnusableInput
from core.period import Period
from core.settings import Settings
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml, draft
from flows.steps.order import Mode, Order
from keys.envelope.errors import NoMatchingKey
from keys.envelope.seal import Sealer
from keys.private.custody import Role
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import AGREEMENT, MARCH, World, make_world_in

OTHER = "GLA-2026-0008"
FEBRUARY = Period.parse("2026-02")
DATA, PAKBON, MANIFEST, SIGNATURE = "people.parquet.age", "pakbon.json.age", "manifest.json", "manifest.json.sig"


@pytest.fixture(scope="module")
def sender(tmp_path_factory) -> World:
    """March in two editions, February in one, and March under another agreement with the same recipient."""
    world = make_world_in(tmp_path_factory.mktemp("sender"))(300, kind="x25519")
    world.conclude()
    pl.read_parquet(world.source).with_columns(
        day=pl.date(2026, 3, 1) - pl.duration(days=pl.col("id") % 2)
    ).write_parquet(world.source)
    for order in (
        world.order(),
        world.order(Mode.CORRECT, "once more"),
        world.order(period=FEBRUARY),
    ):
        path.run(world.services, order)
    document = world.document()
    document["id"] = OTHER
    agreement, _ = lifecycle.offer(world.services, as_yaml(document).encode(), "tester")
    signature = world.signer.sign(agreement.canonical, Namespace.AGREEMENT)
    lifecycle.accept(world.services, OTHER, signature, "tester")
    lifecycle.activate(world.services, OTHER, "tester")
    path.run(world.services, Order(OTHER, MARCH, "tester"))
    return world


@dataclass
class Recipient:
    """A recipient's machine: its key, its signed agreement, and one delivery as fetched. Attacks change the folder."""

    sender: World
    folder: Path

    @property
    def delivery(self) -> Path:
        return self.folder / "edition-1"

    @property
    def out(self) -> Path:
        return self.folder / "edition-1-opened"

    @property
    def agreement(self) -> Path:
        return self.folder / "papers" / f"{AGREEMENT}.json"

    @property
    def key(self) -> Path:
        return self.folder / "age.key"

    @property
    def pins(self) -> Path:
        return self.folder / "home" / "pins"

    def published(self, period: Period = MARCH, edition: int = 1, agreement: str = AGREEMENT) -> Path:
        return self.sender.services.recipient_folder("fonds") / agreement / str(period) / f"edition-{edition}"

    def fetch(self, source: Path) -> None:
        """Replace what was fetched."""
        shutil.rmtree(self.delivery, ignore_errors=True)
        shutil.copytree(source, self.delivery)

    def take_paper(self, agreement: str, signer: Signer | None = None) -> Path:
        """The recipient's own copy of an agreement, with its own signature."""
        paper = self.agreement.with_name(f"{agreement}.json")
        paper.parent.mkdir(exist_ok=True)
        shutil.copy(self.sender.home / "agreements" / paper.name, paper)
        self.sign_paper(paper, signer)
        return paper

    def sign_paper(self, paper: Path, signer: Signer | None = None, namespace: str = Namespace.AGREEMENT) -> None:
        signature = (signer or self.sender.signer).sign(paper.read_bytes(), namespace)
        paper.with_name(f"{paper.name}.sig").write_text(signature)

    def manifest(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.delivery / MANIFEST).read_bytes())
        return value

    def send_manifest(self, value: Any, signer: Signer | None = None, namespace: str = Namespace.MANIFEST) -> None:
        """As the sender itself would: whatever is in it, the signature is right unless another is asked for."""
        content = value if isinstance(value, bytes) else canonical_json(value)
        (self.delivery / MANIFEST).write_bytes(content)
        signer = signer or self.sender.services.custody.signer(Role.MANIFEST)
        (self.delivery / SIGNATURE).write_text(signer.sign(content, namespace))

    def send_file(self, name: str, content: bytes) -> None:
        """Put a file in the delivery, listed rightly in a manifest that is signed rightly."""
        (self.delivery / name).write_bytes(content)
        manifest = self.manifest()
        [entry] = [each for each in manifest["files"] if each["filename"] == name]
        entry |= {"size": len(content), "checksum": sha256_hex(content), "chunks": [sha256_hex(content)]}
        self.send_manifest(manifest)

    def sealed(self, content: bytes) -> bytes:
        target = self.folder / "sealed"
        with target.open("wb") as file, Sealer(file, [self.sender.identity.recipient]) as sealer:
            sealer.write(content)
        return target.read_bytes()

    def pakbon(self) -> dict[str, Any]:
        from keys.private.opening import open_envelope

        with (self.delivery / PAKBON).open("rb") as file:
            value: dict[str, Any] = json.loads(open_envelope(file, [self.sender.identity]).read())
        return value

    def open(self, *options: str, agreement: Path | None = None) -> str:
        """Run the command; raises what it raises, and returns what it prints."""
        paper = ["--agreement", str(agreement)] if agreement else []
        arguments = [str(self.delivery), "-i", str(self.key), *paper, *options]
        result = CliRunner().invoke(open_delivery, arguments, obj=Settings(home=self.folder / "home"))
        if result.exception is not None:
            raise result.exception
        return result.output

    def refused(self, error: type[Exception], match: str, *options: str, agreement: Path | None = None) -> None:
        """It must be refused for this reason, and leave nothing."""
        before = sorted(self.folder.rglob("*"))
        with pytest.raises(error, match=match) as caught:
            self.open(*options, agreement=agreement or self.agreement)
        assert type(caught.value) is error or error is EnvelopeError
        assert caught.value.__context__ is None
        assert sorted(self.folder.rglob("*")) == before


@pytest.fixture
def recipient(sender: World, tmp_path: Path) -> Recipient:
    it = Recipient(sender, tmp_path)
    it.fetch(it.published())
    it.take_paper(AGREEMENT)
    it.key.write_text(f"# a comment\n{sender.identity.secret_text()}\n")
    return it


def test_an_honest_delivery_opens_with_exactly_its_rows(recipient):
    printed = recipient.open(agreement=recipient.agreement)
    assert "whole and authentic" in printed
    assert sorted(item.name for item in recipient.out.iterdir()) == ["pakbon.html", "pakbon.json", "people.parquet"]
    sent = pl.read_parquet(recipient.sender.source).filter(pl.col("day") == pl.date(2026, 3, 1))
    assert_frame_equal(pl.read_parquet(recipient.out / "people.parquet"), sent.drop("secret"))
    assert recipient.out.stat().st_mode & 0o077 == 0


class TestTrust:
    def test_manifest_altered_by_one_byte(self, recipient):
        content = (recipient.delivery / MANIFEST).read_bytes()
        (recipient.delivery / MANIFEST).write_bytes(content.replace(b'"edition":1', b'"edition":2'))
        recipient.refused(SignerUnknown, "not signed by the sender")

    def test_manifest_in_other_bytes_of_the_same_meaning(self, recipient):
        (recipient.delivery / MANIFEST).write_text(json.dumps(recipient.manifest()))
        recipient.refused(SignerUnknown, "not signed by the sender")

    def test_manifest_signed_by_another_key(self, recipient):
        recipient.send_manifest(recipient.manifest(), Signer.generate())
        recipient.refused(SignerUnknown, "not signed by the sender")

    def test_manifest_signed_by_the_recipients_own_key(self, recipient):
        recipient.send_manifest(recipient.manifest(), recipient.sender.signer)
        recipient.refused(SignerUnknown, "not signed by the sender")

    def test_manifest_signed_by_another_key_of_the_sender(self, recipient):
        recipient.send_manifest(recipient.manifest(), recipient.sender.services.custody.signer(Role.AGREEMENT_SEAL))
        recipient.refused(SignerUnknown, "not signed by the sender")

    @pytest.mark.parametrize("namespace", [name for name in Namespace if name is not Namespace.MANIFEST] + ["file"])
    def test_manifest_signed_for_another_purpose(self, recipient, namespace):
        recipient.send_manifest(recipient.manifest(), namespace=namespace)
        recipient.refused(SignerUnknown, "not signed by the sender")

    @pytest.mark.parametrize("signature", [b"", b"\xff\xfe", b"-----BEGIN SSH SIGNATURE-----\n"])
    def test_signature_that_is_none(self, recipient, signature):
        (recipient.delivery / SIGNATURE).write_bytes(signature)
        recipient.refused(SignerUnknown, "not signed by the sender")

    @pytest.mark.parametrize("name", [MANIFEST, SIGNATURE])
    def test_manifest_or_signature_missing(self, recipient, name):
        (recipient.delivery / name).unlink()
        recipient.refused(UnusableInput, f"{name} cannot be read")

    def test_manifest_of_another_delivery_with_its_signature(self, recipient):
        for name in (MANIFEST, SIGNATURE):
            shutil.copy(recipient.published(edition=2) / name, recipient.delivery / name)
        recipient.refused(ManifestInvalid, "damaged")

    def test_delivery_of_another_agreement(self, recipient):
        recipient.fetch(recipient.published(agreement=OTHER))
        recipient.refused(ManifestInvalid, f"another agreement than {AGREEMENT}")

    def test_delivery_under_another_version_of_the_same_agreement(self, recipient):
        recipient.send_manifest(recipient.manifest() | {"agreementDigest": "0" * 64})
        recipient.refused(ManifestInvalid, "another agreement")

    def test_a_folder_that_is_no_delivery(self, recipient):
        shutil.rmtree(recipient.delivery)
        recipient.delivery.mkdir()
        recipient.refused(UnusableInput, "name the folder of one edition")

    def test_manifest_that_is_a_folder(self, recipient):
        (recipient.delivery / MANIFEST).unlink()
        (recipient.delivery / MANIFEST).mkdir()
        recipient.refused(UnusableInput, "cannot be read")


class TestOwnAgreement:
    def test_agreement_that_came_with_the_delivery(self, recipient):
        for paper in (recipient.agreement, recipient.agreement.with_name(f"{AGREEMENT}.json.sig")):
            shutil.copy(paper, recipient.delivery)
        smuggled = recipient.delivery / recipient.agreement.name
        recipient.refused(UnusableInput, "may not come from the delivery", agreement=smuggled)

    def test_agreement_that_came_with_the_delivery_behind_a_link(self, recipient):
        shutil.copy(recipient.agreement, recipient.delivery)
        link = recipient.folder / "link.json"
        link.symlink_to(recipient.delivery / recipient.agreement.name)
        recipient.sign_paper(link)
        recipient.refused(UnusableInput, "may not come from the delivery", agreement=link)

    def test_agreement_altered_after_it_was_signed(self, recipient):
        content = recipient.agreement.read_bytes()
        recipient.agreement.write_bytes(content.replace(b'"value":30', b'"value":31'))
        recipient.refused(SignerUnknown, "not a valid SSH signature")

    def test_sender_key_swapped_in_the_agreement_and_the_delivery_signed_with_it(self, recipient):
        attacker = Signer.generate()
        ours = recipient.sender.services.custody.public_key(Role.MANIFEST).line.encode()
        content = recipient.agreement.read_bytes()
        recipient.agreement.write_bytes(content.replace(ours, attacker.public_key.line.encode()))
        recipient.send_manifest(recipient.manifest(), attacker)
        recipient.refused(SignerUnknown, "not a valid SSH signature")

    def test_agreement_in_another_form_than_was_signed(self, recipient):
        recipient.agreement.write_bytes(recipient.agreement.read_bytes() + b"\n")
        recipient.sign_paper(recipient.agreement)
        recipient.refused(UnusableInput, "not the file that was offered and signed")

    def test_agreement_without_a_signature(self, recipient):
        recipient.agreement.with_name(f"{AGREEMENT}.json.sig").unlink()
        recipient.refused(UnusableInput, r"json\.sig, your signature, is not beside")

    def test_agreement_signed_by_somebody_else(self, recipient):
        recipient.sign_paper(recipient.agreement, Signer.generate())
        recipient.refused(SignerUnknown, "not with the expected key")

    def test_agreement_signed_by_the_sender_only(self, recipient):
        recipient.sign_paper(recipient.agreement, recipient.sender.services.custody.signer(Role.AGREEMENT_SEAL))
        recipient.refused(SignerUnknown, "not with the expected key")

    def test_agreement_signed_for_another_purpose(self, recipient):
        recipient.sign_paper(recipient.agreement, namespace=Namespace.RECEIPT)
        recipient.refused(SignerUnknown, "not a valid SSH signature")

    def test_agreement_that_is_no_agreement(self, recipient):
        recipient.agreement.write_bytes(b"\x00\xff")
        recipient.refused(UnusableInput, "not valid")


class TestFiles:
    @pytest.mark.parametrize("name", [DATA, PAKBON])
    def test_file_missing(self, recipient, name):
        (recipient.delivery / name).unlink()
        recipient.refused(ManifestInvalid, f"{name} is missing")

    @pytest.mark.parametrize("name", [DATA, PAKBON])
    @pytest.mark.parametrize("cut", [1, 16, 10_000])
    def test_file_truncated(self, recipient, name, cut):
        content = (recipient.delivery / name).read_bytes()
        (recipient.delivery / name).write_bytes(content[:-cut])
        recipient.refused(ManifestInvalid, f"{name} is damaged: 1 of 1 parts")

    @pytest.mark.parametrize("name", [DATA, PAKBON])
    @pytest.mark.parametrize("place", [0, 0.5, 1])
    def test_one_byte_flipped(self, recipient, name, place):
        content = bytearray((recipient.delivery / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        (recipient.delivery / name).write_bytes(content)
        recipient.refused(ManifestInvalid, f"{name} is damaged")

    @pytest.mark.parametrize("name", [DATA, PAKBON])
    def test_file_swapped_with_that_of_another_edition(self, recipient, name):
        shutil.copy(recipient.published(edition=2) / name, recipient.delivery / name)
        recipient.refused(ManifestInvalid, f"{name} is damaged")

    def test_file_that_is_a_folder(self, recipient):
        (recipient.delivery / DATA).unlink()
        (recipient.delivery / DATA).mkdir()
        recipient.refused(ManifestInvalid, f"{DATA} is missing")

    def test_an_extra_unlisted_file_is_never_opened(self, recipient):
        (recipient.delivery / "extra.parquet.age").write_bytes((recipient.delivery / DATA).read_bytes())
        os.mkfifo(recipient.delivery / "pipe.age")  # whoever opened it would wait for ever
        recipient.open(agreement=recipient.agreement)
        assert sorted(item.name for item in recipient.out.iterdir()) == ["pakbon.html", "pakbon.json", "people.parquet"]

    def test_pakbon_swapped_between_the_check_and_the_opening(self, recipient):
        trust = receiving.trust_from_agreement(recipient.agreement, recipient.delivery)
        manifest = receiving.verified_manifest(recipient.delivery, trust)
        (recipient.delivery / PAKBON).write_bytes(recipient.sealed(canonical_json(recipient.pakbon() | {"rows": 1})))
        with pytest.raises(ManifestInvalid, match="damaged"):
            receiving.open_files(
                recipient.delivery, manifest, [recipient.sender.identity], recipient.out, lambda *_: None
            )
        assert not recipient.out.exists()

    def test_data_swapped_between_the_check_and_the_opening(self, recipient):
        trust = receiving.trust_from_agreement(recipient.agreement, recipient.delivery)
        manifest = receiving.verified_manifest(recipient.delivery, trust)
        (recipient.delivery / DATA).write_bytes(recipient.sealed(b"other rows"))
        before = sorted(recipient.folder.rglob("*"))
        with pytest.raises(ManifestInvalid, match="not what the pakbon says"):
            receiving.open_files(
                recipient.delivery, manifest, [recipient.sender.identity], recipient.out, lambda *_: None
            )
        assert sorted(recipient.folder.rglob("*")) == before


class TestSignedNonsense:
    """The sender's key signs something wrong: by mistake, or because it was stolen. It may still not do harm here."""

    @pytest.mark.parametrize("other", [{"edition": 2}, {"period": FEBRUARY}, {"agreement": OTHER}])
    def test_pakbon_of_another_delivery(self, recipient, other):
        recipient.send_file(PAKBON, (recipient.published(**other) / PAKBON).read_bytes())
        recipient.refused(ManifestInvalid, "do not belong together")

    @pytest.mark.parametrize(
        "change",
        [
            {"rows": 1},
            {"files": []},
            {"contextId": "0" * 32},
            {"edition": 2},
            {"period": "2026-04"},
            {"agreementDigest": "0" * 64},
        ],
    )
    def test_pakbon_that_contradicts_the_manifest_or_itself(self, recipient, change):
        recipient.send_file(PAKBON, recipient.sealed(canonical_json(recipient.pakbon() | change)))
        recipient.refused(ManifestInvalid, "pakbon")

    @pytest.mark.parametrize(("name", "value"), [("size", 1), ("checksum", "0" * 64), ("rows", 1)])
    def test_data_that_is_not_what_the_pakbon_says(self, recipient, name, value):
        pakbon = recipient.pakbon()
        pakbon["files"][0][name] = value
        pakbon["rows"] = pakbon["files"][0]["rows"]
        recipient.send_file(PAKBON, recipient.sealed(canonical_json(pakbon)))
        recipient.refused(ManifestInvalid, "not what the pakbon says")

    @pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'{"version":1}'])
    def test_pakbon_that_is_no_pakbon(self, recipient, content):
        recipient.send_file(PAKBON, recipient.sealed(content))
        recipient.refused(ManifestInvalid, "the pakbon is not valid")

    @pytest.mark.parametrize("name", [PAKBON, DATA])
    def test_file_that_is_listed_rightly_but_is_no_envelope(self, recipient, name):
        recipient.send_file(name, b"plain text")
        recipient.refused(EnvelopeError, "file")

    def test_envelope_cut_off_before_it_was_listed(self, recipient):
        recipient.send_file(DATA, (recipient.delivery / DATA).read_bytes()[:-1])
        recipient.refused(EnvelopeError, "file")

    @pytest.mark.parametrize(
        "name",
        ["../evil.age", "/tmp/evil.age", "a/b.age", ".hidden.age", "a\\b.age", "", "..", "a\n.age", "C:evil.age"],
    )
    def test_path_characters_in_a_name_of_the_manifest(self, recipient, name):
        manifest = recipient.manifest()
        manifest["files"][0]["filename"] = name
        recipient.send_manifest(manifest)
        recipient.refused(ManifestInvalid, r"files\.0\.filename")

    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".hidden", ""])
    def test_path_characters_in_a_name_of_the_pakbon(self, recipient, name):
        pakbon = recipient.pakbon()
        pakbon["files"][0]["filename"] = name
        recipient.send_file(PAKBON, recipient.sealed(canonical_json(pakbon)))
        recipient.refused(ManifestInvalid, r"files\.0\.filename")

    def test_pakbon_that_names_a_file_that_the_manifest_does_not_list(self, recipient):
        (recipient.delivery / "unlisted.parquet.age").write_bytes((recipient.delivery / DATA).read_bytes())
        pakbon = recipient.pakbon()
        pakbon["files"][0]["filename"] = "unlisted.parquet"
        recipient.send_file(PAKBON, recipient.sealed(canonical_json(pakbon)))
        recipient.refused(ManifestInvalid, "do not belong together")

    def test_a_delivery_of_before_has_no_page_and_no_contact(self, recipient):
        manifest = recipient.manifest()
        manifest["files"] = [each for each in manifest["files"] if each["filename"] != "pakbon.html.age"]
        manifest.pop("contact", None)
        recipient.send_manifest(manifest)
        recipient.open(agreement=recipient.agreement)
        assert sorted(item.name for item in recipient.out.iterdir()) == ["pakbon.json", "people.parquet"]

    def test_a_page_that_another_sealed_is_not_opened(self, recipient):
        (recipient.delivery / "pakbon.html.age").write_bytes(recipient.sealed(b"<p>call this number"))
        recipient.refused(ManifestInvalid, "pakbon.html.age")
        assert not recipient.out.exists()

    def test_manifest_without_a_pakbon(self, recipient):
        manifest = recipient.manifest()
        manifest["files"] = [each for each in manifest["files"] if each["filename"] != PAKBON]
        recipient.send_manifest(manifest)
        recipient.refused(ManifestInvalid, "has no pakbon")

    def test_the_same_file_listed_twice(self, recipient):
        manifest = recipient.manifest()
        manifest["files"].append(manifest["files"][0])
        recipient.send_manifest(manifest)
        recipient.refused(ManifestInvalid, "files")

    @pytest.mark.parametrize("content", [b"{}", b"[]", b"null", b"\xff", b'{"a":1,"a":2}'])
    def test_manifest_that_is_no_manifest(self, recipient, content):
        recipient.send_manifest(content)
        recipient.refused(ManifestInvalid, "the manifest is not valid")


class TestKeysAndFolders:
    def test_wrong_identity(self, recipient):
        recipient.key.write_text(generate_identity("x25519").secret_text())
        recipient.refused(NoMatchingKey, "none of the given private keys")

    @pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe", b"age1notasecret"])
    def test_key_file_without_a_key(self, recipient, content):
        recipient.key.write_bytes(content)
        recipient.refused(KeyUnusable, "key")

    def test_one_of_several_identities_is_enough(self, recipient):
        other = recipient.folder / "other.key"
        other.write_text(generate_identity("hybrid").secret_text())
        recipient.open("-i", str(other), agreement=recipient.agreement)
        assert recipient.out.is_dir()

    @pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
    def test_existing_output_is_left_alone(self, recipient, make):
        make(recipient.out)
        recipient.refused(UnusableInput, "exists: name another folder")

    def test_a_failure_leaves_no_folder_and_no_partial(self, recipient):
        pakbon = recipient.pakbon()
        pakbon["files"][0]["checksum"] = "0" * 64
        recipient.send_file(PAKBON, recipient.sealed(canonical_json(pakbon)))
        inner = recipient.folder / "new" / "place"
        with pytest.raises(ManifestInvalid):
            recipient.open("--out", str(inner), agreement=recipient.agreement)
        assert not list((recipient.folder / "new").iterdir())

    def test_what_an_earlier_run_left_half_done_is_cleared(self, recipient):
        left = recipient.folder / ".edition-1-opened.partial"
        left.mkdir()
        (left / "people.parquet").write_text("half")
        recipient.open(agreement=recipient.agreement)
        assert not left.exists()

    def test_the_current_folder_can_be_opened(self, recipient, monkeypatch):
        monkeypatch.chdir(recipient.delivery)
        options = [".", "-i", str(recipient.key), "--agreement", str(recipient.agreement)]
        result = CliRunner().invoke(open_delivery, options, obj=Settings(home=recipient.folder / "home"))
        assert result.exception is None
        assert recipient.out.is_dir()


class TestPin:
    def test_the_next_delivery_opens_without_the_agreement(self, recipient):
        recipient.open(agreement=recipient.agreement)
        shutil.rmtree(recipient.folder / "papers")
        recipient.fetch(recipient.published(edition=2))
        assert "replaces edition 1" in recipient.open("--out", str(recipient.folder / "second"))

    def test_without_agreement_or_pin_nothing_is_trusted(self, recipient):
        with pytest.raises(UnusableInput, match="--agreement"):
            recipient.open()

    def test_pin_of_another_agreement_is_not_used(self, recipient):
        recipient.open(agreement=recipient.agreement)
        recipient.fetch(recipient.published(agreement=OTHER))
        with pytest.raises(UnusableInput, match=f"{OTHER} was not opened here before"):
            recipient.open("--out", str(recipient.folder / "second"))

    def test_pin_copied_to_the_name_of_another_agreement_is_not_used(self, recipient):
        recipient.open(agreement=recipient.agreement)
        shutil.copy(recipient.pins / f"{AGREEMENT}.json", recipient.pins / f"{OTHER}.json")
        recipient.fetch(recipient.published(agreement=OTHER))
        with pytest.raises(UnusableInput, match="damaged"):
            recipient.open("--out", str(recipient.folder / "second"))

    def test_two_agreements_have_a_pin_each(self, recipient):
        recipient.open(agreement=recipient.agreement)
        recipient.fetch(recipient.published(agreement=OTHER))
        recipient.open("--out", str(recipient.folder / "second"), agreement=recipient.take_paper(OTHER))
        recipient.open("--out", str(recipient.folder / "third"))
        assert sorted(pin.name for pin in recipient.pins.iterdir()) == [f"{AGREEMENT}.json", f"{OTHER}.json"]

    def test_manifest_signed_by_another_key_does_not_open_from_the_pin(self, recipient):
        recipient.open(agreement=recipient.agreement)
        recipient.send_manifest(recipient.manifest(), Signer.generate())
        with pytest.raises(SignerUnknown):
            recipient.open("--out", str(recipient.folder / "second"))

    def test_a_refused_delivery_is_not_pinned(self, recipient):
        (recipient.delivery / DATA).unlink()
        recipient.refused(ManifestInvalid, "missing")
        assert not recipient.pins.exists()

    @pytest.mark.parametrize("name", ["../../papers/x", "/etc/passwd", ".."])
    def test_an_unsigned_manifest_cannot_make_the_pin_a_path(self, recipient, name):
        (recipient.delivery / MANIFEST).write_bytes(canonical_json(recipient.manifest() | {"agreement": name}))
        with pytest.raises(ManifestInvalid, match="agreement"):
            recipient.open()

    @pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"agreement":"GLA-2026-0007"}', b"\xff"])
    def test_damaged_pin_is_a_refusal(self, recipient, damage):
        recipient.open(agreement=recipient.agreement)
        (recipient.pins / f"{AGREEMENT}.json").write_bytes(damage)
        with pytest.raises(UnusableInput, match="pin"):
            recipient.open("--out", str(recipient.folder / "second"))

    @pytest.mark.parametrize("key", ["ssh-ed25519 AAAA", "", "x"])
    def test_pin_with_a_damaged_key_is_a_refusal(self, recipient, key):
        recipient.open(agreement=recipient.agreement)
        pin = recipient.pins / f"{AGREEMENT}.json"
        pin.write_bytes(canonical_json(json.loads(pin.read_bytes()) | {"senderKey": key}))
        with pytest.raises(UnusableInput, match="damaged"):
            recipient.open("--out", str(recipient.folder / "second"))


@pytest.mark.parametrize("evil", ["\x1b[31mred", "a b", "é"])
def test_a_made_up_name_in_an_unsigned_manifest_does_not_reach_the_screen(recipient, evil):
    (recipient.delivery / MANIFEST).write_bytes(canonical_json(recipient.manifest() | {evil: 1}))
    with pytest.raises(ManifestInvalid) as caught:
        recipient.open()
    assert evil not in str(caught.value)


def test_csv_with_empty_cells_and_line_breaks_has_the_counted_rows(make_world: Callable[..., World]):
    world = make_world(rows=40)
    rows = pl.DataFrame(
        {
            "note": ["x\r\ny", None, "", 'a "quote"\n', None],
            "day": pl.date_range(pl.date(2026, 3, 1), pl.date(2026, 3, 5), eager=True),
        }
    )
    rows.write_parquet(world.source)
    document = draft(world.services, AGREEMENT, "people", "fonds", ("note",), "day")
    document["customProperties"] = [
        item | ({"value": "csv.zst"} if item["property"] == "gla.format" else {})
        for item in document["customProperties"]
    ]
    world.conclude(document)
    path.run(world.services, world.order())
    recipient = Recipient(world, world.home.parent / "recipient")
    recipient.folder.mkdir()
    recipient.fetch(recipient.published())
    recipient.key.write_text(world.identity.secret_text())
    recipient.open(agreement=recipient.take_paper(AGREEMENT))
    assert pl.read_csv(recipient.out / "people.csv.zst", schema={"note": pl.String}).height == rows.height


def test_a_pin_that_replaces_another_sender_says_so(tmp_path):
    first = receiving.Trust("GLA-1", "0" * 64, SenderKeys("ssh-ed25519 AAAA"))
    assert receiving.pin(tmp_path / "pins", first) is False
    assert receiving.pin(tmp_path / "pins", first) is False
    assert receiving.pin(tmp_path / "pins", receiving.Trust("GLA-1", "0" * 64, SenderKeys("ssh-ed25519 BBBB"))) is True
