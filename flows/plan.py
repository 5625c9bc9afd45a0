"""The planner: one flow that turns what is due into scheduled runs of `deliver`, which the Prefect UI shows.

It can run as often as it likes: a run is identified by agreement and period, and whatever is triggered twice all the
same meets the ledger's unique key.
"""

from __future__ import annotations

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from core.settings import Settings
from flows.steps.key_expiry import warn_of_expiry
from flows.steps.planning import due_deliveries
from flows.steps.retention import remind
from flows.wiring import open_services


@flow(name="plan", persist_result=False)
def plan() -> int:
    """Schedule every delivery that falls due within the horizon and was not begun; returns how many are planned.

    Also tells of recipients' keys that expire soon, since a delivery that is planned beyond that day would be refused,
    and of deliveries that nobody fetched and that are soon removed.
    """
    services = open_services(Settings())
    due, problems = due_deliveries(services)
    logger = get_run_logger()
    for warning in warn_of_expiry(services):
        logger.warning(warning)
    for reminder in remind(services):
        logger.warning(reminder)
    for problem in problems:
        logger.warning("not planned: %s", problem)
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("deliver/deliver")
        for item in due:
            client.create_flow_run_from_deployment(
                deployment.id,
                parameters={
                    "agreement": item.agreement_id,
                    "period": str(item.period),
                    "requested_by": "planning",
                },
                state=Scheduled(scheduled_time=item.at),
                idempotency_key=f"planned {item.agreement_id} {item.period}",
                tags=["planned"],
            )
    logger.info("%d deliveries planned", len(due))
    return len(due)
