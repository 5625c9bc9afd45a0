"""sshd's settings: the example in infra/openssh is what is made from the defaults, and sshd reads it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from apps.openssh.config import Places, known_key_exchange, sshd_config
from core.errors import UnusableInput
from core.settings import DropzoneSettings
from core.ssh import SSH_CIPHERS, SSH_KEY_EXCHANGE
from tests.servers.openssh import make_key

EXAMPLE = Path(__file__).parents[3] / "infra" / "openssh" / "sshd_config"
PLACES = Places(
    accounts=Path("/var/lib/gla/dropzone/accounts.json"),
    host_key=Path("/var/lib/gla/keys/dropzone-host"),
    chroots=Path("/var/lib/gla-zone"),
    gla=Path("/opt/gla/.venv/bin/gla"),
    command_user="gla",
)


def test_the_example_is_made_from_the_defaults():
    assert EXAMPLE.read_text() == sshd_config(DropzoneSettings(), PLACES)


@pytest.mark.server
def test_sshd_takes_every_line_and_nothing_else_is_on(require_program, tmp_path):
    sshd = require_program("sshd")
    if os.geteuid() == 0:  # then it insists on this folder
        Path("/run/sshd").mkdir(exist_ok=True)
    places = replace(PLACES, host_key=make_key(tmp_path / "host"), command_user="nobody")
    config = tmp_path / "sshd_config"
    config.write_text(sshd_config(DropzoneSettings(), places, known_key_exchange()))
    done = subprocess.run([sshd, "-T", "-f", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    effective = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    off = ("passwordauthentication", "kbdinteractiveauthentication", "permitrootlogin", "permittty", "permituserrc",
           "hostbasedauthentication", "gssapiauthentication", "permituserenvironment", "x11forwarding")  # fmt: skip
    assert {effective[name] for name in off if name in effective} == {"no"}
    assert effective["disableforwarding"] == "yes"
    assert effective["authenticationmethods"] == "publickey"
    assert effective["ciphers"] == ",".join(SSH_CIPHERS)
    assert set(effective["kexalgorithms"].split(",")) <= {*SSH_KEY_EXCHANGE, "sntrup761x25519-sha512@openssh.com"}


@pytest.mark.parametrize("path", ["relative", "/a b", "/a\nPermitRootLogin yes", '/a"b', "/a%ub", "/a#b"])
def test_a_path_that_sshd_would_read_otherwise_is_refused(path):
    with pytest.raises(UnusableInput):
        sshd_config(DropzoneSettings(), replace(PLACES, chroots=Path(path)))
