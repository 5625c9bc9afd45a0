"""`gla history`: what was delivered, to whom and when, for operators (terminal, JSON) and for recipients (a page)."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.cli.history_page import render
from apps.cli.report_file import write_text
from apps.cli.report_table import report_tables
from core.clock import utc_now
from core.database import opened
from core.errors import UnusableInput
from core.period import Period
from core.settings import Settings
from core.text import printable
from flows.steps.report import newest_report
from ledger import history as ledger_history
from ledger.history import HistoryRow
from ledger.states import State
from ledger.store import Ledger
from schemas.report import Report
from schemas.report_page import as_html

_EDITION = re.compile(r"[1-9][0-9]{0,8}")
_PIPE_WIDTH = 200  # characters, where the output is no terminal: nothing is cut off


@click.command()
@click.option("--delivery", metavar="D", help="The report of one: AGREEMENT/PERIOD, or AGREEMENT/PERIOD/EDITION.")
@click.option("--recipient", metavar="R", help="Only the deliveries to this recipient.")
@click.option("--agreement", metavar="A", help="Only the deliveries under this agreement.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page for readers to FILE, in Dutch.",
)
@click.pass_obj
def history(
    settings: Settings,
    delivery: str | None,
    recipient: str | None,
    agreement: str | None,
    as_json: bool,
    page: Path | None,
) -> None:
    """Show the deliveries, newest first, or what the validation of one found. Times in the terminal are UTC."""
    if as_json and page is not None:
        raise click.UsageError("--json and --html exclude each other")
    if delivery is not None:
        if recipient is not None or agreement is not None:
            raise click.UsageError("--delivery names one delivery: without --recipient or --agreement")
        _show_report(_report(settings, delivery), as_json, page)
        return
    with opened(settings.resolved_database_url) as engine:
        rows = ledger_history.history(engine, recipient, agreement)
    if page is not None:
        write_text(page, render(rows, utc_now(), recipient=recipient, agreement=agreement))
    elif as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        filtered = recipient is not None or agreement is not None
        _console().print(
            _table(rows, "nothing that fits was delivered yet" if filtered else "nothing was delivered yet")
        )


def _report(settings: Settings, name: str) -> Report:
    """What the validation of the delivery `name` found; the newest edition where none is named."""
    agreement, _, rest = name.partition("/")
    period_text, _, edition_text = rest.partition("/")
    period = Period.parse(period_text)
    if edition_text and not _EDITION.fullmatch(edition_text):
        raise UnusableInput("a delivery is named AGREEMENT/PERIOD or AGREEMENT/PERIOD/EDITION")
    with opened(settings.resolved_database_url) as engine:
        ledger = Ledger(engine, utc_now, origin=socket.gethostname())
        edition = int(edition_text) if edition_text else ledger.latest_edition(agreement, period)
        delivery = None if edition is None else ledger.get(agreement, period, edition)
        if delivery is None:
            raise UnusableInput("there is no such delivery: gla history shows which there are")
        report = newest_report(ledger, delivery.id)
    if report is None:
        raise UnusableInput(f"{delivery.name} has no report: its data was never read to its end")
    return report


def _show_report(report: Report, as_json: bool, page: Path | None) -> None:
    if page is not None:
        write_text(page, as_html(report))
    elif as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        for table in report_tables(report):
            _console().print(table)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def _table(rows: list[HistoryRow], empty: str) -> Table:
    table = Table(title="Deliveries", caption=None if rows else empty, show_lines=True)
    for heading in ("delivery", "period", "state", "contents", "what happened"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (
            _delivery(row),
            [row.period, f"edition {row.edition}"],
            [row.state.value],
            _contents(row),
            _events(row),
        )
        # Text: what people typed is shown as it is, never read as markup or as terminal control
        table.add_row(*(Text("\n".join(printable(line) for line in cell)) for cell in cells))
    return table


def _delivery(row: HistoryRow) -> list[str]:
    return [row.product, row.agreement, f"to {row.recipient}"]


def _contents(row: HistoryRow) -> list[str]:
    told = row.mutations or {}
    lines = [
        None if row.rows is None else f"{row.rows:,} rows",
        None if row.bytes is None else f"{row.bytes:,} bytes",
        ", ".join(f"{count:,} {name}" for name, count in told.items()),
        None if row.same_data_as is None else f"the same data as edition {row.same_data_as}",
        None if row.kept_out is None else f"{row.kept_out:,} rows of others kept out",
    ]
    return [line for line in lines if line]


def _events(row: HistoryRow) -> list[str]:
    times = (
        ("published", row.published),
        ("picked up", row.picked_up),
        ("confirmed, signed," if row.signed else "confirmed", row.confirmed),
        ("expires", row.expires if row.removed is None else None),
        ("expired, and removed", row.removed),
    )
    lines = [f"{name} {time[:16].replace('T', ' ')}" for name, time in times if time is not None]
    lines += [] if row.partly is None else [f"fetched in part: {row.partly:,} of {row.bytes or 0:,} bytes"]
    lines += ["nobody fetched it yet, and it ends soon"] if row.reminded and row.state is State.PUBLISHED else []
    lines += [] if row.case is None else [f"not accepted: {row.case} (gla receipt list)"]
    reason = [] if row.reason is None else [f"reason: {row.reason}"]
    return lines + reason + ([] if row.error is None else [row.error])
