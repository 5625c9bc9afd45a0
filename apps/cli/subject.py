"""`gla subject`: to whom one person's data was delivered (GDPR, article 15), and whom to tell of a correction (19)."""

from __future__ import annotations

import getpass
import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from apps.cli.tables import minute, table_console
from core.clock import from_rfc3339
from core.files import write_file
from core.settings import Settings
from core.text import printable
from flows.steps.subjects import Answer, Found, ask, checked_number
from flows.wiring import open_existing
from keys.private.secret import Secret
from schemas.logboek import logboek_row


@click.command()
@click.option("--reason", required=True, help="Why it is asked, such as a case number. Kept in the ledger.")
@click.option("--correction", is_flag=True, help="List the recipients to notify of a correction or erasure.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--logboek",
    "rows_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the deliveries to FILE as rows of the Logboek Dataverwerkingen, one JSON object a line.",
)
@click.pass_context
def subject(context: click.Context, *, reason: str, correction: bool, as_json: bool, rows_file: Path | None) -> None:
    """Show to whom the data of one person was delivered, when, under which agreement, purpose and legal basis.

    The citizen number is asked for without showing it, or read from standard input; it is never an argument, and is
    written nowhere. That it was asked, by whom and why, is recorded. Exit code 1 if there are deliveries of which
    nobody can say any more whether the person is in them: they are listed.
    """
    settings: Settings = context.obj
    number = _number()
    answer = ask(open_existing(settings), number, "correction" if correction else "access", getpass.getuser(), reason)
    if rows_file is not None:
        lines = "".join(f"{json.dumps(_logboek(each))}\n" for each in answer.found)
        write_file(rows_file, lines.encode(), mode=0o600)
    if as_json:
        click.echo(json.dumps(_as_json(answer, correction=correction), indent=2, ensure_ascii=False))
    else:
        _show(answer, correction=correction)
    for name, why in answer.unanswered:
        click.echo(f"Not known: {name}: {printable(why)}", err=True)
    if answer.unanswered:
        context.exit(1)


def _number() -> Secret:
    if sys.stdin.isatty():
        return checked_number(click.prompt("Citizen number (not shown)", hide_input=True, err=True).strip())
    return checked_number(sys.stdin.readline().strip())


def _as_json(answer: Answer, *, correction: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "searched": answer.searched,
        "about_nobody": answer.nobody,
        "not_known": [{"delivery": name, "why": why} for name, why in answer.unanswered],
    }
    if correction:
        return {"recipients": _recipients(answer), **told}
    return {"deliveries": [_delivered(each) for each in answer.found], **told}


def _delivered(found: Found) -> dict[str, Any]:
    delivery, terms = found.delivery, found.terms
    return {
        "recipient": delivery.recipient,
        "recipient_kvk": terms.recipient_kvk,
        "product": delivery.product,
        "period": delivery.period,
        "edition": delivery.edition,
        "delivered": delivery.published_at,
        "picked_up": delivery.picked_up_at,
        "state": delivery.state.value,
        "agreement": delivery.agreement_id,
        "purpose": terms.purpose,
        "legal_basis": list(terms.legal_basis),
    }


def _recipients(answer: Answer) -> list[dict[str, Any]]:
    """Everybody to whom data of the person was disclosed, with what they got; also who may not have fetched it."""
    by_recipient = sorted(answer.found, key=lambda each: each.delivery.recipient)
    return [
        {
            "recipient": recipient,
            "recipient_kvk": some[0].terms.recipient_kvk,
            "agreements": sorted({each.delivery.agreement_id for each in some}),
            "last_delivered": max(str(each.delivery.published_at) for each in some),
            "fetched": any(each.delivery.picked_up_at is not None for each in some),
            "deliveries": [each.delivery.short_name for each in some],
        }
        for recipient, some in ((name, list(them)) for name, them in groupby(by_recipient, _recipient))
    ]


def _recipient(found: Found) -> str:
    return found.delivery.recipient


def _logboek(found: Found) -> dict[str, Any]:
    delivery = found.delivery
    return logboek_row(
        trace=delivery.id,
        subject=found.pseudonym,
        activity=found.terms.activity or f"urn:gla:agreement:{delivery.agreement_id}",
        start=from_rfc3339(delivery.created_at),
        end=from_rfc3339(str(delivery.published_at)),
    )


def _show(answer: Answer, *, correction: bool) -> None:
    table = _correction_table(answer) if correction else _access_table(answer)
    table_console().print(table)
    others = f", and {answer.nobody:,} about nobody" if answer.nobody else ""
    click.echo(f"{answer.searched:,} {'delivery' if answer.searched == 1 else 'deliveries'} searched{others}")


def _access_table(answer: Answer) -> Table:
    table = _table("Delivered", ("recipient", "delivered", "what", "agreement", "purpose and legal basis"), answer)
    for each in answer.found:
        told = _delivered(each)
        kvk = None if told["recipient_kvk"] is None else f"KvK {told['recipient_kvk']}"
        fetched = told["picked_up"] and f"picked up {minute(told['picked_up'])}"
        _add(
            table,
            [told["recipient"], kvk],
            [minute(told["delivered"]), fetched],
            [told["product"], told["period"], f"edition {told['edition']}, {told['state']}"],
            [told["agreement"]],
            [told["purpose"], *told["legal_basis"]],
        )
    return table


def _correction_table(answer: Answer) -> Table:
    table = _table("To notify", ("recipient", "agreements", "last delivered", "deliveries"), answer)
    for each in _recipients(answer):
        kvk = None if each["recipient_kvk"] is None else f"KvK {each['recipient_kvk']}"
        fetched = None if each["fetched"] else "not fetched as far as we know"
        last = [minute(each["last_delivered"]), fetched]
        _add(table, [each["recipient"], kvk], each["agreements"], last, each["deliveries"])
    return table


def _table(title: str, headings: tuple[str, ...], answer: Answer) -> Table:
    caption = None if answer.found else "nothing about this person was delivered, as far as is kept"
    table = Table(title=title, caption=caption, show_lines=True)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _add(table: Table, *cells: list[str | None]) -> None:
    table.add_row(*(Text("\n".join(printable(line) for line in cell if line)) for cell in cells))
