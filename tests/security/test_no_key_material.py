"""However an object or an error about keys is printed, logged, listed or copied, it shows nothing of a key.

What commands print and store is in `test_no_key_material_in_commands`.
"""

from __future__ import annotations

import base64
import copy
import gc
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreements import registry
from apps.cli.key_files import read_key_file
from core.database import reading
from core.errors import GlaError, KeyUnusable
from core.settings import Settings
from flows.steps import path
from flows.steps.recipients import read_sealing_key
from keys.envelope.seal import Sealer
from keys.kinds import parse_sealing_key
from keys.possession import new_token, parse_token
from keys.private.identities import HybridIdentity, X25519Identity, parse_identities
from keys.private.kinds import parse_private_keys
from keys.private.mldsa import MldsaSigner, mldsa_signer_from
from keys.private.opening import open_envelope
from keys.private.secret import Secret, read_secret_file, read_secret_variable
from keys.private.signing import Signer, load_signer, signer_from
from keys.private.uri import parse_key_uri
from keys.roles import SSH_ROLES
from keys.scratch import SealedScratch
from tests.delivery_world import make_world_in
from tests.security.forms import pattern
from tests.security.planting import (
    PASSPHRASE,
    PASSWORD,
    PIN,
    Planted,
    age_bytes,
    damaged,
    lines_of,
    openssh,
    protected_rsa,
)
from tests.security.scanner import hits
from tests.security.showing import is_ours, of_exception, of_locals, of_object


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted"))


# What objects show of themselves


