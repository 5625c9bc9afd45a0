"""Take what recipients sent: participants files from the drop zone become sets, or are refused with a report."""

from __future__ import annotations

from prefect import flow

from core.settings import Settings
from flows.steps.incoming import take_incoming
from flows.steps.participant_retention import forget_past_sets
from flows.wiring import open_services


@flow(name="intake", persist_result=False)
def intake() -> int:
    """Judge every file that waits in the drop zone; returns how many were taken. The ledger has what became of each.

    Also forgets the people of sets that have been past for as long as a delivery of them might be asked for again.
    """
    services = open_services(Settings())
    taken = take_incoming(services)
    forget_past_sets(services)
    return taken
