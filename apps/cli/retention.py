"""`gla retention`: remove deliveries whose time is over, and tell of those that nobody fetched."""

from __future__ import annotations

import click

from core.clock import to_rfc3339
from core.settings import Settings
from flows.steps.retention import over, remind, remove_what_is_over
from flows.wiring import open_existing
from ledger.states import REVOKED


@click.group()
def retention() -> None:
    """Remove deliveries whose time is over; docs/retention.md says when that is."""


@retention.command()
@click.option("--dry-run", is_flag=True, help="Show what would go, and remove nothing.")
@click.pass_context
def run(context: click.Context, *, dry_run: bool) -> None:
    """Remove what is over, at its destination and from staging; the retention flow does this every hour.

    Tells of deliveries that nobody fetched a week and two days before their end. Exit code 1 if something could not be
    removed; it is tried again the next time.
    """
    settings: Settings = context.obj
    services = open_existing(settings)
    if dry_run:
        now = to_rfc3339(services.clock())
        for delivery in (due := over(services)):
            end = "never published" if delivery.expires_at is None else f"over since {delivery.expires_at[:16]}Z"
            end = REVOKED if delivery.expires_at is not None and delivery.expires_at > now else end
            click.echo(f"{delivery.short_name} to {delivery.recipient}: {end}, {delivery.state}")
        click.echo(f"{_number(len(due), 'delivery', 'deliveries')} would be removed")
        return
    for line in remind(services):
        click.echo(f"Note: {line}", err=True)
    done = remove_what_is_over(services)
    for name in done.gone:
        click.echo(f"{name} is removed")
    for problem in done.problems:
        click.echo(f"Not removed: {problem}", err=True)
    told = _number(len(done.gone), "delivery", "deliveries")
    click.echo(f"{told} and {_number(done.reports, 'report', 'reports')} on participants removed")
    if done.sets:
        click.echo(f"who was in {_number(done.sets, 'delivery', 'deliveries')} is forgotten")
    if done.events:
        click.echo(f"the details of {_number(done.events, 'event', 'events')} are removed from the ledger")
    if done.problems:
        context.exit(1)


def _number(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
