"""Take what recipients sent: participants files from the drop zone become sets, or are refused with a report."""

from __future__ import annotations

from prefect import flow

from core.settings import Settings
from flows.steps.incoming import take_incoming
from flows.wiring import open_services


@flow(name="intake", persist_result=False)
def intake() -> int:
    """Judge every file that waits in the drop zone; returns how many were taken. The ledger has what became of each."""
    return take_incoming(open_services(Settings()))
