"""Which bytes of a file were read: sorted, non-touching half-open spans `(start, end)`.

>>> covered = add_span(add_span((), 0, 10), 10, 25)
>>> covered, covers(covered, 25)
(((0, 25),), True)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

Span = tuple[int, int]
Spans = tuple[Span, ...]

MOST_SPANS = 1000  # a client that hops through a file may not grow our memory or the record of it


def add_span(spans: Spans, start: int, end: int) -> Spans:
    """`spans` and the bytes from `start` up to `end`. Beyond `MOST_SPANS` no new span is added, never one too much."""
    if spans and spans[-1][0] <= start <= spans[-1][1]:  # the common case: reading on
        return (*spans[:-1], (spans[-1][0], max(end, spans[-1][1])))
    if end <= start:
        return spans
    first = bisect_left(spans, start, key=lambda span: span[1])
    last = first
    while last < len(spans) and spans[last][0] <= end:
        start, end = min(start, spans[last][0]), max(end, spans[last][1])
        last += 1
    if first == last and len(spans) >= MOST_SPANS:
        return spans
    return (*spans[:first], (start, end), *spans[last:])


def covers(spans: Spans, size: int) -> bool:
    """Whether every byte of a file of `size` bytes is covered; of an empty file there is nothing to miss."""
    return size == 0 or spans == ((0, size),)


class Reading(Protocol):
    """One reading of a file of `size` bytes; `closed` if the reader closed it, `ended` is RFC 3339 text in UTC."""

    @property
    def spans(self) -> Spans: ...
    @property
    def size(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    @property
    def ended(self) -> str: ...


def whole_together(readings: Iterable[Reading]) -> bool:
    """Whether a file was read whole in one or several readings (a resumed download), of which the one that made it
    whole was closed in good order. What is read after that changes nothing.
    """
    spans: Spans = ()
    for reading in sorted(readings, key=lambda each: each.ended):
        for start, end in reading.spans:
            spans = add_span(spans, start, end)
        if reading.closed and covers(spans, reading.size):
            return True
    return False


def count(spans: Spans) -> int:
    """The number of different bytes that are covered."""
    return sum(end - start for start, end in spans)
