"""Who is logged in, with which key, and what it read: for the spool, and to end those whose key was revoked."""

from __future__ import annotations

import logging
import re
import signal
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from apps.dropzone.namespace import DELIVERIES, segments
from apps.dropzone.reading import Session, pickup
from apps.dropzone.spool import SessionSpool
from apps.openssh import processes
from apps.openssh.landing import Landing
from apps.openssh.log import Closed, SessionLog
from apps.openssh.owner import Owner
from core.clock import to_rfc3339, utc_now
from core.ids import new_id
from schemas.accounts import Pickup

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"  # the fingerprint of a session that was over before we could look
_ACCEPTED = re.compile(r"Accepted publickey for (\S+) from (\S+) port (\d+) ssh2: \S+ (SHA256:[A-Za-z0-9+/]+)")
_MOST_LOGINS = 10_000  # remembered; sshd lets far fewer connections be open
_KILL_SECONDS = 5.0  # a session that was asked to end, and did not


class Logins:
    """Which key logged in from which address and port, as sshd's own log says."""

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[str, str, int], str] = OrderedDict()

    def feed(self, line: str) -> None:
        """Take one line of sshd's log."""
        if found := _ACCEPTED.fullmatch(line):
            self._keys[found[1], found[2], int(found[3])] = found[4]
            while len(self._keys) > _MOST_LOGINS:
                self._keys.popitem(last=False)

    def key(self, name: str, address: str, ports: set[int]) -> str:
        """The fingerprint; where the connection is gone already, that of all logins from there if they agree."""
        for port in ports:
            if (name, address, port) in self._keys:
                return self._keys[name, address, port]
        found = {key for (user, where, _), key in self._keys.items() if (user, where) == (name, address)}
        return found.pop() if len(found) == 1 else UNKNOWN


@dataclass
class _Running:
    pid: int  # of its SFTP
    session: Session
    log: SessionLog
    spool: SessionSpool
    connection: int | None  # the process of sshd that serves it
    ending_since: float | None = None
    gone: bool = False


class Sessions:
    """Those of one recipient: `view` is its `deliveries/`."""

    def __init__(self, view: Path, spool: Path, landing: Landing, owner: Owner, logins: Logins) -> None:
        self._view = view
        self._spool = spool
        self._landing = landing
        self._owner = owner
        self._logins = logins
        self._running: dict[int, _Running] = {}

    def feed(self, name: str, pid: int, line: str) -> None:
        """Take one line that the SFTP process `pid` logged for the recipient `name`."""
        running = self._running.get(pid)
        if running is None:
            running = self._begin(name, pid, line)
            if running is None:
                return
        was_clear = not running.log.unclear
        closed = running.log.feed(line)
        if closed is not None:
            self._close(running, closed)
        if was_clear and running.log.unclear:
            logger.warning("session %s: its log does not tell what is sent", running.session.id)
            processes.end(pid, signal.SIGKILL)  # it sends nothing more, whatever the process of the connection does
            self._stop(running, "it cannot be recorded")
        if running.log.over:
            self._end(pid)

    def end_revoked(self, allowed: frozenset[str]) -> None:
        """End the sessions whose key is not among these fingerprints; called again, kill those that did not end."""
        for running in list(self._running.values()):
            if running.session.fingerprint not in allowed or running.ending_since is not None:
                self._stop(running, "its key is no longer registered")

    def stop(self, reason: str = "the zone stops") -> None:
        """Ask all sessions to end."""
        for running in list(self._running.values()):
            self._stop(running, reason)

    def stop_all(self, reason: str, uid: int) -> None:
        """Ask all sessions to end, and those of this user too that have not said anything yet."""
        self.stop(reason)
        known = {pid for running in self._running.values() for pid in (running.pid, running.connection)}
        for pid in processes.of_user(uid):
            if pid not in known:
                processes.end(pid, signal.SIGTERM)

    def forget_gone(self) -> None:
        """End what a killed session left: its process was gone the last time, and all it had said was read since."""
        for pid, running in list(self._running.items()):
            if running.gone:
                self._end(pid)
            else:
                running.gone = not processes.is_running(pid)

    def sweep(self) -> None:
        """Remove what nobody is sending any more."""
        self._landing.sweep(path for running in self._running.values() for path in running.log.sending)

    def end_flood(self, name: str, uid: int) -> None:
        """End all sessions of a recipient that sends more than may be on its way, and remove what is."""
        opened = (status for pid in self._running for status in processes.open_files(pid, uid))
        if self._running and self._landing.overflows(opened):
            logger.warning("recipient %s sends more than there is room for", name)
            self.stop_all("more is sent than there is room for", uid)
            self._landing.clear()

    @property
    def any(self) -> bool:
        return bool(self._running)

    def _begin(self, name: str, pid: int, line: str) -> _Running | None:
        log = SessionLog(_now)
        log.feed(line)
        if log.address is None:  # the rest of a session that we ended
            return None
        connection = processes.parent(pid)
        ports = processes.remote_ports(connection) if connection else set()
        session = Session(new_id(), name, log.address, self._logins.key(name, log.address, ports))
        running = _Running(pid, session, log, SessionSpool(self._spool, session.id), connection)
        self._running[pid] = running
        logger.info("session %s: %s from %s", session.id, name, session.address)
        if not self._recorded(running, running.spool.ensure):
            self._stop(running, "it cannot be recorded")
        return running

    def _close(self, running: _Running, closed: Closed) -> None:
        if closed.writing:
            self._landing.take(closed.path, running.session, complete=closed.by_client)
            return
        read = self._pickup(running.session, closed)
        if read is None:
            return
        if not self._recorded(running, partial(running.spool.append, read)):
            self._stop(running, "it cannot be recorded")

    def _recorded(self, running: _Running, step: Callable[[], None]) -> bool:
        """Do a step with the session's spool, as its owner; False if it fails. To end a session is not the owner's."""
        with self._owner.acting():
            try:
                step()
            except OSError as error:
                logger.error("session %s: the spool fails with %s", running.session.id, type(error).__name__)  # noqa: TRY400
                return False
        return True

    def _pickup(self, session: Session, closed: Closed) -> Pickup | None:
        names = segments(closed.path)
        if names[:1] != (DELIVERIES,):
            return None
        by_client = closed.by_client
        try:
            size = self._view.joinpath(*names[1:]).lstat().st_size
        except OSError:  # it expired meanwhile; what was sent is certain, and whether that is all of it is not
            size, by_client = closed.spans[-1][1] if closed.spans else 0, False
        if not closed.spans and (size or not by_client):
            return None
        times = (closed.started, closed.ended)
        return pickup(session, "/".join(names[1:]), size, closed.spans, times, by_client=by_client)

    def _stop(self, running: _Running, reason: str) -> None:
        now = time.monotonic()
        target = running.connection or running.pid
        if running.ending_since is None:
            running.ending_since = now
            logger.info("session %s is ended: %s", running.session.id, reason)
            processes.end(target, signal.SIGTERM)
        elif now - running.ending_since > _KILL_SECONDS:
            processes.end(target, signal.SIGKILL)
            processes.end(running.pid, signal.SIGKILL)

    def _end(self, pid: int) -> None:
        running = self._running.pop(pid)
        for closed in running.log.left():
            self._close(running, closed)
        self._recorded(running, running.spool.finish)  # else it is handed over at the next start
        logger.info("session %s: over", running.session.id)


def _now() -> str:
    return to_rfc3339(utc_now())
