"""Record what recipients fetched from the drop zone, and what they say of it, in the ledger."""

from __future__ import annotations

from prefect import flow, get_run_logger

from core.database import reading
from core.settings import Settings
from flows.steps.accounts import write_accounts
from flows.steps.pickups import record_pickups
from flows.steps.receipts import take_receipts
from flows.wiring import open_services
from ledger.receipts import cases
from ledger.tree import Tree


@flow(name="collect", persist_result=False)
def collect() -> int:
    """Move every finished spool file and every receipt of the drop zone into the ledger; returns how many reads and
    receipts that were.

    A delivery that a recipient does not accept is a warning in the run's log, and a case (gla receipt list). Also
    writes the accounts file anew, should a crash have come between a revocation and that file.
    """
    services = open_services(Settings())
    write_accounts(services)
    with reading(services.engine) as connection:
        before = Tree(connection).size()
    count = record_pickups(services) + take_receipts(services)
    for case in cases(services.engine, after=before):
        told = (case.number, case.recipient, case.delivery, case.reason)
        get_run_logger().warning("case %d: %s does not accept %s: %s", *told)
    return count
