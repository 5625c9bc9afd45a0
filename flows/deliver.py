"""Deliver one period of one agreement: the flow that schedules start and operators rerun in the Prefect UI.

The six steps (1 agree, 2 extract, 3 validate, 4 seal, 5 publish, 6 record) stand in `flows.steps.path`; this module
only shows them to Prefect: each as a task run, the outcome and the report of the validation as artifacts. Prefect gets
ids, a reason and counts, never data: results are not persisted, nothing is cached, and only value-free errors cross a
task border. The report is read back from the ledger, also where the data was refused.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from core.clock import dutch_date, utc_now
from core.errors import DeliveryEmpty, RowsInvalid
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.expected import Pace, expected_rows
from flows.steps.order import Mode, Order
from flows.steps.report import newest_report
from flows.wiring import Services, open_services
from schemas.report_markdown import as_markdown

_BETWEEN = timedelta(seconds=5)  # two words about how far a delivery is
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
        mode: resume goes on from the last step; redeliver sends the newest published edition again,
            byte for byte, also while its correction is stopped; correct extracts again.
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
        outcome = path.run(services, order, step=_as_task, progress=_Shown(expected_rows(services, order)))
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


class _Shown:
    """Tells how far the delivery is: lines in the log, and a bar where it is known how much there was last time."""

    def __init__(self, expected: int | None) -> None:
        self._expected, self._began = expected, utc_now()
        self._next = self._began + _BETWEEN
        self._artifact: UUID | None = None

    def __call__(self, rows: int, size: int) -> None:
        now = utc_now()
        if now < self._next:
            return
        self._next = now + _BETWEEN
        pace = Pace(rows, self._expected, self._began, now)
        get_run_logger().info("%s, %s bytes sealed", pace, f"{size:,}")
        if pace.percent is not None:
            with suppress(Exception):  # a delivery does not fail because nobody can watch it
                self._show(pace.percent, str(pace))

    def _show(self, percent: float, description: str) -> None:
        if self._artifact is None:
            made = create_progress_artifact(percent, key="progress", description=description)
            self._artifact = cast("UUID", made)  # Prefect says that it might be a coroutine, for who is in one
        else:
            update_progress_artifact(self._artifact, percent, description)


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
