"""One file that a recipient has open, and which bytes of it were sent."""

from __future__ import annotations

import os
from dataclasses import dataclass

from apps.dropzone.namespace import Node, OpenedFile
from core.clock import to_rfc3339, utc_now
from schemas.accounts import Pickup
from schemas.spans import Spans, add_span, count, covers

READ_BYTES = 261_120  # the most for one request, as OpenSSH has it; what a client asks for must not fill our memory


@dataclass(frozen=True)
class Session:
    """Who reads, for the record."""

    id: str
    recipient: str
    address: str
    fingerprint: str  # of the SSH key that logged in


class Reading:
    """Owns the descriptor until `close`."""

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._state = _state(file.descriptor)
        self._spans: Spans = ()
        self._started = self._last_read = utc_now()
        self._open = True

    @property
    def node(self) -> Node:
        return self._file.node

    def read(self, offset: int, target: memoryview) -> int:
        """Fill `target` with what stands at `offset`; returns how many bytes, 0 only at the end of the file.

        The file is the one that was opened, also when its name is gone or another has it by now. One that was written
        to since is an OSError: nobody gets bytes of two contents.
        """
        if not self._open:
            raise OSError("the file is closed")
        wanted = min(len(target), max(self.node.size - offset, 0))
        if wanted == 0:
            return 0
        count = os.preadv(self._file.descriptor, [target[:wanted]], offset)
        if count != wanted or _state(self._file.descriptor) != self._state:
            raise OSError("the file is not what it was")
        self._spans = add_span(self._spans, offset, offset + wanted)
        self._last_read = utc_now()
        return wanted

    def close(self, session: Session, *, by_client: bool) -> Pickup | None:
        """The record of this reading, or None if nothing was read. `by_client`: it closed the file after the last byte
        arrived; bytes that were on their way when the connection broke do not make a pickup whole. Such a reading ended
        with the last byte read, however late the break is noticed: what the client fetches next comes after it.
        """
        if not self._open:
            return None
        self._open = False
        os.close(self._file.descriptor)
        size = self.node.size
        if not self._spans and size:
            return None
        ended = utc_now() if by_client else self._last_read
        times = (to_rfc3339(self._started), to_rfc3339(ended))
        return pickup(session, self._file.path, size, self._spans, times, by_client=by_client)


def pickup(session: Session, path: str, size: int, spans: Spans, times: tuple[str, str], *, by_client: bool) -> Pickup:
    """The record of what a session read of a file of `size` bytes; `times` are when it was opened and closed."""
    started, ended = times
    return Pickup(
        recipient=session.recipient,
        path=path,
        size=size,
        bytes_read=count(spans),
        spans=spans,
        whole=by_client and covers(spans, size),
        closed=by_client,
        address=session.address,
        session=session.id,
        fingerprint=session.fingerprint,
        started=started,
        ended=ended,
    )


def _state(descriptor: int) -> tuple[int, int]:
    """What changes whenever the content of a file does."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
