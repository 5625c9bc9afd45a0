"""`gla deliver`: run one delivery here and now, without a Prefect server."""

from __future__ import annotations

import getpass
import sys
import time
from contextlib import AbstractContextManager, nullcontext

import click

from core.clock import dutch_date
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.expected import expected_rows
from flows.steps.order import Mode, Order
from flows.steps.seal_rows import Progress
from flows.wiring import open_existing


@click.command()
@click.argument("agreement")
@click.argument("period")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.RESUME.value, show_default=True)
@click.option("--reason", default="", help="Why; shown in the history. Required for redeliver, correct and --full.")
@click.option("--full", is_flag=True, help="Of a mutation delivery: the whole state again, as new. Needs a reason.")
@click.option("--by", "requested_by", default="", help="Who asks; the name of the system's user by default.")
@click.pass_obj
def deliver(
    settings: Settings, agreement: str, period: str, mode: str, reason: str, requested_by: str, *, full: bool
) -> None:
    """Deliver PERIOD of AGREEMENT. PERIOD is YYYY, YYYY-Qn, YYYY-MM, YYYY-MM-DD or START--END (END included).

    Starting it twice is harmless: a delivery that is done is not done again.
    """
    order = Order(agreement, Period.parse(period), requested_by or getpass.getuser(), Mode(mode), reason, full)
    started = time.monotonic()
    services = open_existing(settings)
    with _watched(order, expected_rows(services, order)) as show:
        outcome = path.run(services, order, progress=show)
    name = f"{outcome.agreement_id} {outcome.period} edition {outcome.edition}"
    if outcome.done_before:
        again = "correct" if outcome.skipped else "redeliver or correct"
        click.echo(f"{name}: {outcome.result} (--mode {again} runs it again)")
        return
    if outcome.skipped:
        click.echo(f"{name}: {outcome.result}: nothing is published, and the history says why")
    else:
        seconds = time.monotonic() - started
        click.echo(f"{name}: {outcome.rows:,} rows, {outcome.size:,} bytes delivered in {seconds:.1f} s")
        if outcome.same_as is not None:
            click.echo(f"Note: it holds the same data as edition {outcome.same_as}, byte for byte", err=True)
    if early := order.early(dutch_date(services.clock())):
        click.echo(f"Note: {early}", err=True)


def _watched(order: Order, expected: int | None) -> AbstractContextManager[Progress]:
    if not sys.stderr.isatty():
        return nullcontext(path.no_progress)
    from apps.cli.delivery_bar import delivery_bar  # noqa: PLC0415 - slow to import, for who looks only

    return delivery_bar(order.name, expected)
