"""`gla history`: what was delivered, to whom and when, for operators and for recipients; and what is still to come."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Literal

import click

from apps.cli.delivery_names import EDITION
from apps.cli.history_export import as_csv, as_json
from apps.cli.history_page import render
from apps.cli.history_table import expected_table, history_table
from apps.cli.report_file import write_text
from apps.cli.report_table import report_tables
from apps.cli.tables import table_console
from core.clock import dutch_midnight, to_rfc3339, utc_now
from core.database import existing
from core.errors import UnusableInput
from core.period import Period
from core.settings import Settings
from core.text import printable
from flows.steps.outlook import Expected, outlook
from flows.steps.report import newest_report
from flows.wiring import open_existing
from ledger import history as ledger_history
from ledger.history import PAGE, Choice, HistoryRow
from ledger.states import State
from ledger.store import Ledger
from schemas.report import Report
from schemas.report_page import as_html

_day = click.DateTime(["%Y-%m-%d"])

Form = Literal["terminal", "json", "csv", "html"]


@click.command()
@click.option("--delivery", metavar="D", help="The report of one: AGREEMENT/PERIOD, or AGREEMENT/PERIOD/EDITION.")
@click.option("--recipient", metavar="R", help="Only the deliveries to this recipient.")
@click.option("--as-recipient", metavar="R", help="The same, without what is for operators alone.")
@click.option("--agreement", metavar="A", help="Only the deliveries under this agreement.")
@click.option("--product", metavar="P", help="Only the deliveries of this data product.")
@click.option("--period", metavar="T", help="Only the deliveries over this period.")
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in State]),
    multiple=True,
    help="Only the deliveries in this state; may be given more than once.",
)
@click.option("--since", type=_day, help="Only what was begun on this day or later.")
@click.option("--until", type=_day, help="Only what was begun on this day or earlier.")
@click.option("--due", is_flag=True, help="Show what is overdue and what falls due next instead.")
@click.option("--limit", type=click.IntRange(min=1), help=f"At most so many; in a terminal {PAGE}, else all.")
@click.option("--after", metavar="D", help="Go on after this delivery, the last one of the page before.")
@click.option("--json", "as_json_list", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv_lines", is_flag=True, help="Print CSV.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page for readers to FILE, in Dutch.",
)
@click.pass_obj
def history(
    settings: Settings,
    delivery: str | None = None,
    recipient: str | None = None,
    as_recipient: str | None = None,
    agreement: str | None = None,
    product: str | None = None,
    period: str | None = None,
    states: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    due: bool = False,
    limit: int | None = None,
    after: str | None = None,
    as_json_list: bool = False,
    as_csv_lines: bool = False,
    page: Path | None = None,
) -> None:
    """Show the deliveries, newest first, or what the validation of one found. Times in the terminal are UTC."""
    form = _form(as_json_list, as_csv_lines, page)
    choice = Choice(
        recipient=_recipient(recipient, as_recipient),
        agreement=agreement,
        product=product,
        period=None if period is None else str(Period.parse(period)),
        states=tuple(State(each) for each in states),
        since=None if since is None else to_rfc3339(dutch_midnight(since.date())),
        before=None if until is None else to_rfc3339(dutch_midnight(until.date() + timedelta(days=1))),
    )
    if delivery is not None:
        if choice != Choice() or due or limit or after or form == "csv":
            raise click.UsageError("--delivery names one delivery: only --json or --html go with it")
        _show_report(_report(settings, delivery), form, page)
    elif due:
        if choice != replace(choice, states=(), since=None, before=None) or after or form == "html":
            raise click.UsageError("--due goes with --recipient, --agreement, --product, --period, --json and --csv")
        _show_expected(settings, choice, form, limit)
    else:
        _show_history(settings, _Shown(choice, limit, after, as_recipient is not None), form, page)


@dataclass(frozen=True)
class _Shown:
    """Which deliveries, how many at most, after which one, and whether a recipient is to read them."""

    choice: Choice
    limit: int | None
    after: str | None
    for_recipient: bool

    def rows(self, found: Iterable[HistoryRow]) -> Iterable[HistoryRow]:
        return (row.for_recipient() for row in found) if self.for_recipient else found


def _form(as_json_list: bool, as_csv_lines: bool, page: Path | None) -> Form:
    if as_json_list + as_csv_lines + (page is not None) > 1:
        raise click.UsageError("--json, --csv and --html exclude each other")
    return "json" if as_json_list else "csv" if as_csv_lines else "html" if page is not None else "terminal"


def _recipient(recipient: str | None, as_recipient: str | None) -> str | None:
    if recipient is not None and as_recipient is not None:
        raise click.UsageError("--recipient and --as-recipient exclude each other")
    return recipient or as_recipient


def _show_history(settings: Settings, shown: _Shown, form: Form, page: Path | None) -> None:
    choice = shown.choice
    with existing(settings.resolved_database_url) as engine:
        if form == "terminal":
            found = ledger_history.page(engine, choice, shown.limit or PAGE, shown.after)
            filtered = choice != Choice() or shown.after is not None
            empty = "nothing that fits was delivered yet" if filtered else "nothing was delivered yet"
            table_console().print(history_table(list(shown.rows(found.rows)), empty))
            if found.next is not None:
                click.echo(f"There is more: the same with --after {printable(found.next)}")
            return
        rows = shown.rows(ledger_history.history(engine, choice, shown.after))
        if shown.limit is not None:
            rows = islice(rows, shown.limit)
        if form == "html" and page is not None:
            made = render(list(rows), utc_now(), recipient=choice.recipient, agreement=choice.agreement)
            write_text(page, made)
        else:
            _print(as_json(rows) if form == "json" else as_csv(rows, HistoryRow))


def _show_expected(settings: Settings, choice: Choice, form: Form, limit: int | None) -> None:
    expected, problems = outlook(open_existing(settings), choice)
    expected = expected[:limit]
    if form == "terminal":
        table_console().print(expected_table(expected))
    else:
        _print(as_json(expected) if form == "json" else as_csv(expected, Expected))
    for problem in problems:
        click.echo(f"Note: {problem}", err=True)


def _print(pieces: Iterable[str]) -> None:
    for piece in pieces:
        click.echo(piece, nl=False)


def _report(settings: Settings, name: str) -> Report:
    """What the validation of the delivery `name` found; the newest edition where none is named."""
    agreement, _, rest = name.partition("/")
    period_text, _, edition_text = rest.partition("/")
    period = Period.parse(period_text)
    if edition_text and not EDITION.fullmatch(edition_text):
        raise UnusableInput("a delivery is named AGREEMENT/PERIOD or AGREEMENT/PERIOD/EDITION")
    with existing(settings.resolved_database_url) as engine:
        ledger = Ledger(engine, utc_now, origin=socket.gethostname())
        edition = int(edition_text) if edition_text else ledger.latest_edition(agreement, period)
        delivery = None if edition is None else ledger.get(agreement, period, edition)
        if delivery is None:
            raise UnusableInput("there is no such delivery: gla history shows which there are")
        report = newest_report(ledger, delivery.id)
    if report is None:
        raise UnusableInput(f"{delivery.name} has no report: its data was never read to its end")
    return report


def _show_report(report: Report, form: Form, page: Path | None) -> None:
    if page is not None:
        write_text(page, as_html(report))
    elif form == "json":
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        for table in report_tables(report):
            table_console().print(table)
