"""sshd's settings for the zone: SFTP in a chroot with a public key, and nothing else.

Every user is a recipient. `-R` of internal-sftp would also close `incoming/` and `receipts/`, so it is the owner and
mode of files that make the rest read-only; of requests only those are answered that reading, or sending a file, needs.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.errors import UnusableInput
from core.settings import DropzoneSettings
from core.ssh import SSH_CIPHERS, SSH_HOST_KEYS, SSH_KEY_EXCHANGE, SSH_MACS

GROUP = "gla-recipients"
_REQUESTS = (
    *("open", "close", "read", "write", "lstat", "fstat", "stat", "setstat", "fsetstat"),
    *("opendir", "readdir", "realpath", "limits"),
)
_SFTP = f"internal-sftp -l DEBUG1 -f LOCAL0 -u 0077 -p {','.join(_REQUESTS)}"

# OpenSSH had a hybrid key exchange of its own before ML-KEM was standardised; Debian 12's has only that one.
_KEY_EXCHANGE = (SSH_KEY_EXCHANGE[0], "sntrup761x25519-sha512@openssh.com", *SSH_KEY_EXCHANGE[1:])

_CONFIG = """\
# Written by `gla dropzone sshd-config`; do not edit.
Port {port}
ListenAddress {host}
HostKey {host_key}
PidFile none
LogLevel VERBOSE
UsePAM no
UseDNS no

AllowGroups {group}
AuthenticationMethods publickey
AuthorizedKeysFile none
AuthorizedKeysCommand {command}
AuthorizedKeysCommandUser {command_user}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PermitEmptyPasswords no

ChrootDirectory {chroots}/%u
Subsystem sftp {sftp}
ForceCommand {sftp}
DisableForwarding yes
PermitTTY no
PermitTunnel no
PermitUserRC no
PermitUserEnvironment no
MaxSessions 1

LoginGraceTime {login}
MaxAuthTries 6
MaxStartups {strangers}
PerSourceMaxStartups {strangers_of_one}
PerSourceNetBlockSize 32:64
UnusedConnectionTimeout 30s
ChannelTimeout session:*={idle}s
ClientAliveInterval {alive}
ClientAliveCountMax 3
RekeyLimit default 1h

KexAlgorithms {kex}
Ciphers {ciphers}
MACs {macs}
HostKeyAlgorithms {host_keys}
PubkeyAcceptedAlgorithms {host_keys}
CASignatureAlgorithms {host_keys}
Compression no
"""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine; absolute paths."""

    accounts: Path
    host_key: Path
    chroots: Path
    gla: Path  # our own program
    command_user: str  # who may read the accounts file


def sshd_config(settings: DropzoneSettings, places: Places, kex: tuple[str, ...] = _KEY_EXCHANGE) -> str:
    """Text for OpenSSH 9.2 and newer; the manual page of the same name explains it.

    sshd starts `env`, since the file that it starts, and every folder above it, must be root's; ours need not be.
    """
    command = f"/usr/bin/env {places.gla} dropzone authorized-keys --accounts {places.accounts} -- %u"
    paths = (places.accounts, places.host_key, places.chroots, places.gla)
    if any(set(' "%#\n') & set(str(path)) or not path.is_absolute() for path in paths):
        raise UnusableInput("the zone on OpenSSH needs absolute paths without spaces, quotes, # and %: choose others")
    return _CONFIG.format(
        port=settings.port,
        host=settings.host,
        host_key=places.host_key,
        group=GROUP,
        command=command,
        command_user=places.command_user,
        chroots=places.chroots,
        sftp=_SFTP,
        login=settings.login_seconds,
        strangers=settings.max_strangers,
        strangers_of_one=settings.max_strangers_per_address,
        idle=settings.idle_seconds,
        alive=max(1, settings.idle_seconds // 4),
        kex=",".join(kex),
        ciphers=",".join(SSH_CIPHERS),
        macs=",".join(SSH_MACS),
        host_keys=",".join(SSH_HOST_KEYS),
    )


def known_key_exchange() -> tuple[str, ...]:
    """Of our key exchanges those that this machine's OpenSSH has."""
    known = subprocess.run(["/usr/bin/ssh", "-Q", "kex"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(name for name in _KEY_EXCHANGE if name in known)
