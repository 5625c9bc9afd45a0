"""Keep a delivery's lease alive while a worker is busy with it, so that only a silent one loses it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import GlaError
from flows.wiring import Services
from ledger.deliveries import Claim

logger = logging.getLogger(__name__)


@contextmanager
def kept_alive(services: Services, claim: Claim) -> Iterator[None]:
    """Renew three times per lease in a thread. A lost lease needs no signal: the next recorded step is refused."""
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.wait(services.settings.delivery.lease_seconds / 3):
            try:
                services.ledger.heartbeat(claim)
            except GlaError as error:
                logger.warning("lease of delivery %s not renewed: %s", claim.id, error.code)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
