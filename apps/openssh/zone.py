"""The zone on OpenSSH: one program with one thread that starts sshd and, as long as that runs, keeps its record.

It needs root, for sshd and its chroots. sshd dies with it (PR_SET_PDEATHSIG); nobody can log in once it is gone
(`authorized_keys`), and what then still runs is ended when it starts again, since nobody wrote down what it read.

>>> serve(root, host_key, settings, chroots)  # doctest: +SKIP
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apps.dropzone.accounts import Access, AccountsFile
from apps.dropzone.incoming import INCOMING, Limits, remove_drafts
from apps.dropzone.namespace import DELIVERIES
from apps.dropzone.spool import recover
from apps.openssh import processes
from apps.openssh.authorized_keys import LOCK_NAME
from apps.openssh.chroots import Chroot
from apps.openssh.config import Places, known_key_exchange, sshd_config
from apps.openssh.landing import Landing
from apps.openssh.log import message
from apps.openssh.owner import Owner
from apps.openssh.sessions import Logins, Sessions
from apps.openssh.users import former, user_of
from core.errors import GlaError, UnusableInput, unexpected
from core.settings import DropzoneSettings
from schemas.accounts import ACCOUNTS_NAME, SPOOL, blob_fingerprint

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.5  # for something to read
_LOOK_SECONDS = 1.0  # after which it looks whose key was revoked and what has ended, however much there is to read
_FOLLOW_SECONDS = 1.0  # a delivery that appeared is seen after at most this, and ten times what looking takes
_STOP_SECONDS = 10.0
_CONFIG_NAME = ".sshd_config"  # among the chroots, where only root writes
_DATAGRAM_BYTES = 8192
_TURN_SECONDS = 0.02  # to hear one recipient, and what its last line asks for: then it is another's turn
_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid (unix(7))
_LISTENS = re.compile(r"Server listening on \S+ port (\d+)\.")
_REFUSED = re.compile(r"Failed|Invalid user|User (?!child)|error: |fatal: |Connection (closed|reset) by (invalid|auth)")


@dataclass
class _Recipient:
    chroot: Chroot
    sessions: Sessions
    keys: frozenset[str]  # fingerprints that may be logged in
    revoked: frozenset[str]  # agreements that it is not to see
    hidden: frozenset[str]  # those of which no session has anything open


class OpensshZone:
    """`root` is the drop zone's folder (`accounts.json`, `deliveries/`, ...); everything else is made here."""

    def __init__(self, root: Path, host_key: Path, settings: DropzoneSettings, chroots: Path) -> None:
        if os.geteuid() != 0:
            raise UnusableInput("the zone on OpenSSH needs root, for its chroots: start it as root")
        root.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._root, self._chroots, self._settings = root.resolve(), chroots.resolve(), settings
        self._owner = Owner.of(self._root)
        with self._owner.acting():
            for name in (DELIVERIES, INCOMING, SPOOL):
                (self._root / name).mkdir(exist_ok=True, mode=0o750)
        self._host_key = host_key.resolve()
        self._logins = Logins()
        self._recipients: dict[str, _Recipient] = {}
        self._accounts = AccountsFile(self._root / ACCOUNTS_NAME)
        self._known: Mapping[str, Access] | None = None  # what it said last
        self._looked = 0.0
        self._followed = 0.0
        self._selector = selectors.DefaultSelector()
        self._rest = b""  # of a line of sshd's
        self._lock = self._locked()
        self._chroots.mkdir(parents=True, exist_ok=True)
        self._chroots.chmod(0o711)
        remove_drafts(self._root / INCOMING)
        recover(self._root / SPOOL)
        self._read_accounts()
        self._forget_former()

    def run(self, stop: Callable[[], bool], ready: Callable[[int], None] | None = None) -> None:
        """Serve until `stop()`; call `ready` with the port once sshd listens. `UnusableInput` if sshd ends itself."""
        sshd = self._start()
        assert sshd.stderr is not None
        os.set_blocking(sshd.stderr.fileno(), False)
        self._selector.register(sshd.stderr, selectors.EVENT_READ, lambda: self._listen_to(sshd, ready))
        try:
            while not stop():
                self._once()
                self._tick()
                if sshd.poll() is not None:
                    raise UnusableInput(
                        f"sshd ended with exit code {sshd.returncode}: the log has its reason; is port "
                        f"{self._settings.port} taken?"
                    )
        finally:
            sshd.terminate()
            self._end_all()
            sshd.wait()

    def _once(self) -> None:
        """Handle what there is to read, sshd's own words first: they say which key a session belongs to."""
        events = self._selector.select(_WAIT_SECONDS)
        for key, _ in sorted(events, key=lambda event: isinstance(event[0].fileobj, socket.socket)):
            try:
                key.data()
            except Exception as error:  # noqa: BLE001 - what one session does must not end the others
                unexpected("the log of a session", error)

    def _tick(self) -> None:
        began = time.monotonic()
        if began < self._looked + _LOOK_SECONDS:
            return
        self._looked = began
        self._read_accounts()
        for name, each in self._recipients.items():
            each.sessions.forget_gone()
            each.sessions.end_revoked(each.keys)
            each.sessions.end_flood(name, each.chroot.user.uid)
        self._hide_revoked()
        began = time.monotonic()
        if began >= self._followed:
            for name, each in self._recipients.items():
                try:
                    each.chroot.follow(each.revoked)
                    each.sessions.sweep()
                except (OSError, GlaError) as error:
                    logger.error("recipient %s does not see what changed: %s", name, error)  # noqa: TRY400
            took = time.monotonic() - began
            self._followed = time.monotonic() + max(_FOLLOW_SECONDS, 10 * took)

    # Accounts

    def _read_accounts(self) -> None:
        said = self._accounts.read()
        if said is self._known:
            return
        self._known = said
        for name, each in self._recipients.items():
            access = said.get(name, Access(revoked=each.revoked))
            each.keys, each.revoked = _fingerprints(access), access.revoked
            each.hidden &= access.revoked
        for name in said.keys() - self._recipients.keys():
            try:
                self._recipients[name] = self._begin(name, said[name])
            except (OSError, GlaError) as error:
                logger.error("recipient %s cannot be served: %s", name, error)  # noqa: TRY400

    def _hide_revoked(self) -> None:
        """First the folders go from sight, then the sessions end: what comes after finds none of it."""
        for name, each in self._recipients.items():
            if not each.revoked <= each.hidden:
                try:
                    each.chroot.follow(each.revoked)
                except (OSError, GlaError) as error:
                    logger.error("recipient %s still sees what was revoked: %s", name, error)  # noqa: TRY400
                    continue
                each.sessions.stop_all("an agreement was revoked", each.chroot.user.uid)
                each.hidden = each.revoked

    def _begin(self, name: str, access: Access) -> _Recipient:
        user = user_of(name)
        for pid in processes.of_user(user.uid):  # of a zone that was killed
            processes.end(pid, signal.SIGKILL)
        chroot = Chroot(self._chroots, self._root, user, access.revoked)
        limits = Limits.of(self._settings)
        landing = Landing(chroot.folder, self._root, name, self._owner, limits)
        sessions = Sessions(chroot.folder / DELIVERIES, self._root / SPOOL, landing, self._owner, self._logins)
        self._selector.register(chroot.log, selectors.EVENT_READ, lambda: self._hear(name))
        return _Recipient(chroot, sessions, _fingerprints(access), access.revoked, access.revoked)

    def _forget_former(self) -> None:
        """Links to deliveries keep their bytes on the disk: those of who is no recipient any more go."""
        for name in former(set(self._recipients)):
            shutil.rmtree(self._chroots / name / DELIVERIES, ignore_errors=True)

    # What sshd and its sessions say

    def _listen_to(self, sshd: subprocess.Popen[bytes], ready: Callable[[int], None] | None = None) -> None:
        assert sshd.stderr is not None
        data = sshd.stderr.read() or b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self._logins.feed(text)
            logger.log(logging.WARNING if _REFUSED.match(text) else logging.INFO, "sshd: %s", text)
            found = _LISTENS.fullmatch(text)
            if found and ready is not None:
                ready(int(found[1]))

    def _hear(self, name: str) -> None:
        each = self._recipients[name]
        end = time.monotonic() + _TURN_SECONDS
        with suppress(BlockingIOError):
            while time.monotonic() < end:
                data, ancillary, _, _ = each.chroot.log.recvmsg(_DATAGRAM_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
                line = message(data)
                pids = [_CREDENTIALS.unpack(value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS]
                if line is not None and pids:
                    each.sessions.feed(name, pids[0], line)

    # Beginning and end

    def _locked(self) -> int:
        with self._owner.acting():
            lock = os.open(self._root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return lock
        raise UnusableInput("the zone on OpenSSH runs already for this GLA_HOME: stop that one first")

    def _start(self) -> subprocess.Popen[bytes]:
        """A file that a recipient sends can be no larger than the limit: the system refuses to write beyond it."""
        config = self._chroots / _CONFIG_NAME
        config.touch(mode=0o600)
        config.write_text(config_text(self._root, self._host_key, self._settings, self._chroots), encoding="utf-8")
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        limit = ["prlimit", f"--fsize={self._settings.upload_bytes}", "setpriv", "--pdeathsig", "TERM"]
        return subprocess.Popen(  # noqa: S603
            [*limit, "/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            restore_signals=False,  # SIGXFSZ stays ignored: a file that is too large is an error and not the end
        )

    def _end_all(self) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        while any(each.sessions.any for each in self._recipients.values()) and time.monotonic() < deadline:
            for each in self._recipients.values():
                each.sessions.stop()
            self._once()
            for each in self._recipients.values():
                each.sessions.forget_gone()
        for each in self._recipients.values():
            each.chroot.close()
        self._selector.close()
        os.close(self._lock)


def _fingerprints(access: Access) -> frozenset[str]:
    return frozenset(map(blob_fingerprint, access.keys))


def serve(
    root: Path, host_key: Path, settings: DropzoneSettings, chroots: Path, ready: Callable[[int], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. For a program's main thread."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    OpensshZone(root, host_key, settings, chroots).run(lambda: stopped, ready)


def config_text(root: Path, host_key: Path, settings: DropzoneSettings, chroots: Path) -> str:
    """sshd_config for this machine; `root` must be there."""
    root = root.resolve()
    places = Places(
        accounts=root / ACCOUNTS_NAME,
        host_key=host_key.resolve(),
        chroots=chroots.resolve(),
        gla=Path(sys.executable).with_name("gla"),
        command_user=Owner.of(root).name,
    )
    return sshd_config(settings, places, known_key_exchange())
