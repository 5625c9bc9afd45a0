"""The host key that a known_hosts file of OpenSSH gives for a server, so that a recipient need not copy it by hand.

Plain and hashed names are known; patterns, and certificate authorities, are not. A key that the file revokes is
never given, whatever other lines say.
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
    try:
        text = path.read_text(encoding="utf-8")
        found = paramiko.HostKeys(str(path)).lookup(name) or {}
    except (OSError, UnicodeDecodeError, paramiko.SSHException):
        text = None
    if text is None:
        raise UnusableInput(f"{path.name} cannot be read as a known_hosts file: name one with --known-hosts")
    revoked = {line.split()[3] for line in text.splitlines() if line.startswith("@revoked ") and len(line.split()) > 3}
    keys = {kind: found[kind].get_base64() for kind in _BEST_FIRST if kind in found}
    for kind, key in keys.items():
        if key not in revoked:
            return f"{kind} {key}"
    raise HostKeyMismatch(
        f"{path.name} has no host key for {name}: put the line there that the owner of the server gave you"
    )
