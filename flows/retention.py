"""Remove what is over: deliveries at their destinations and from staging, and reports on participants files."""

from __future__ import annotations

from prefect import flow, get_run_logger

from core.settings import Settings
from flows.steps.retention import remove_what_is_over
from flows.wiring import open_services


@flow(name="retention", persist_result=False)
def retention() -> int:
    """Remove every delivery whose time is over; returns how many are gone. What could not be removed is a warning, and
    tried again the next time.
    """
    done = remove_what_is_over(open_services(Settings()))
    logger = get_run_logger()
    for problem in done.problems:
        logger.warning("not removed: %s", problem)
    return len(done.gone)
