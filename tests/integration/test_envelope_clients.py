"""The programs that recipients have: Debian's `age`, npm's `age-encryption` and OpenSSH's `ssh-keygen`, both ways."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.envelope.armor import ArmorWriter
from keys.envelope.recipients import Recipient, parse_recipient
from keys.envelope.seal import Sealer
from keys.envelope.stream import BATCH, CHUNK
from keys.private.identities import Identity, generate_identity, parse_identities
from keys.private.opening import open_envelope
from keys.private.signing import Signer, load_signer
from keys.sshsig import Namespace, parse_public_key, verify

pytestmark = pytest.mark.server

NPM = Path(__file__).parents[1] / "npm"
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * BATCH, 2 * BATCH + 777]
MESSAGE = b"one agreement\n"
Require = Callable[[str], str]
Run = Callable[..., bytes]


def patterned(size: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def seal(plain: bytes, *recipients: Recipient) -> bytes:
    target = io.BytesIO()
    with Sealer(target, recipients) as sealer:
        sealer.write(plain)
    return target.getvalue()


def unseal(sealed: bytes, identity: Identity) -> bytes:
    with open_envelope(io.BytesIO(sealed), [identity]) as reader:
        return reader.read()


def run(*arguments: str | Path, data: bytes = b"", key: str = "") -> bytes:
    environment = {**os.environ, "KEY": key}
    done = subprocess.run(arguments, input=data, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def npm_age(require_program: Require) -> Run:
    """Runs the npm package: keygen KIND, encrypt or decrypt with `key` and `data`."""
    node = require_program("node")
    if not (NPM / "node_modules" / "age-encryption").is_dir():
        reason = "age-encryption is not installed: run `npm ci --ignore-scripts` in tests/npm"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return lambda *arguments, **inputs: run(node, NPM / "age.mjs", *arguments, **inputs)


@pytest.fixture
def key_file(tmp_path: Path) -> tuple[Identity, Path]:
    identity = generate_identity("x25519")
    path = tmp_path / "key"
    path.write_text(identity.secret_text() + "\n")
    return identity, path


@pytest.mark.parametrize("size", SIZES)
def test_the_age_program_opens_what_we_seal(
    size: int, key_file: tuple[Identity, Path], require_program: Require
) -> None:
    identity, path = key_file
    other = generate_identity("x25519").recipient
    sealed = seal(patterned(size), other, identity.recipient)
    assert run(require_program("age"), "--decrypt", "--identity", path, data=sealed) == patterned(size)


@pytest.mark.parametrize("armor", [(), ("--armor",)])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_age_program_seals(size: int, armor: tuple[str, ...], require_program: Require) -> None:
    identity = generate_identity("x25519")
    sealed = run(require_program("age"), *armor, "--recipient", str(identity.recipient), data=patterned(size))
    assert unseal(sealed, identity) == patterned(size)


def test_the_age_program_reads_our_armor(key_file: tuple[Identity, Path], require_program: Require) -> None:
    identity, path = key_file
    target = io.BytesIO()
    armor = ArmorWriter(target)
    armor.write(seal(MESSAGE, identity.recipient))
    armor.close()
    assert run(require_program("age"), "--decrypt", "--identity", path, data=target.getvalue()) == MESSAGE


def test_the_key_programs_agree_on_keys(key_file: tuple[Identity, Path], require_program: Require) -> None:
    identity, path = key_file
    program = require_program("age-keygen")
    assert run(program, "-y", path).decode().strip() == str(identity.recipient)
    theirs = run(program).decode()
    (parsed,) = parse_identities(theirs)
    assert f"# public key: {parsed.recipient}" in theirs
    assert parsed.secret_text() in theirs


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
@pytest.mark.parametrize("size", SIZES)
def test_the_npm_package_opens_what_we_seal(size: int, kind: str, npm_age: Run) -> None:
    identity = generate_identity(kind)
    sealed = seal(patterned(size), identity.recipient)
    assert npm_age("decrypt", data=sealed, key=identity.secret_text()) == patterned(size)


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_the_npm_package_seals(size: int, kind: str, npm_age: Run) -> None:
    identity = generate_identity(kind)
    sealed = npm_age("encrypt", data=patterned(size), key=str(identity.recipient))
    assert unseal(sealed, identity) == patterned(size)


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
def test_the_npm_package_and_we_agree_on_keys(kind: str, npm_age: Run) -> None:
    text = npm_age("keygen", kind).decode()
    (identity,) = parse_identities(text)
    assert parse_recipient(text.splitlines()[0].removeprefix("# public key: ")) == identity.recipient


SSH_KINDS = [
    ("ed25519", "256"),
    ("ecdsa", "256"),
    ("ecdsa", "384"),
    ("ecdsa", "521"),
    ("rsa", "3072"),
    ("rsa", "4096"),
]


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
@pytest.mark.parametrize(("kind", "bits"), SSH_KINDS)
def test_we_verify_what_ssh_keygen_signs(
    kind: str, bits: str, hash_name: str, tmp_path: Path, require_program: Require
) -> None:
    program, key = require_program("ssh-keygen"), tmp_path / "key"
    run(program, "-q", "-t", kind, "-b", bits, "-N", "", "-C", "jan@example.nl", "-f", key)
    options = ("-O", f"hashalg={hash_name}", "-f", key, "-n", Namespace.RECEIPT)
    signature = run(program, "-Y", "sign", "-q", *options, data=MESSAGE).decode()
    public = parse_public_key((tmp_path / "key.pub").read_text())
    assert verify(signature, MESSAGE, Namespace.RECEIPT) == public
    assert public.fingerprint in run(program, "-l", "-f", tmp_path / "key.pub").decode()


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_ssh_keygen_verifies_what_we_sign(size: int, tmp_path: Path, require_program: Require) -> None:
    program, signer = require_program("ssh-keygen"), Signer.generate()
    (tmp_path / "allowed").write_text(f'gla namespaces="{Namespace.AGREEMENT}" {signer.public_key.line}\n')
    (tmp_path / "signature").write_text(signer.sign(patterned(size), Namespace.AGREEMENT))
    options = ("-f", tmp_path / "allowed", "-I", "gla", "-n", Namespace.AGREEMENT, "-s", tmp_path / "signature")
    shown = run(program, "-Y", "verify", *options, data=patterned(size)).decode()
    assert signer.public_key.fingerprint in shown


@pytest.mark.parametrize(("namespace", "message"), [("gla-receipt", MESSAGE), ("gla-agreement", MESSAGE + b"x")])
def test_ssh_keygen_refuses_our_signature_for_anything_else(
    namespace: str, message: bytes, tmp_path: Path, require_program: Require
) -> None:
    program, signer = require_program("ssh-keygen"), Signer.generate()
    (tmp_path / "allowed").write_text(f"gla {signer.public_key.line}\n")
    (tmp_path / "signature").write_text(signer.sign(MESSAGE, Namespace.AGREEMENT))
    options = ("-f", tmp_path / "allowed", "-I", "gla", "-n", namespace, "-s", tmp_path / "signature")
    done = subprocess.run([program, "-Y", "verify", *options], input=message, capture_output=True, check=False)
    assert done.returncode != 0


def test_our_key_files_and_those_of_ssh_keygen_are_the_same_kind(tmp_path: Path, require_program: Require) -> None:
    program, ours, theirs = require_program("ssh-keygen"), tmp_path / "ours", tmp_path / "theirs"
    signer = Signer.generate()
    ours.touch(0o600)
    ours.write_bytes(signer.private_file())
    assert parse_public_key(run(program, "-y", "-f", ours).decode()) == signer.public_key
    run(program, "-q", "-t", "ed25519", "-N", "", "-f", theirs)
    assert load_signer(theirs).public_key == parse_public_key((tmp_path / "theirs.pub").read_text())
