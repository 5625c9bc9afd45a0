"""Who may come in, and who must leave to make room: rules without I/O. Times are seconds on a clock that never jumps.

A connection is a stranger until it has logged in. Strangers are held apart: they are few, and when there are too many
the oldest of them leaves, so that connections that do nothing keep nobody out who logs in at once. An address (of IPv6:
its /64) that comes often waits a little, and is locked out longer and longer after logins that failed. A lockout is
never of a recipient's name: anybody could lock out anybody.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from core.settings import DropzoneSettings

_AT_ONCE = 15  # connections of one address that need not wait
_LONGEST_WAIT_SECONDS = 10.0
_MOST_WAITING = 256  # connections of all addresses
_MOST_ADDRESSES = 10_000  # that are remembered; the one that came longest ago is forgotten first
_FIRST_LOCKOUT_SECONDS = 5.0  # doubled by each failure that follows
_FORGET_SECONDS = 3600.0  # after which a failure is forgotten
_TELL_SECONDS = 10.0  # an address that is refused all the time is a line in the log no more often than this


class Refused(Exception):
    """A connection is not taken. `line` says why, and is empty where that was said a moment ago."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


@dataclass(eq=False)
class Visitor:
    """One connection; a stranger while `recipient` is None."""

    address: str
    since: float
    recipient: str | None = None
    leaving: bool = False


@dataclass
class _Address:
    """What is remembered of an address."""

    tokens: float  # connections that it may make without waiting; below 0: so many are waiting
    at: float
    failures: int = 0
    locked_until: float = 0.0
    refused: int = 0
    told: float = -_TELL_SECONDS


class Door:
    """The connections that there are, and what is remembered of addresses."""

    def __init__(self, settings: DropzoneSettings) -> None:
        self._settings = settings
        self._visitors: list[Visitor] = []
        self._waiting = 0
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def obey(self, settings: DropzoneSettings) -> None:
        """Other limits from now on; who is in stays."""
        self._settings = settings

    def come(self, address: str, now: float) -> float:
        """A connection of `address`: until when it waits before it is served, mostly not at all. Or `Refused`."""
        known = self._known(address, now)
        rate = self._settings.connections_per_minute / 60
        wait = max(0.0, 1 - known.tokens) / rate
        if now < known.locked_until:
            raise self._refusal(known, now, f"locked out after {known.failures} logins that failed")
        most = self._settings.max_connections + 2 * self._settings.max_strangers
        if len(self._visitors) >= most or self._waiting >= _MOST_WAITING:
            raise self._refusal(known, now, "there are too many connections")
        if wait > _LONGEST_WAIT_SECONDS:
            raise self._refusal(known, now, "it comes too often")
        known.tokens -= 1
        self._waiting += 1
        return now + wait

    def begin(self, address: str, now: float) -> Visitor:
        """It has waited long enough, and is served from now on."""
        self._waiting -= 1
        visitor = Visitor(address, now)
        self._visitors.append(visitor)
        return visitor

    def too_many(self, visitor: Visitor) -> Visitor | None:
        """The stranger that leaves because this one came: the oldest of its address, or of all."""
        strangers = [each for each in self._visitors if each.recipient is None and not each.leaving]
        same = [each for each in strangers if _network(each.address) == _network(visitor.address)]
        if len(same) > self._settings.max_strangers_per_address:
            return _oldest(same)
        return _oldest(strangers) if len(strangers) > self._settings.max_strangers else None

    def enter(self, visitor: Visitor, recipient: str) -> str | None:
        """It logged in; returns why it must leave all the same, if there are too many of its kind."""
        visitor.recipient = recipient
        known = self._addresses.get(_network(visitor.address))
        if known is not None:
            known.failures = 0
        inside = [each for each in self._visitors if each.recipient is not None and not each.leaving]
        for number, most, whose in (
            (len(inside), self._settings.max_connections, "there are too many connections"),
            (
                sum(each.recipient == recipient for each in inside),
                self._settings.max_per_recipient,
                "this recipient has too many connections",
            ),
            (
                sum(_network(each.address) == _network(visitor.address) for each in inside),
                self._settings.max_per_address,
                "this address has too many connections",
            ),
        ):
            if number > most:
                return whose
        return None

    def leave(self, visitor: Visitor) -> None:
        self._visitors.remove(visitor)

    def fail(self, visitor: Visitor, now: float) -> float:
        """It tried to log in and was refused; returns for how many seconds its address is locked out now, mostly 0."""
        known = self._known(visitor.address, now)
        known.failures += 1
        beyond = known.failures - self._settings.login_failures
        if beyond < 0:
            return 0.0
        wait = min(_FIRST_LOCKOUT_SECONDS * 2.0 ** min(beyond, 30), float(self._settings.lockout_seconds))
        known.locked_until = now + wait
        return wait

    def _known(self, address: str, now: float) -> _Address:
        network = _network(address)
        known = self._addresses.pop(network, None)
        if known is None or now - known.at > _FORGET_SECONDS:
            known = _Address(_AT_ONCE, now)
        known.tokens = min(_AT_ONCE, known.tokens + (now - known.at) * self._settings.connections_per_minute / 60)
        known.at = now
        self._addresses[network] = known  # as the last
        if len(self._addresses) > _MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return known

    @staticmethod
    def _refusal(known: _Address, now: float, reason: str) -> Refused:
        known.refused += 1
        if now - known.told < _TELL_SECONDS:
            return Refused("")
        line = f"{reason} ({known.refused} refused since this was last said)"
        known.refused, known.told = 0, now
        return Refused(line)


def _oldest(visitors: Iterable[Visitor]) -> Visitor:
    return min(visitors, key=lambda each: each.since)


def _network(address: str) -> str:
    """What counts as one address: a network of IPv6 that one customer has, or an address of IPv4."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
