"""A Unix user for each recipient: without password, shell, home or processes other than its SFTP sessions.

sshd lets only members of our group in, so that a recipient called like a user of this machine (`root`, `daemon`) gets
nothing: it is refused here, and told in the log.
"""

from __future__ import annotations

import grp
import pwd
import re
import subprocess
from dataclasses import dataclass

from apps.openssh.config import GROUP
from core.errors import UnusableInput

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,31}")  # not a number: tools take that for a uid


@dataclass(frozen=True)
class UnixUser:
    name: str
    uid: int
    gid: int


def user_of(recipient: str) -> UnixUser:
    """The user of this name, made if it is not there; `UnusableInput` if there can be none."""
    if not _NAME.fullmatch(recipient):
        raise UnusableInput(
            f"recipient {recipient} cannot log in over OpenSSH: a Unix user's name has at most 32 characters, not only "
            "digits; register it under a shorter name"
        )
    try:
        entry = pwd.getpwnam(recipient)
    except KeyError:
        _make(recipient)
        entry = pwd.getpwnam(recipient)
    if recipient not in _group().gr_mem:
        raise UnusableInput(
            f"recipient {recipient} cannot log in over OpenSSH: this machine has another user of that name; register "
            "the recipient under another one"
        )
    return UnixUser(recipient, entry.pw_uid, entry.pw_gid)


def former(recipients: set[str]) -> set[str]:
    """Users that were made for a recipient who is not among these."""
    return set(_group().gr_mem) - recipients


def _group() -> grp.struct_group:
    try:
        return grp.getgrnam(GROUP)
    except KeyError:
        _run("groupadd", "--system", GROUP)
        return grp.getgrnam(GROUP)


def _make(name: str) -> None:
    """No usable password (`*`): without PAM sshd takes `!` for a locked user, and lets none in."""
    group = _group().gr_name
    _run(
        *("useradd", "--system", "--badname", "--user-group", "--groups", group, "--no-create-home"),
        *("--home-dir", "/", "--shell", "/usr/sbin/nologin", "--password", "*", "--comment", "gla recipient", name),
    )


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([f"/usr/sbin/{program}", *arguments], capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise UnusableInput(f"{program} fails with exit code {done.returncode} for {arguments[-1]}: run it by hand")
