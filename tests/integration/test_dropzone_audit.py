"""`ssh-audit` judges our drop zone: nothing but what is named here may be found, so that a new finding fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import DropzoneSettings
from core.ssh import SSH_CIPHERS
from tests.servers.dropzone import DropzoneWorld

pytestmark = pytest.mark.server

AUDIT = str(Path(sys.executable).with_name("ssh-audit"))

# Clients before OpenSSH 9.9 share no post-quantum exchange with paramiko, which lacks sntrup761: they use this one.
WEAKER_EXCHANGE = "curve25519-sha256@libssh.org"
# What the newest policy asks for on top, and paramiko does not have; our host key is Ed25519 alone.
PARAMIKO_LACKS = {
    "chacha20-poly1305@openssh.com",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "ext-info-s",
    "umac-128-etm@openssh.com",
}
OUR_HOST_KEY_IS_NOT = {"rsa-sha2-512", "rsa-sha2-256"}


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    world = DropzoneWorld.make(tmp_path)
    with world.running(DropzoneSettings(port=0)):  # with its own limits: how fast it answers is judged too
        yield world.port


def audit(*arguments: str) -> str:
    return subprocess.run([AUDIT, *arguments], capture_output=True, text=True, check=False, timeout=120).stdout


def judged(port: int, *arguments: str):
    return json.loads(audit("-jj", *arguments, "-p", str(port), "127.0.0.1"))


def newest_policy() -> str:
    names = re.findall(r'"(Hardened OpenSSH Server v(\d+)\.(\d+) \(version \d+\))"', audit("-L"))
    return max(names, key=lambda name: (int(name[1]), int(name[2])))[0]


def test_the_audit_finds_nothing_but_the_exchange_for_older_clients(port: int) -> None:
    report = judged(port)
    findings = {
        (kind, each["algorithm"], text)
        for kind in ("kex", "key", "enc", "mac")
        for each in report[kind]
        for level in ("fail", "warn")
        for text in each["notes"].get(level, [])
    }
    assert findings == {("kex", WEAKER_EXCHANGE, "does not provide protection against post-quantum attacks")}
    assert report["cves"] == []
    assert report["additional_notes"] == []  # it does not answer too fast either
    assert report["recommendations"] == {}


def test_the_newest_policy_is_met_but_for_what_paramiko_lacks_and_the_exchange_for_older_clients(port: int) -> None:
    report = judged(port, "-P", newest_policy())
    assert report["warnings"] == []
    too_much, missing = set(), set()
    for error in report["errors"]:
        expected = {*error["expected_required"], *error["expected_optional"]}
        if error["mismatched_field"] == "Ciphers":  # the audit looks like OpenSSH, which is offered the fast ones alone
            assert set(SSH_CIPHERS) < expected
            error["actual"] = SSH_CIPHERS
        too_much |= {*error["actual"]} - expected
        missing |= {*error["expected_required"]} - {*error["actual"]}
    assert too_much == {WEAKER_EXCHANGE}
    assert missing == PARAMIKO_LACKS | OUR_HOST_KEY_IS_NOT
