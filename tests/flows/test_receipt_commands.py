"""`gla receipt`, `gla retention` and `gla open --ack` as people use them, without a server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from apps.cli import receipt as receipt_command
from apps.cli import retention as retention_command
from apps.cli.open_delivery import open_delivery
from apps.cli.receipt import receipt
from apps.cli.receipt_files import write_receipt
from apps.cli.retention import retention
from core.errors import GlaError, KeyUnusable, ManifestInvalid, UnusableInput
from core.files import write_file
from flows.steps import path
from flows.steps.receipts import Came, receive
from keys.private.signing import Signer
from keys.sshsig import Namespace, verify_by
from ledger.states import State
from schemas.receipts import Rejection
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World

DELIVERED = f"{AGREEMENT}/2026-03/1"


class Recipient:
    """A recipient's machine: the delivery, the agreement with its signature, and both private keys."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        folder.mkdir()
        self.delivery = folder / "edition-1"
        shutil.copytree(world.published(), self.delivery)
        self.agreement = folder / f"{AGREEMENT}.json"
        self.agreement.write_bytes((world.home / "agreements" / f"{AGREEMENT}.json").read_bytes())
        signature = world.signer.sign(self.agreement.read_bytes(), Namespace.AGREEMENT)
        self.agreement.with_name(f"{self.agreement.name}.sig").write_text(signature)
        self.ssh_key, self.age_key = folder / "id_ed25519", folder / "age.key"
        write_file(self.ssh_key, world.signer.private_file(), mode=0o600)
        write_file(self.age_key, f"{world.identity.secret_text()}\n".encode(), mode=0o600)

    def run(self, command: click.Command, *arguments: str | Path) -> Result:
        settings = self.world.services.settings.model_copy(update={"home": self.folder / "own"})
        return CliRunner().invoke(command, [str(each) for each in arguments], obj=settings, catch_exceptions=True)

    def open(self, *more: str | Path) -> Result:
        return self.run(
            open_delivery,
            self.delivery,
            "-i",
            self.age_key,
            "--agreement",
            self.agreement,
            "--ssh-key",
            self.ssh_key,
            *more,
        )


@pytest.fixture
def recipient(world: World, tmp_path: Path) -> Recipient:
    world.conclude()
    path.run(world.services, world.order())
    return Recipient(world, tmp_path / "recipient")


