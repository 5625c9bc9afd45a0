"""The host key that a known_hosts file of OpenSSH gives for a server, so that a recipient need not copy it by hand.

Plain and hashed names are known; patterns, and certificate authorities, are not (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
A key that the file revokes is never given, whatever other lines say.
"""

from __future__ import annotations

from pathlib import Path

import paramiko

from core.errors import HostKeyMismatch, UnusableInput

_SSH_PORT = 22
_BEST_FIRST = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def known_host_key(path: Path, host: str, port: int) -> str:
    """`TYPE BASE64` of the server; `UnusableInput` if the file cannot be read, `HostKeyMismatch` if it has no key."""
    name = host if port == _SSH_PORT else f"[{host}]:{port}"
    lines = [line.split() for line in _text(path).splitlines() if not line.startswith("#")]
    revoked = {line[3] for line in lines if line[:1] == ["@revoked"] and len(line) > 3}
    keys = {line[1]: line[2] for line in lines if len(line) > 2 and line[2] not in revoked and _names(line[0], name)}
    for kind in _BEST_FIRST:
        if kind in keys:
            return f"{kind} {keys[kind]}"
    raise HostKeyMismatch(
        f"{path.name} has no host key for {name}: put the line there that the owner of the server gave you"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    raise UnusableInput(f"{path.name} cannot be read as a known_hosts file: name one with --known-hosts")


def _names(field: str, name: str) -> bool:
    return any(each == name or (each.startswith("|1|") and _hashes(each, name)) for each in field.split(","))


def _hashes(each: str, name: str) -> bool:
    try:
        return paramiko.HostKeys.hash_host(name, each) == each
    except (ValueError, AssertionError):  # not of the form |1|SALT|HASH
        return False
