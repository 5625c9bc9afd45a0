"""`gla history`: what was delivered, to whom and when, for operators (terminal, JSON) and for recipients (a page)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.cli.history_page import render
from core.clock import utc_now
from core.database import opened
from core.errors import UnusableInput
from core.settings import Settings
from core.text import printable
from ledger import history as ledger_history
from ledger.history import HistoryRow

_PIPE_WIDTH = 200  # characters, where the output is no terminal: nothing is cut off


@click.command()
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
def history(settings: Settings, recipient: str | None, agreement: str | None, as_json: bool, page: Path | None) -> None:
    """Show the deliveries, newest first. Times in the terminal are UTC."""
    if as_json and page is not None:
        raise click.UsageError("--json and --html exclude each other")
    with opened(settings.resolved_database_url) as engine:
        rows = ledger_history.history(engine, recipient, agreement)
    if page is not None:
        _write(page, render(rows, utc_now(), recipient=recipient, agreement=agreement))
    elif as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        console = Console()
        console = console if console.is_terminal else Console(width=_PIPE_WIDTH)
        filtered = recipient is not None or agreement is not None
        console.print(_table(rows, "nothing that fits was delivered yet" if filtered else "nothing was delivered yet"))


def _write(page: Path, text: str) -> None:
    try:
        page.write_text(text, encoding="utf-8")
        return
    except OSError:
        pass
    raise UnusableInput("the page cannot be written: name a file in a folder that exists and can be written")


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
    rows = [] if row.rows is None else [f"{row.rows:,} rows"]
    return rows if row.bytes is None else [*rows, f"{row.bytes:,} bytes"]


def _events(row: HistoryRow) -> list[str]:
    times = (("published", row.published), ("picked up", row.picked_up), ("expires", row.expires))
    lines = [f"{name} {time[:16].replace('T', ' ')}" for name, time in times if time is not None]
    reason = [] if row.reason is None else [f"reason: {row.reason}"]
    return lines + reason + ([] if row.error is None else [row.error])