@pytest.fixture
def operator(recipient: Recipient, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command on the sender's machine, with the world's clock."""
    world = recipient.world
    monkeypatch.setattr("flows.wiring.open_services", lambda _: world.services)
    monkeypatch.setattr(retention_command, "open_existing", lambda _: world.services)

    def run(command: click.Command, *arguments: str | Path) -> Result:
        return CliRunner().invoke(command, [str(each) for each in arguments], obj=world.services.settings)

    return run


def state(world: World) -> State:
    found = world.services.ledger.get(AGREEMENT, MARCH, 1)
    assert found is not None
    return found.state


def name(suffix: str) -> str:
    return f"{AGREEMENT}_2026-03_edition-1{suffix}"


def test_open_with_ack_leaves_a_signed_receipt_that_the_sender_takes(recipient: Recipient) -> None:
    shown = recipient.open("--ack")
    assert shown.exit_code == 0, shown.output
    assert "put" in shown.output
    text, signature = (recipient.folder / name(end) for end in (".ack", ".ack.sig"))
    signer = recipient.world.signer.public_key.fingerprint
    verify_by(signature.read_text(), text.read_bytes(), Namespace.RECEIPT, signer)
    receive(recipient.world.services, Came(RECIPIENT, text.name, text.read_bytes(), signature.read_bytes(), RECIPIENT))
    assert state(recipient.world) is State.CONFIRMED
    assert (recipient.folder / "edition-1-opened" / "pakbon.html").read_text().startswith("<!DOCTYPE html>")


def test_a_signed_receipt_is_proof_for_others(
    recipient: Recipient, operator: Callable[..., Result], tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    recipient.open("--ack")
    file, signature = recipient.folder / name(".ack"), recipient.folder / name(".ack.sig")
    assert isinstance(operator(receipt, "export", DELIVERED, tmp_path / "proof").exception, UnusableInput)
    operator(receipt, "add", "--recipient", RECIPIENT, "--signature", signature, file)
    shown = operator(receipt, "export", DELIVERED, tmp_path / "proof")
    assert shown.exit_code == 0, shown.exception
    (exported,) = (tmp_path / "proof").glob("*.ack")
    assert exported.read_bytes() == file.read_bytes()
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"fonds {recipient.world.signer.public_key.line}\n")
    verify = [require_program("ssh-keygen"), "-Y", "verify", "-f", str(allowed), "-I", "fonds", "-n", "gla-receipt"]
    done = subprocess.run(
        [*verify, "-s", f"{exported}.sig"], input=exported.read_bytes(), check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("wrong", ["GLA-1", "GLA-1/2026-03", "GLA-1/2026-03/0", "../x/2026-03/1", "GLA-1/march/1"])
def test_what_names_no_delivery_has_no_proof(operator: Callable[..., Result], tmp_path: Path, wrong: str) -> None:
    assert isinstance(operator(receipt, "export", wrong, tmp_path / "proof").exception, UnusableInput)
    assert not (tmp_path / "proof").exists()


def test_the_page_says_whom_to_ask_and_what_is_in_the_delivery(
    make_world: Callable[..., World], tmp_path: Path
) -> None:
    world = make_world()
    document = world.document(sums=["amount"])
    document["support"] = [
        {"channel": "Servicedesk gegevensleveringen", "url": "mailto:gla@example.org"}, {"channel": "Second"},
    ]  # fmt: skip
    world.conclude(document)
    path.run(world.services, world.order())
    here = Recipient(world, tmp_path / "recipient")
    assert here.open().exit_code == 0
    manifest = json.loads((here.delivery / "manifest.json").read_bytes())
    assert manifest["contact"] == {"name": "Servicedesk gegevensleveringen", "url": "mailto:gla@example.org"}
    page = (here.folder / "edition-1-opened" / "pakbon.html").read_text(encoding="utf-8")
    pakbon = json.loads((here.folder / "edition-1-opened" / "pakbon.json").read_bytes())
    for word in ("Servicedesk gegevensleveringen", "maart 2026", "310", pakbon["sums"]["amount"]):
        assert word in page
    assert "nota-" not in page
    assert pakbon["sums"]["amount"].encode() not in b"".join(each.read_bytes() for each in here.delivery.iterdir())


def test_a_check_is_enough_for_a_receipt(recipient: Recipient) -> None:
    shown = recipient.run(
        open_delivery, recipient.delivery, "--check", "--agreement", recipient.agreement,
        "--ack", "--ssh-key", recipient.ssh_key,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert (recipient.folder / name(".ack.sig")).exists()


def test_what_is_not_as_it_was_sent_gets_no_receipt(recipient: Recipient) -> None:
    (recipient.delivery / "people.parquet.age").write_bytes(b"damaged")
    shown = recipient.open("--ack")
    assert isinstance(shown.exception, ManifestInvalid)
    assert not (recipient.folder / name(".ack")).exists()


def test_ack_without_a_key_is_refused_before_anything_is_opened(recipient: Recipient) -> None:
    shown = recipient.run(open_delivery, recipient.delivery, "-i", recipient.age_key, "--ack")
    assert shown.exit_code == 2
    assert not (recipient.folder / "edition-1-opened").exists()
    recipient.ssh_key.write_bytes(b"no key")
    shown = recipient.open("--ack")
    assert isinstance(shown.exception, KeyUnusable)
    assert not (recipient.folder / "edition-1-opened").exists()


@pytest.mark.parametrize("signed", [True, False])
def test_a_recipient_writes_that_it_does_not_accept_a_delivery(
    recipient: Recipient, operator: Callable[..., Result], signed: bool
) -> None:
    key = ["--ssh-key", recipient.ssh_key] if signed else []
    assert recipient.run(receipt, "sign", recipient.delivery, "--nack", "content", *key).exit_code == 0
    file, signature = recipient.folder / name(".nack"), recipient.folder / name(".nack.sig")
    assert signature.exists() == signed
    taken = operator(receipt, "add", "--recipient", RECIPIENT, *(["--signature", signature] if signed else []), file)
    assert taken.exit_code == 0, taken.output
    assert (
        "recorded before"
        in operator(
            receipt, "add", "--recipient", RECIPIENT, *(["--signature", signature] if signed else []), file
        ).output
    )
    [case] = json.loads(operator(receipt, "list", "--json").output)
    assert (case["delivery"], case["reason"], case["signer"] is not None) == (DELIVERED, "content", signed)
    assert "content" in operator(receipt, "list").output
    number = str(case["number"])
    assert operator(receipt, "close", number, "--reason", "delivered again").exit_code == 0
    assert json.loads(operator(receipt, "list", "--json").output) == []
    assert "delivered again" in operator(receipt, "list", "--all").output
    assert isinstance(operator(receipt, "close", number, "--reason", "x").exception, UnusableInput)


def test_a_folder_without_a_manifest_has_no_receipt(recipient: Recipient, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert isinstance(recipient.run(receipt, "sign", tmp_path / "empty").exception, UnusableInput)


def test_what_is_no_receipt_is_refused_with_a_reason(
    recipient: Recipient, operator: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "x.ack"
    file.write_bytes(b"x" * 5000)
    failed = operator(receipt, "add", "--recipient", RECIPIENT, file)
    assert isinstance(failed.exception, GlaError)
    assert "at most" in str(failed.exception)


def test_our_receipt_is_the_same_whoever_writes_it_again(recipient: Recipient) -> None:
    first = write_receipt(recipient.delivery, None, Rejection.OTHER)[0].read_bytes()
    assert write_receipt(recipient.delivery, Signer.generate(), Rejection.OTHER)[0].read_bytes() == first


def test_retention_shows_what_would_go_and_then_removes_it(
    recipient: Recipient, operator: Callable[..., Result]
) -> None:
    world = recipient.world
    assert "0 deliveries would be removed" in operator(retention, "run", "--dry-run").output
    world.at(NOW + timedelta(days=28, hours=1))
    run = operator(retention, "run")
    assert "neither fetched nor confirmed" in run.output
    assert "0 deliveries and 0 reports" in run.output
    world.at(NOW + timedelta(days=30))
    shown = operator(retention, "run", "--dry-run").output
    assert DELIVERED in shown
    assert "1 delivery would be removed" in shown
    assert world.published().is_dir()
    run = operator(retention, "run")
    assert (run.exit_code, world.published().exists()) == (0, False)
    assert f"{DELIVERED} is removed" in run.output


def test_what_could_not_be_removed_is_an_exit_code(
    recipient: Recipient, operator: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipient.world.at(NOW + timedelta(days=30))
    monkeypatch.setattr("transports.directory.DirectoryTransport.delete", lambda *_: None)
    run = operator(retention, "run")
    assert run.exit_code == 1
    assert "Not removed" in run.output


def test_the_commands_are_listed() -> None:
    assert {"add", "close", "export", "list", "s3-log", "sign"} == set(receipt_command.receipt.commands)
