"""Everything is done with planted keys on the command line, at DEBUG: nothing of them is printed, logged or stored."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from pysequoia import Tsk

from apps.cli.main import main
from keys.private.opening import open_envelope
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import people
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
    pgp_secrets,
    protected_rsa,
)
from tests.security.scanner import hits


class Commands:
    """`gla` as people run it, at DEBUG, with keys in the environment; what it prints is kept."""

    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self.home = planted.folder / "home"
        self.public = planted.folder / "id.pub"
        self.environment = {
            "GLA_HOME": str(self.home),
            "GLA_LOG_LEVEL": "DEBUG",
            "GLA_KEYS__MANIFEST": "env:MANIFEST_KEY",
            "MANIFEST_KEY": openssh(planted.manifest).decode(),
            "GLA_KEYS__INTAKE": "env:INTAKE_KEY",
            "INTAKE_KEY": planted.intake.secret_text(),
            "GLA_KEYS__PERSON_DIGESTS": "env:DIGESTS",
            "DIGESTS": planted.digests.hex(),
        }

    def __call__(
        self, *arguments: Any, given: str = "", code: int = 0, alone: bool = False, **environment: str
    ) -> None:
        """Run it; `code` 99 stands for any failure. `alone`: in a process of its own, which takes longer."""
        words, environment = [str(each) for each in arguments], {**self.environment, **environment}
        found, *printed = (_alone if alone else _inside)(words, environment, given)
        self.planted.show(" ".join(words[:2]), *printed)
        assert found != 0 if code == 99 else found == code, printed


def _alone(words: list[str], environment: dict[str, str], given: str) -> tuple[int, bytes, bytes]:
    command = [sys.executable, "-m", "apps.cli.main", *words]
    done = subprocess.run(
        command, env={**os.environ, **environment}, input=given.encode(), capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _inside(words: list[str], environment: dict[str, str], given: str) -> tuple[int, bytes, bytes, bytes]:
    """By the same `main`, with everything logged at DEBUG by anybody."""
    log, root, before = io.StringIO(), logging.getLogger(), (logging.getLogger().level, sys.argv)
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("in-process %(levelname)s %(name)s %(message)s"))
    with CliRunner().isolation(input=given, env=environment) as (out, err, _):
        sys.argv = ["gla", *words]
        root.addHandler(handler)
        root.setLevel("DEBUG")
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            root.removeHandler(handler)
            root.setLevel(before[0])
            sys.argv = before[1]
    return code, out.getvalue(), err.getvalue(), log.getvalue().encode()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return Planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def commands(planted: Planted) -> Commands:
    """The whole life of a delivery, and on its way everything that people do wrong with keys."""
    gla = Commands(planted)
    planted.file("age.key", f"# a comment\n{planted.identity.secret_text()}\n")
    planted.file("id_ed25519", openssh(planted.ssh))
    planted.file("protected.pem", protected_rsa(planted))
    gla.public.write_text(f"{Signer(planted.ssh).public_key.line}\n")
    broken = {
        "broken-age.key": damaged(planted.identity.secret_text()),
        "two-keys.key": planted.classical.secret_text() + planted.identity.secret_text(),
        "cut-ssh": openssh(planted.ssh)[:-60],
        "protected-ssh": openssh(planted.protected, PASSPHRASE),
        "cut.pgp": planted.pgp[:-20],
        "lonely.pem": planted.rsa,
        "cut.pem": planted.rsa[:-200] + planted.certificate,
    }
    useless = [planted.path("id_ed25519"), *(planted.file(name, content) for name, content in broken.items())]
    envelopes(gla, planted, useless)
    registration(gla, planted)
    delivery(gla, planted)
    opening(gla, planted, useless)
    our_own_keys(gla, planted)
    return gla


def envelopes(gla: Commands, planted: Planted, useless: list[Path]) -> None:
    """Also with keys given where others belong."""
    sealed, protected = planted.folder / "sealed", planted.path("protected.pem")
    gla("envelope", "keygen", "-o", planted.path("made.key"), alone=True)
    planted.knows("a key that keygen made", age_bytes(planted.path("made.key").read_text().split()[-1]))
    gla("envelope", "encrypt", "-r", planted.identity.recipient, "-o", sealed, gla.public)
    for wrong in (planted.identity.secret_text(), damaged(planted.identity.secret_text()), planted.rsa.decode()):
        gla("envelope", "encrypt", "-r", wrong, gla.public, code=30)
    gla("envelope", "decrypt", "-i", planted.path("age.key"), sealed)
    gla("envelope", "decrypt", "-i", planted.path("made.key"), sealed, code=35)
    for key in useless:
        gla("envelope", "decrypt", "-i", key, sealed, code=99)
    for typed in (f"{PASSPHRASE}\n", f"{PASSPHRASE}, wrongly\n"):
        gla("envelope", "decrypt", "-i", protected, sealed, code=99, given=typed)


def registration(gla: Commands, planted: Planted) -> None:
    """Of a recipient's keys, with private ones in their place, and proofs that are wrong, late or another's."""
    recipient, ssh = str(planted.identity.recipient), planted.path("id_ed25519")
    add = ("recipient", "add", "fonds", "--kvk", "90000102")
    for wrong in (planted.identity.secret_text(), *map(planted.path, ("age.key", "cut.pgp", "lonely.pem")), ssh):
        gla(*add, "--key", wrong, "--ssh", gla.public, code=99)
    for wrong in (ssh, openssh(planted.ssh).decode()):
        gla(*add, "--key", recipient, "--ssh", wrong, code=99)
    gla(*add, "--key", recipient, "--ssh", gla.public, alone=True)
    (challenge,) = gla.home.glob("challenges/fonds-*.age")
    token = open_envelope(io.BytesIO(challenge.read_bytes()), [planted.identity]).read().decode().strip()
    secret = token.rpartition("-")[2]
    planted.knows("a proof token", secret, bytes.fromhex(secret))
    gla("keys", "prove", "fonds", damaged(token), code=99, alone=True)
    gla("keys", "prove", "fonds", f"{token} and more", code=99)
    gla("keys", "prove", "nobody", token, code=99)
    gla("keys", "prove", "fonds", "-", given=f"{token}\n", alone=True)
    gla("keys", "prove", "fonds", token, code=99)


def delivery(gla: Commands, planted: Planted) -> None:
    """From the agreement on; our keys are missing, cut, another's, or stand where their place should."""
    people(400).write_parquet(planted.folder / "people.parquet")
    contract, signature = planted.folder / "GLA-1.yaml", planted.folder / "GLA-1.json.sig"
    gla("source", "add", "people", planted.folder / "people.parquet")
    gla("agreement", "new", "GLA-1", "--source", "people", "--recipient", "fonds", "--period-column", "day",
        "-o", contract)  # fmt: skip
    gla("agreement", "offer", contract, alone=True)
    offered = (gla.home / "agreements" / "GLA-1.json").read_bytes()
    signature.write_text(Signer(planted.ssh).sign(offered, Namespace.AGREEMENT))
    signature.with_name("GLA-1.json").write_bytes(offered)
    gla("agreement", "accept", "GLA-1", "--signature", planted.path("id_ed25519"), code=99)
    gla("agreement", "accept", "GLA-1", "--signature", signature)
    gla("agreement", "activate", "GLA-1")
    key = openssh(planted.manifest).decode()
    for wrong in ("", key[:-60], damaged(planted.intake.secret_text())):
        gla("deliver", "GLA-1", "2026-02", code=99, MANIFEST_KEY=wrong, alone=True)
    for uri in (key, f"file:{key}", f"env:{planted.digests.hex()}", f"pkcs11:token=a;object=b?pin-value={PIN}"):
        gla("deliver", "GLA-1", "2026-02", code=99, GLA_KEYS__MANIFEST=uri)
    gla("deliver", "GLA-1", "2026-01", alone=True)
    for url in (f"postgresql+psycopg://gla:{PASSWORD}@127.0.0.1:1/gla?connect_timeout=2", f"odd://a:{PASSWORD}@b"):
        gla("history", code=99, GLA_DATABASE_URL=url)


