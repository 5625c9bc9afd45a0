"""Pickups from S3: the access lines in the log of a Ceph gateway become ledger entries, each once.

A line says who asked for which bytes of which object, and how many went out, so a download in ranges is seen to be
whole as it is in the drop zone. What we read ourselves, to see what landed, is left out; what anyone read with a link
that we signed is not. Other servers' logs name no ranges: there the recipient's receipt tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from urllib.parse import unquote, urlsplit

from agreements import store
from core.canonical import sha256_hex
from core.clock import to_rfc3339
from core.database import reading
from core.errors import GlaError, LedgerUnavailable, UnusableInput
from flows.steps.agree import unaltered
from flows.steps.pickups import place
from flows.steps.seal import Sealed
from flows.wiring import Services
from ledger.deliveries import FileReading, Pickup
from schemas.spans import Spans, count
from transports.registration import S3Registration

# rgw_asio_frontend.cc: address - user [time] "METHOD TARGET HTTP/V" status bytes referrer "agent" range latency=...
# From the beginning, with the line's time, thread and level: what a client says of itself may look like a line too.
_LINE = re.compile(
    r"(?:debug )?[0-9T:.+-]+ [0-9a-f]+ +[0-9]+ beast: \S+ "
    r'(?P<address>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "GET (?P<target>\S+) HTTP/[0-9.]+" '
    r"(?P<status>20[06]) (?P<bytes>[0-9]{1,15}) .* (?P<range>\S+) latency=\S+$"
)
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
_SIGNED = re.compile(r"[?&](X-Amz-Signature|Signature)=")


@dataclass(frozen=True)
class Access:
    """One answered request for an object. `key` is its path on the server without the query, which may be a secret."""

    key: str
    address: str
    user: str
    by_link: bool
    at: datetime
    sent: int
    range: str  # as it was asked; `-` for none

    @classmethod
    def parse(cls, line: str) -> Access | None:
        """None for what is no such line."""
        found = _LINE.match(line)
        if found is None:
            return None
        try:
            at = datetime.strptime(found["time"], "%d/%b/%Y:%H:%M:%S.%f %z")
            key = unquote(urlsplit(found["target"]).path, errors="strict")
        except ValueError:
            return None
        link = _SIGNED.search(found["target"]) is not None
        return cls(key, found["address"], found["user"], link, at, int(found["bytes"]), found["range"])

    def spans(self, size: int) -> tuple[Spans, bool]:
        """Which bytes of an object of `size` went out, and whether these are all that were asked for."""
        start, end = _asked(self.range, size)
        stop = min(start + self.sent, end)
        return ((start, stop),) if stop > start else (), stop == end


def record_s3_log(services: Services, destination: str, lines: Iterable[str], own_users: frozenset[str]) -> int:
    """Record who fetched what from a registered S3 destination; returns how many readings were new.

    `own_users` are ours there. Whatever in the log is about something else is passed over.
    """
    told = services.destinations.get(destination)
    if not isinstance(told, S3Registration):
        raise UnusableInput(f"destination {destination} is no bucket: what is fetched there is not in such a log")
    below = f"/{told.uri.removeprefix('s3://').strip('/')}/"
    of_destination = cache(lambda agreement_id: _destination(services, agreement_id) == destination)

    def pickups() -> Iterator[Pickup]:
        for line in lines:
            access = Access.parse(line.rstrip("\n"))
            if access is None or not access.key.startswith(below) or (access.user in own_users and not access.by_link):
                continue
            name, once = access.key.removeprefix(below), sha256_hex(line.encode())
            if (pickup := _pickup(services, access, name, once, of_destination)) is not None:
                yield pickup

    return services.ledger.record_pickups(pickups())


def _pickup(
    services: Services, access: Access, name: str, once: str, of_destination: Callable[[str], bool]
) -> Pickup | None:
    try:
        agreement_id, period, edition, file = place(name)
    except UnusableInput:
        return None
    delivery = services.ledger.get(agreement_id, period, edition) if of_destination(agreement_id) else None
    files = Sealed.from_json(delivery.sealed).files if delivery is not None and delivery.sealed else {}
    if delivery is None or file not in files:
        return None
    size = files[file][0]
    spans, all_of_it = access.spans(size)
    ended = to_rfc3339(access.at)
    return Pickup(
        agreement_id,
        period,
        edition,
        recipient=delivery.recipient,
        file=file,
        reading=FileReading(size, spans, closed=all_of_it, ended=ended),
        files=frozenset(files),
        once=once,
        detail={
            "bytes_read": count(spans), "address": access.address, "user": access.user, "by_link": access.by_link,
        },
    )  # fmt: skip


def _destination(services: Services, agreement_id: str) -> str | None:
    try:
        with reading(services.engine) as connection:
            return unaltered(store.get(connection, agreement_id)).destination
    except LedgerUnavailable:
        raise
    except GlaError:
        return None


def _asked(text: str, size: int) -> tuple[int, int]:
    """The first byte that was asked for, and the one after the last (RFC 9110, section 14.1.2)."""
    found = _RANGE.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        return max(size - int(found[2]), 0), size
    last = int(found[2]) + 1 if found[2] else size
    return min(int(found[1]), size), min(last, size)