@pytest.fixture(scope="module")
def alive(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """An object of every kind that holds a secret, or once saw one."""
    folder = tmp_path_factory.mktemp("alive")
    world = make_world_in(folder)()
    world.conclude()
    path.run(world.services, world.order())
    services = world.services
    planted.knows("the age key of the world", age_bytes(world.identity.secret_text()))
    planted.knows("the SSH key of the world", *lines_of(world.signer.private_file())[1:2])
    os.environ["PLANTED_KEY"] = openssh(planted.ssh).decode()
    token = new_token()
    planted.knows("a token in memory", token.text().rpartition("-")[2])
    post_quantum = MldsaSigner.generate()
    planted.knows("the ML-DSA key", *lines_of(post_quantum.private_file())[:1])
    sealed = io.BytesIO()
    sealer = Sealer(sealed, [planted.identity.recipient])
    sealer.write(b"text")
    with reading(services.engine) as connection:
        rows = registry.keys_of(connection, "fonds")
    objects = [
        world, services, rows, token, parse_token(token.text()), post_quantum, sealer, planted.identity,
        planted.classical, *parse_identities(planted.intake.secret_text()), Signer(planted.ssh),
        *parse_private_keys(planted.pgp), *parse_private_keys(planted.rsa + planted.certificate),
        *parse_private_keys(protected_rsa(planted), lambda _: PASSPHRASE),
        parse_sealing_key(planted.certificate), read_secret_variable("PLANTED_KEY"), Secret(planted.digests),
        read_secret_file(planted.file("again", planted.digests)), parse_key_uri("env:PLANTED_KEY", folder),
        mldsa_signer_from(Secret(post_quantum.private_file()), "here"), SealedScratch(folder),
        *[services.custody.signer(role) for role in SSH_ROLES],
        Settings(home=folder, database_url=f"postgresql://gla:{PASSWORD}@localhost/gla"),
    ]  # fmt: skip
    del os.environ["PLANTED_KEY"]
    return objects


def test_no_object_shows_a_secret_however_it_is_printed_listed_or_copied(alive, planted):
    """Also those that nobody thought of: every living object of these packages is asked."""
    objects = [each for each in gc.get_objects() if is_ours(type(each), ("keys", "agreements", "core"))]
    kinds = sorted({f"{type(each).__module__}.{type(each).__qualname__}" for each in objects})
    shown: set[bytes] = set()
    (planted.folder / "objects").mkdir()
    for number, each in enumerate([*alive, *objects]):
        kind = f"{type(each).__module__}.{type(each).__qualname__}"
        if kind == "core.settings.Settings":  # pydantic keeps a SecretStr readable for whoever asks for its value
            texts = {repr(each).encode(), str(each).encode(), repr(each.model_dump()).encode()}
        else:
            texts = set(of_object(each))
        (planted.folder / "objects" / f"{number:05}-{kind}").write_bytes(b"\n".join(texts - shown))
        shown |= texts
    assert {hit.split("-", 1)[1] for hit in planted.leaks("objects")} == set()
    for expected in ("HybridIdentity", "X25519Identity", "Signer", "OpenPgpPrivateKey", "X509PrivateKey", "ProofToken",
                     "Secret", "Custody", "Settings", "MldsaSigner", "Sealer", "RecipientKey"):  # fmt: skip
        assert any(kind.endswith(f".{expected}") for kind in kinds), expected


# What errors show


def failures(planted: Planted, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What goes wrong with keys, as calls."""
    identity = planted.identity.secret_text()
    ssh = openssh(planted.ssh)
    age = io.BytesIO()
    with Sealer(age, [planted.classical.recipient]) as sealer:
        sealer.write(b"text" * 40)
    sealed = age.getvalue()
    yield "a mistyped age key", lambda: parse_identities(damaged(identity))
    yield "two age keys in a line", lambda: parse_identities(identity + identity)
    yield "a key file in UTF-16", lambda: parse_private_keys(identity.encode("utf-16"))
    yield "a private key as public", lambda: parse_sealing_key(identity)
    yield "a mistyped private key as public", lambda: parse_sealing_key(damaged(identity))
    yield "a private key in PEM as public", lambda: parse_sealing_key(planted.rsa)
    yield "an OpenPGP private key as public", lambda: parse_sealing_key(planted.pgp)
    yield "a private key given to the command", lambda: read_sealing_key(identity)
    yield "a cut SSH key", lambda: signer_from(Secret(ssh[:-60]), "here")
    yield "an SSH key in a file that is cut", lambda: load_signer(planted.file("cut", ssh[:-60]))
    yield "a protected SSH key", lambda: load_signer(planted.file("protected", openssh(planted.protected, PASSPHRASE)))
    yield "an SSH key for ML-DSA", lambda: mldsa_signer_from(Secret(ssh), "here")
    yield "a cut RSA key", lambda: parse_private_keys(planted.rsa[:-200] + planted.certificate)
    yield "an RSA key alone", lambda: parse_private_keys(planted.rsa)
    yield "a cut OpenPGP key", lambda: parse_private_keys(planted.pgp[:-20])
    yield "a key file that is none", lambda: read_key_file(planted.file("cut-age", damaged(identity)))
    yield "a wrong passphrase", lambda: wrong_passphrase(planted)
    yield "nobody to ask for a passphrase", lambda: parse_private_keys(protected_rsa(planted))
    yield "a key as a URI", lambda: parse_key_uri(ssh.decode(), folder)
    yield "a key as a file's name", lambda: parse_key_uri(f"file:{identity}", folder)
    yield "a secret as a variable's name", lambda: parse_key_uri(f"env:{planted.digests.hex()}", folder)
    yield "a PIN in a URI", lambda: parse_key_uri(f"pkcs11:token=a;object=b?pin-value={PIN}", folder)
    yield "a token with more", lambda: parse_token(f"gla-proof-{'0' * 32}-{planted.digests.hex()} x")
    yield "a file for another key", lambda: open_envelope(io.BytesIO(sealed), [planted.identity])
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    yield "a damaged file", lambda: open_envelope(io.BytesIO(changed), [planted.classical]).read()
    yield "a damaged header", lambda: open_envelope(io.BytesIO(sealed[:150] + b"!" + sealed[151:]), [planted.classical])
    yield "a copy of a secret", lambda: copy.deepcopy(Secret(planted.digests))


def wrong_passphrase(planted: Planted) -> None:
    parse_private_keys(protected_rsa(planted), lambda _: PASSPHRASE + ", wrongly")


@pytest.fixture(scope="module")
def raised(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, BaseException]]:
    done = []
    for name, call in failures(planted, tmp_path_factory.mktemp("failures")):
        with pytest.raises((GlaError, TypeError)) as caught:
            call()
        done.append((name, caught.value))
    return done


def test_no_error_shows_a_secret_in_its_text_its_trace_or_its_copies(raised, planted):
    for name, error in raised:
        planted.show(f"error {name}", *of_exception(error))
    assert [hit for hit in planted.leaks("shown") if "-error-" in hit] == []


def test_errors_drag_nothing_foreign_along(raised):
    assert [name for name, error in raised if isinstance(error, GlaError) and error.__context__ is not None] == []


def test_no_local_variable_of_ours_shows_a_secret_where_an_error_passed(raised, planted):
    """What an error tracker, rich or pytest would print, should one ever be put around this."""
    for name, error in raised:
        planted.show(f"locals {name}", *of_locals(error))
    assert [hit for hit in planted.leaks("shown") if "-locals-" in hit] == []


# A search that finds nothing proves nothing, unless it would have found something


class Careless:
    """Keeps a key as most programs do."""

    __module__ = "keys.careless"

    def __init__(self, key: bytes) -> None:
        self.key = key


@pytest.mark.parametrize(
    "write",
    [
        bytes,
        lambda key: key.hex().encode(),
        lambda key: key.hex().upper().encode(),
        lambda key: base64.b64encode(b"x" + key),
        lambda key: base64.urlsafe_b64encode(key + b"xy"),
        base64.b32encode,
        lambda key: repr(key).encode(),
        lambda key: str(list(key)).encode(),
        lambda key: repr(bytearray(key[:16])).encode(),
        lambda key: json.dumps({"key": repr(key)}).encode(),
        lambda key: f"{base64.b64encode(key).decode()[:24]}...".encode(),
        lambda key: X25519Identity(key).secret_text().encode(),
        lambda key: HybridIdentity(key).secret_text().lower().encode(),
        lambda key: openssh(Ed25519PrivateKey.from_private_bytes(key)),
        lambda key: b"\n".join(of_object(Careless(key))),
        lambda key: b"\n".join(of_object({"a": [Careless(key)]})),
        lambda key: b"\n".join(of_exception(KeyUnusable(f"the key {key!r} is wrong"))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("quotes", [b"", b"'", b'"', b"'\""])
def test_the_search_finds_a_key_in_every_form(write, quotes, tmp_path):
    """With quotes too: how Python writes bytes depends on those."""
    key = (quotes + secrets.token_bytes(16 - len(quotes))) + (quotes + secrets.token_bytes(16 - len(quotes)))
    (tmp_path / "shown").write_bytes(b"before " + write(key) + b" after")
    (tmp_path / "other").write_bytes(secrets.token_bytes(100_000))
    assert hits(tmp_path, {"it": pattern(key)}) == ["shown: it"]


def test_the_search_finds_a_key_in_a_local_variable(tmp_path):
    key = secrets.token_bytes(32)
    program: dict[str, Any] = {"KeyUnusable": KeyUnusable}
    exec(compile("def f(key):\n raise KeyUnusable('no')\n", "keys/elsewhere.py", "exec"), program)
    with pytest.raises(KeyUnusable) as caught:
        program["f"](key)
    (tmp_path / "plain").write_bytes(b"\n".join(of_exception(caught.value)))
    (tmp_path / "locals").write_bytes(b"\n".join(of_locals(caught.value)))
    assert hits(tmp_path, {"it": pattern(key)}) == ["locals: it"]
