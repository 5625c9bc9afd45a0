"""Secrets are overwritten as soon as they were used, as far as Python can: in buffers that we own.

What a library hands out as `bytes` (a Diffie-Hellman secret, the result of HPKE) cannot be overwritten; it is kept in
no variable longer than the call that needs it. Nothing here protects against a core dump or swap.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def wiped(secret: bytearray) -> Iterator[bytearray]:
    """`secret` for the time of the block; zeros after it, whatever happened."""
    try:
        yield secret
    finally:
        secret[:] = bytes(len(secret))