def opening(gla: Commands, planted: Planted, useless: list[Path]) -> None:
    edition = next(gla.home.glob("dropzone/deliveries/fonds/GLA-1/2026-01/edition-1"))
    paper = ("--agreement", planted.folder / "GLA-1.json", "-o", planted.folder / "opened")
    for key in useless:
        gla("open", edition, "-i", key, *paper, code=99)
    gla("open", edition, "-i", planted.path("protected.pem"), *paper, code=99, given=f"{PASSPHRASE}, wrongly\n")
    gla("open", edition, "-i", planted.path("age.key"), *paper, alone=True)
    gla("open", edition, "--check", "--from", f"sftp://fonds:{PASSWORD}@127.0.0.1", code=99)
    (edition.parent / "copy").mkdir()
    login = ("--from", "sftp://fonds@127.0.0.1:1/x", "--known-hosts", gla.public)
    for key in ("id_ed25519", "cut-ssh", "age.key"):
        gla("open", edition.parent / "copy", "--check", *login, "--ssh-key", planted.path(key), code=99)


def our_own_keys(gla: Commands, planted: Planted) -> None:
    output, ssh = ("-o", planted.folder / "rotation"), planted.path("id_ed25519")
    gla("keys", "create", "openpgp")
    for role in ("ledger", "agreement-seal"):
        gla("keys", "rotate-own", role)
    gla("keys", "rotate-own", "manifest", code=99)  # it is in a variable, and not ours to make
    statement = ("keys", "statement", "--recipient", "fonds", "--old", planted.identity.recipient.fingerprint)
    gla(*statement, "--new", planted.classical.recipient, *output, "--sign", ssh)
    gla(*statement, "--new", planted.classical.secret_text(), *output, code=99)
    gla(*statement, "--new", planted.classical.recipient, *output, "--sign", planted.path("protected-ssh"), code=99)
    for command in ("list", "inventory", "history"):
        gla("keys", command)
    gla("ledger", "verify")
    gla("history", "--html", planted.folder / "shown" / "history.html")


def test_what_commands_print_and_log_at_debug_shows_no_secret(commands, planted):
    assert planted.leaks("shown") == []
    assert len(list((planted.folder / "shown").iterdir())) > 60


def test_debug_lines_were_really_logged(commands, planted):
    assert any(b" DEBUG " in file.read_bytes() for file in (planted.folder / "shown").iterdir())


def test_database_logs_challenges_and_deliveries_hold_no_secret(commands, planted):
    assert planted.leaks("home") == []


def test_our_own_key_files_are_the_only_place_of_our_keys(commands, planted):
    keys = commands.home / "keys"
    ours = {}
    for file in keys.iterdir():
        content = file.read_bytes()
        if content.startswith(b"-----BEGIN OPENSSH"):
            key = load_ssh_private_key(content, None)
            ours[file.name] = pattern(key.private_bytes_raw(), *lines_of(content)[1:2])  # type: ignore[union-attr]
        elif content.startswith(b"-----BEGIN PGP PRIVATE"):
            ours[file.name] = pattern(*pgp_secrets(bytes(Tsk.from_bytes(content))))
    assert {"ledger", "agreement-seal", "dropzone-host", "openpgp"} <= set(ours)
    assert hits(planted.folder, ours, exempt=(keys,)) == []
    assert hits(keys, ours)  # a control: there they are
