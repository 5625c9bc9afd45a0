"""The planner: one flow that turns what is due into scheduled runs of `deliver`, which the Prefect UI shows.

It can run as often as it likes: a run is identified by agreement and period, and whatever is triggered twice all the
same meets the ledger's unique key. A run that failed before the ledger had anything of it is begun again.
"""

from __future__ import annotations

from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.states import Scheduled

from core.settings import Settings
from flows.steps.key_expiry import warn_of_expiry
from flows.steps.planning import Due, due_deliveries
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
        runs = [(item, _scheduled(client, deployment.id, item)) for item in due]
    over = [(item, state) for item, state in runs if state.is_final()]
    for item, state in over:
        logger.warning(
            "not planned: %s %s: its run is %s, and is not begun again: run deliver/deliver for it by hand",
            item.agreement_id, item.period, state.type.value.lower(),
        )  # fmt: skip
    logger.info("%d deliveries planned", len(due) - len(over))
    return len(due) - len(over)


def _scheduled(client: SyncPrefectClient, deployment: UUID, item: Due) -> State:
    """The state of the run that is planned for it. One that failed is planned anew; one that was cancelled is over."""
    planned: State = Scheduled(scheduled_time=item.at)
    run = client.create_flow_run_from_deployment(
        deployment,
        parameters={
            "agreement": item.agreement_id,
            "period": str(item.period),
            "requested_by": "planning",
        },
        state=planned,
        idempotency_key=f"planned {item.agreement_id} {item.period}",
        tags=["planned"],
    )
    state = run.state or planned
    if not (state.is_failed() or state.is_crashed()):
        return state
    client.set_flow_run_state(run.id, planned)
    return planned
