"""Record what recipients fetched from the drop zone, and what they say of it, in the ledger."""

from __future__ import annotations

from prefect import flow

from core.settings import Settings
from flows.steps.accounts import write_accounts
from flows.steps.pickups import record_pickups
from flows.steps.receipts import take_receipts
from flows.wiring import open_services


@flow(name="collect", persist_result=False)
def collect() -> int:
    """Move every finished spool file and every receipt of the drop zone into the ledger; returns how many reads and
    receipts that were.

    Also writes the accounts file anew, should a crash have come between a revocation and that file.
    """
    services = open_services(Settings())
    write_accounts(services)
    return record_pickups(services) + take_receipts(services)
