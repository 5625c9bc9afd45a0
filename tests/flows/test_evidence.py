"""`gla evidence`: a file that proves a delivery by public keys alone, to our program and to an independent one."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from apps.cli.evidence import evidence
from core.canonical import canonical_json, sha256_hex
from core.errors import UnusableInput
from core.period import Period
from flows.steps import evidence as making
from flows.steps import path
from flows.steps.evidence_check import Trusted, check
from flows.steps.order import Mode
from flows.steps.receipts import Came, receive
from flows.steps.retention import remove_what_is_over
from keys.notes import signed_note
from keys.private.identities import generate_identity
from keys.private.rotation import rotate
from keys.private.signing import Signer
from keys.published import Entry
from keys.roles import Role
from keys.sshsig import Namespace, SshPublicKey
from ledger.removal import remove_bodies
from schemas.receipts import ReceiptText
from tests.delivery_world import (
    AGREEMENT,
    AMOUNT,
    MARCH,
    RECIPIENT,
    VALID_UNTIL,
    World,
    make_world_in,
    register_proven,
)

FEBRUARY = Period.parse("2026-02")
OTHER = "andere-organisatie"
ROOT = Path(__file__).parents[2]
INDEPENDENT = ROOT / "docs" / "verify_evidence.py"
DOES_NOT_HOLD = (ValueError, LookupError, InvalidSignature, subprocess.CalledProcessError)


def acknowledge(world: World) -> None:
    manifest = sha256_hex((world.published() / "manifest.json").read_bytes())
    content = ReceiptText(manifest).to_bytes()
    signature = world.signer.sign(content, Namespace.RECEIPT).encode()
    receive(world.services, Came(RECIPIENT, "march.ack", content, signature, RECIPIENT))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, bytes]:
    """A delivery with a signed receipt among others, and its evidence."""
    world = make_world_in(tmp_path_factory.mktemp("evidence"))(rows=900)
    register_proven(world.services, OTHER, "90000110", generate_identity("hybrid"), Signer.generate())
    world.conclude()
    path.run(world.services, world.order(period=FEBRUARY))
    path.run(world.services, world.order())
    acknowledge(world)
    path.run(world.services, world.order(Mode.REDELIVER, "lost", FEBRUARY))
    return world, making.export(world.services, AGREEMENT, MARCH, 1)


def keys_of(world: World) -> Trusted:
    custody = world.services.custody
    return Trusted(custody.published(Role.AGREEMENT_SEAL)[0].line, custody.published(Role.LEDGER)[0].line)


def independent(content: bytes, trusted: Trusted, folder: Path) -> subprocess.CompletedProcess[str]:
    """docs/verify_evidence.py, copied to where nothing of ours is."""
    shutil.copy(INDEPENDENT, folder / "verify.py")
    command = [sys.executable, "-P", "-S", "-c", ISOLATED, "verify.py", *written(content, trusted, folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def written(content: bytes, trusted: Trusted, folder: Path) -> list[str]:
    """What docs/verify_evidence.py is called with."""
    (folder / "evidence.json").write_bytes(content)
    (folder / "seal.pub").write_text(f"{trusted.seal} seal\n")
    (folder / "ledger.pub").write_text(f"{trusted.ledger} ledger\n")
    return [str(folder / name) for name in ("evidence.json", "seal.pub", "ledger.pub")]


def independently(content: bytes, trusted: Trusted, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `independent`, in this process; raises what the program raises."""
    monkeypatch.setattr(sys, "argv", [str(INDEPENDENT), *written(content, trusted, folder)])
    runpy.run_path(str(INDEPENDENT), run_name="__main__")


