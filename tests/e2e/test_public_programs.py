"""A delivery without our software: public programs check the signature and open the files."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from flows.steps import path
from tests.delivery_world import AGREEMENT, make_world

__all__ = ["make_world"]
pytestmark = pytest.mark.server
NPM = Path(__file__).parents[1] / "npm"


def delivered(make_world, kind):
    world = make_world(kind=kind)
    world.conclude()
    path.run(world.services, world.order())
    return world


def check_opened(world, data: bytes, pakbon: bytes):
    expected = pl.read_parquet(world.source).select("id", "day", "amount", "note")
    found = pl.read_parquet(io.BytesIO(data))
    assert found.equals(expected.filter(pl.col("day").dt.month() == 3))
    assert json.loads(pakbon)["rows"] == found.height == 310


def test_debians_age_opens_a_delivery_to_an_x25519_key(make_world, require_program, tmp_path):
    age = require_program("age")
    world = delivered(make_world, "x25519")
    key = tmp_path / "age.key"
    key.touch(0o600)
    key.write_text(world.identity.secret_text() + "\n")
    opened = [
        subprocess.check_output([age, "-d", "-i", key, world.published() / name])
        for name in ("people.parquet.age", "pakbon.json.age")
    ]
    check_opened(world, *opened)


def test_npm_age_encryption_opens_a_delivery_to_a_post_quantum_key(make_world, require_program):
    node = require_program("node")
    if not (NPM / "node_modules" / "age-encryption").is_dir():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("age-encryption is not installed: make test")
    world = delivered(make_world, "hybrid")
    opened = []
    for name in ("people.parquet.age", "pakbon.json.age"):
        with (world.published() / name).open("rb") as sealed:
            command = [node, NPM / "age.mjs", "decrypt"]
            environment = {**os.environ, "KEY": world.identity.secret_text()}
            opened.append(subprocess.check_output(command, stdin=sealed, env=environment))
    check_opened(world, *opened)


@pytest.mark.parametrize("changed", [False, True])
def test_ssh_keygen_checks_the_manifest_against_the_key_in_the_agreement(
    make_world, require_program, tmp_path, changed
):
    keygen = require_program("ssh-keygen")
    world = delivered(make_world, "hybrid")
    document = json.loads((world.home / "agreements" / f"{AGREEMENT}.json").read_bytes())
    sender = next(item["value"] for item in document["customProperties"] if item["property"] == "gla.senderKey")
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"sender {sender}\n")
    manifest = (world.published() / "manifest.json").read_bytes()
    command = [keygen, "-Y", "verify", "-f", signers, "-I", "sender", "-n", "gla-manifest"]
    command += ["-s", world.published() / "manifest.json.sig"]
    done = subprocess.run(command, input=manifest + b" " * changed, capture_output=True, check=False)
    assert (done.returncode == 0) is not changed


def test_ssh_keygen_checks_our_seal_on_the_agreement(make_world, require_program, tmp_path):
    from agreements import store
    from core.database import reading
    from keys.private.custody import Role

    keygen = require_program("ssh-keygen")
    world = delivered(make_world, "hybrid")
    with reading(world.services.engine) as connection:
        stored = store.get(connection, AGREEMENT)
    signers, signature = tmp_path / "allowed_signers", tmp_path / "seal.sig"
    signers.write_text(f"sender {world.services.custody.public_key(Role.AGREEMENT_SEAL).line}\n")
    signature.write_text(stored.sender_signature)
    command = [keygen, "-Y", "verify", "-f", signers, "-I", "sender", "-n", "gla-agreement", "-s", signature]
    assert subprocess.run(command, input=stored.document, capture_output=True, check=False).returncode == 0
