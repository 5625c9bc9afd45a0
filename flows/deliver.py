"""Deliver one period of one agreement: the flow that schedules start and operators rerun in the Prefect UI.

The six steps (1 agree, 2 extract, 3 validate, 4 seal, 5 publish, 6 record) stand in `flows.steps.path`; this module
only shows them to Prefect: each as a task run, the outcome and the report of the validation as artifacts. Prefect gets
ids, a reason and counts, never data: results are not persisted, nothing is cached, and only value-free errors cross a
task border. The report is read back from the ledger, also where the data was refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from core.clock import dutch_date
from core.errors import DeliveryEmpty, RowsInvalid
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Mode, Order
from flows.steps.report import newest_report
from flows.wiring import Services, open_services
from schemas.report_markdown import as_markdown

_RETRY_SECONDS: list[float] = [5, 30, 120]


@flow(name="deliver", flow_run_name="{agreement} {period} {mode}", persist_result=False, log_prints=False)
def deliver(
    agreement: str, period: str, requested_by: str, mode: Mode = Mode.RESUME, reason: str = "", full: bool = False
) -> dict[str, Any]:
    """Deliver a period, or run a delivery again. Safe to start twice: the ledger lets one delivery happen once.

    Args:
        agreement: The agreement's id, for example GLA-2026-0001.
        period: YYYY, YYYY-Qn, YYYY-MM, YYYY-MM-DD or START--END (END included).
        requested_by: Your name. The open-source Prefect server knows no users, so the ledger asks.
        mode: resume goes on from the last step; redeliver sends the same bytes; correct extracts again.
        reason: Why; shown in the history. Required for redeliver, correct and full.
        full: Of a mutation delivery: the whole state again, as new.
    """
    order = Order(
        agreement_id=agreement,
        period=Period.parse(period),
        requested_by=requested_by,
        mode=mode,
        reason=reason,
        full=full,
    )
    services = open_services(Settings())
    try:
        outcome = path.run(services, order, step=_as_task)
    except (RowsInvalid, DeliveryEmpty):
        edition = services.ledger.latest_edition(order.agreement_id, order.period)
        refused = edition and services.ledger.get(order.agreement_id, order.period, edition)
        if refused:
            _show_report(services, refused.id)
        raise
    if early := order.early(dutch_date(services.clock())):
        get_run_logger().warning("%s", early)
    get_run_logger().info(
        "%s edition %d: %s rows, %s bytes %s",
        order.name, outcome.edition, f"{outcome.rows:,}", f"{outcome.size:,}", outcome.result,
    )  # fmt: skip
    create_markdown_artifact(
        key="delivery",
        markdown=(
            "| agreement | period | edition | rows | bytes | result |\n|---|---|---|---|---|---|\n"
            f"| {outcome.agreement_id} | {outcome.period} | {outcome.edition} | {outcome.rows:,} | {outcome.size:,} | "
            f"{outcome.result} |"
        ),
        description="What was delivered",
    )
    _show_report(services, outcome.delivery_id)
    return {"delivery": outcome.delivery_id, "edition": outcome.edition, "done_before": outcome.done_before}


def _show_report(services: Services, delivery_id: str) -> None:
    report = newest_report(services.ledger, delivery_id)
    if report is not None:
        create_markdown_artifact(
            key="validation-report", markdown=as_markdown(report), description="What became of each promise"
        )


def _as_task(name: str, function: Callable[..., Any], *args: Any) -> Any:
    retried = name == "publish"  # the only step that meets another machine and can simply be done again
    step = task(
        name=name,
        persist_result=False,
        cache_policy=NO_CACHE,
        retries=len(_RETRY_SECONDS) if retried else 0,
        retry_delay_seconds=_RETRY_SECONDS if retried else None,
        retry_condition_fn=_is_transient,
    )(function)
    return step(*args)


def _is_transient(_task: Any, _run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return bool(getattr(error, "transient", False))