# runs the program where no module of ours can be imported
ISOLATED = f"""
import importlib.util, runpy, site, sys
site.addsitedir({str(Path(json.__file__).parent.parent / "site-packages")!r})
for folder in {[path for path in sys.path if path.endswith("site-packages")]!r}:
    site.addsitedir(folder)
OURS = {{"core", "schemas", "keys", "transports", "agreements", "ledger", "flows", "apps"}}
class Closed:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OURS:
            raise ImportError(name)
sys.meta_path.insert(0, Closed())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_all_of_it_holds(told: tuple[World, bytes]) -> None:
    world, content = told
    findings = check(content, keys_of(world))
    assert [finding.what for finding in findings if not finding.holds] == []
    assert findings[-1].what == "the recipient's receipt: accepted; signed with the key that assented"


def test_an_independent_program_says_the_same(told: tuple[World, bytes], tmp_path: Path) -> None:
    world, content = told
    done = independent(content, keys_of(world), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"holds: {AGREEMENT}/2026-03/1" in done.stdout
    assert f"('delivery.confirmed', '{world.signer.public_key.fingerprint}')" in done.stdout


def test_the_independent_program_is_small_and_imports_nothing_of_ours() -> None:
    text = INDEPENDENT.read_text()
    nodes = list(ast.walk(ast.parse(text)))
    imported = {name.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names) | {"cryptography"}
    assert not imported & {"importlib", "runpy"}
    assert len(text.splitlines()) <= 100
    assert max(map(len, text.splitlines())) <= 120


def test_it_holds_nothing_of_the_data_of_other_deliveries_or_of_others(told: tuple[World, bytes]) -> None:
    world, content = told
    text = content.decode()
    assert not re.search(rf"nota-\d|geheim-\d|{str(AMOUNT)[:4]}\d{{9}}", text)
    others = {event["delivery_id"] for event in world.events()} - {world.services.ledger.get(AGREEMENT, MARCH, 1).id}
    for each in (*filter(None, others), OTHER, "90000110", str(FEBRUARY), "geheim", str(world.home)):
        assert each not in text, each
    told_of = {json.loads(event["body"])["seq"] for event in json.loads(content)["events"]}
    for event in world.events():
        if event["seq"] not in told_of:
            assert event["nonce"].hex() not in text


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return canonical_json(document)

    return edit


def _event(document: dict[str, Any], action: str) -> dict[str, Any]:
    return next(event for event in document["events"] if json.loads(event["body"])["action"] == action)


def _rewrite(action: str, old: str, new: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        event = _event(document, action)
        assert old in event["body"]
        event["body"] = event["body"].replace(old, new)

    return change


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another last day in the agreement": lambda it: it["agreement"].update(
        document=it["agreement"]["document"].replace(f'"{VALID_UNTIL}"', '"2098-12-31"')
    ),
    "our seal in place of the assent": lambda it: it["agreement"].update(
        recipientSignature=it["agreement"]["senderSignature"]
    ),
    "another edition in the manifest": lambda it: it["manifest"].update(
        document=it["manifest"]["document"].replace('"edition":1', '"edition":2')
    ),
    "another delivery on the cover": lambda it: it.update(delivery=f"{AGREEMENT}/2026-02/1"),
    "no publication": lambda it: it["events"].remove(_event(it, "delivery.published")),
    "no verdict": lambda it: it["events"].remove(_event(it, "delivery.validated")),
    "another verdict": _rewrite("delivery.validated", '\\"rows\\":310', '\\"rows\\":311'),
    "another file published": _rewrite("delivery.published", "manifest.json", "manifest.jsom"),
    "another time": _rewrite("delivery.published", '"at":"2026-04-05', '"at":"2026-04-04'),
    "another actor": _rewrite("delivery.confirmed", '"actor":"', '"actor":"x'),
    "another nonce": lambda it: it["events"][0].update(nonce="00" * 32),
    "a proof cut short": lambda it: it["events"][0]["proof"].pop(),
    "a proof with a node more": lambda it: it["events"][0]["proof"].append("00" * 32),
    "proofs changed": lambda it: it["events"][0].update(proof=it["events"][1]["proof"]),
    "no consistency": lambda it: it["consistency"].clear(),
    "an older checkpoint as the newest": lambda it: it.update(newest=it["publication"]),
    "the newest checkpoint as that of the publication": lambda it: it.update(publication=it["newest"]),
    "a checkpoint of another size": lambda it: it.update(
        newest=re.sub(r"\n(\d+)\n", lambda found: f"\n{int(found[1]) + 1}\n", it["newest"], count=1)
    ),
    "a checkpoint without signature": lambda it: it.update(newest=it["newest"].split("\u2014")[0]),
    "no keys": lambda it: it.update(keys=""),
    "a key of another day": lambda it: it.update(keys=it["keys"].replace('"since":"2026', '"since":"2025')),
    "a key that does not sign itself": lambda it: it.update(
        keys=re.sub('"possession":"[^"]*"', '"possession":null', it["keys"])
    ),
    "a key signed for another purpose": lambda it: it.update(
        keys=re.sub('(?<="possession":)"[^"]*"', lambda _: json.dumps(it["manifest"]["signature"]), it["keys"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_does_not_hold(
    told: tuple[World, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    world, content = told
    forged = _edited(FORGERIES[forgery])(content)
    assert forged != content.rstrip(b"\n")
    assert not all(finding.holds for finding in check(forged, keys_of(world)))
    with pytest.raises(DOES_NOT_HOLD):
        independently(forged, keys_of(world), tmp_path, monkeypatch)


@pytest.mark.parametrize("role", ["seal", "ledger"])
def test_by_keys_of_others_it_does_not_hold(told: tuple[World, bytes], tmp_path: Path, role: str) -> None:
    world, content = told
    trusted = Trusted(**{**vars(keys_of(world)), role: Signer.generate().public_key.line})
    assert not all(finding.holds for finding in check(content, trusted))
    done = independent(content, trusted, tmp_path)
    assert done.returncode == 1
    assert f"{role}_key in keys" in done.stderr, "the trace names the line that does not hold"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"format":"gla-evidence-v2"}', b"\xff"])
def test_what_is_no_evidence_is_said_to_be_none(told: tuple[World, bytes], content: bytes) -> None:
    with pytest.raises(UnusableInput):
        check(content, keys_of(told[0]))


def test_a_file_with_nothing_in_it_fails_every_check(told: tuple[World, bytes]) -> None:
    assert not any(finding.holds for finding in check(b'{"format":"gla-evidence-v1"}', keys_of(told[0])))


def run(world: World, *arguments: object) -> Result:
    return CliRunner().invoke(evidence, [*map(str, arguments)], obj=world.services.settings)


def test_the_commands(told: tuple[World, bytes], tmp_path: Path) -> None:
    world, _ = told
    out, trusted = tmp_path / "e.json", keys_of(world)
    done = run(world, "export", f"{AGREEMENT}/2026-03/1", "--out", out)
    assert done.exit_code == 0, done.output
    (tmp_path / "seal.pub").write_text(trusted.seal)
    (tmp_path / "ledger.pub").write_text(trusted.ledger)
    options = ("--seal-key", tmp_path / "seal.pub", "--ledger-key", tmp_path / "ledger.pub")
    verified = run(world, "verify", out, *options)
    assert (verified.exit_code, "NOT SO" in verified.output) == (0, False)
    assert run(world, "verify", out).exit_code == 0, "with our own keys"
    out.write_bytes(out.read_bytes().replace(b'"proof":["', b'"proof":["00'))
    verified = run(world, "verify", out, *options)
    assert verified.exit_code == 1
    assert "NOT SO:  every event stands in the ledger" in verified.output
    assert "holds:   the sender sealed the agreement" in verified.output


def test_evidence_is_verified_without_a_home(told: tuple[World, bytes], tmp_path: Path) -> None:
    world, content = told
    (tmp_path / "e.json").write_bytes(content)
    for name, line in vars(keys_of(world)).items():
        (tmp_path / f"{name}.pub").write_text(line)
    command = [
        "-m",
        "apps.cli.main",
        "evidence",
        "verify",
        "e.json",
        "--seal-key",
        "seal.pub",
        "--ledger-key",
        "ledger.pub",
    ]
    environment = {**os.environ, "GLA_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, timeout=60, check=True)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", [f"{AGREEMENT}/2026-03/2", f"{AGREEMENT}/2026-03", "x/2026-03/1", "../2026-03/1"])
def test_a_delivery_that_is_none_is_a_clear_error(told: tuple[World, bytes], name: str) -> None:
    assert isinstance(run(told[0], "export", name).exception, UnusableInput)


def test_keys_that_were_replaced_since_lead_to_those_that_signed(
    make_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(rows=900)
    world.conclude()
    first = keys_of(world)
    path.run(world.services, world.order())
    for role in (Role.LEDGER, Role.AGREEMENT_SEAL, Role.MANIFEST):
        rotate(world.services.custody, role)
    content = making.export(world.services, AGREEMENT, MARCH, 1)
    custody = world.services.custody
    last = Trusted(*(custody.published(role)[-1].line for role in (Role.AGREEMENT_SEAL, Role.LEDGER)))
    for trusted in (first, last):
        assert all(finding.holds for finding in check(content, trusted))
        independently(content, trusted, tmp_path, monkeypatch)


def test_checkpoints_of_a_token_without_ed25519_hold(
    told: tuple[World, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the ledger had always been signed with ECDSA: the same checkpoints, and a history with that key."""
    world, content = told
    private, document = ec.generate_private_key(ec.SECP256R1()), json.loads(content)
    key = SshPublicKey(private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())
    written = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    others = [line for line in document["keys"].splitlines() if json.loads(line)["role"] != Role.LEDGER]
    entry = Entry(Role.LEDGER, key.line, "2026-01-01T00:00:00.000Z", None)
    entry = replace(entry, possession=ssh_signature(written, entry.message(), Namespace.KEY_HISTORY, tmp_path))
    document["keys"] = "".join(f"{line}\n" for line in (*others, entry.line().decode()))
    for name in ("publication", "newest"):
        text = document[name].partition("\n\n")[0] + "\n"
        signature = private.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        document[name] = signed_note(text.partition("\n")[0], text, key, signature)
    trusted = Trusted(keys_of(world).seal, key.line)
    assert [finding.what for finding in check(canonical_json(document), trusted) if not finding.holds] == []
    independently(canonical_json(document), trusted, tmp_path, monkeypatch)
    document["newest"] = document["publication"].replace("\n\n", "0\n\n")
    with pytest.raises(DOES_NOT_HOLD):
        independently(canonical_json(document), trusted, tmp_path, monkeypatch)


def ssh_signature(key: bytes, message: bytes, namespace: str, folder: Path) -> str:
    (folder / "key").write_bytes(key)
    (folder / "key").chmod(0o600)
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(folder / "key")]
    return subprocess.run(command, input=message, capture_output=True, timeout=60, check=True).stdout.decode()


def test_evidence_stays_when_the_delivery_is_removed_and_goes_with_its_events(make_world: Any) -> None:
    world = make_world(rows=900)
    world.conclude()
    path.run(world.services, world.order())
    world.at(world.services.clock() + timedelta(days=40))
    remove_what_is_over(world.services)
    findings = check(making.export(world.services, AGREEMENT, MARCH, 1), keys_of(world))
    assert all(finding.holds for finding in findings)
    world.at(world.services.clock() + timedelta(days=4000))
    assert remove_bodies(world.services.ledger, "2035-01-01T00:00:00.000Z") > 5
    making.forget(world.services)
    assert list((world.home / "evidence").iterdir()) == []
    with pytest.raises(UnusableInput, match="removed by rule"):
        making.export(world.services, AGREEMENT, MARCH, 1)
