"""How fast we may send: what a destination's owner, or our own line, can bear."""

from __future__ import annotations

import threading
import time


class Pace:
    """Lets at most `bytes_per_second` through, on average since the first of them; any number if that is None."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0  # monotonic seconds; what was let through until now has left by then
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may leave. What was not used up before is not saved."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            wait = self._free_at - now
            self._free_at = max(now, self._free_at) + count / self._rate
        if wait > 0:
            time.sleep(wait)
