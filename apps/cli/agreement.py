"""`gla agreement`: draft, offer, accept, activate and check agreements."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from agreements import store
from agreements.rules import AgreementState
from apps.cli.contract_file import read_contract_file
from core.clock import dutch_date
from core.database import reading
from core.errors import UnusableInput
from core.settings import Settings
from core.text import printable
from flows.steps import lifecycle
from flows.steps.agree import agree, verify_stored
from flows.steps.draft import as_yaml, draft
from flows.wiring import open_services
from keys.private.signing import load_signer
from keys.sshsig import Namespace
from schemas.agreement import Agreement
from schemas.filters import Condition

_file = click.Path(path_type=Path, dir_okay=False, exists=True)

_NO_ROWS = {
    "refuse": "refused",
    "header-only": "a delivery without rows",
    "skip": "nothing is published, and the history says why",
}


@click.group()
def agreement() -> None:
    """Draft, offer, accept, activate and check agreements."""


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.option("--source", required=True, help="Id of a registered source.")
@click.option("--table", help="Which table of a source that offers several.")
@click.option("--recipient", required=True, help="Name of a registered organisation.")
@click.option("--product", help="Take descriptions and rules from this product; gla data products lists them.")
@click.option("--column", "columns", multiple=True, help="Deliver only this column; may be repeated.")
@click.option("--period-column", help="A date column: only rows within the delivered period.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: ID.odcs.yaml")
@click.pass_obj
def new(
    settings: Settings,
    agreement_id: str,
    source: str,
    table: str | None,
    recipient: str,
    product: str | None,
    columns: tuple[str, ...],
    period_column: str | None,
    out: Path | None,
) -> None:
    """Draft agreement ID from a source's schema or from a product of the catalogue, to be edited."""
    path = out or Path(f"{agreement_id}.odcs.yaml")
    if path.exists():
        raise UnusableInput(f"{path} exists: name another file with --out")
    services = open_services(settings)
    document = draft(services, agreement_id, source, recipient, columns, period_column, product, table)
    path.write_text(as_yaml(document), encoding="utf-8")
    click.echo(f"{path}: edit it, then run: gla agreement offer {path}")


@agreement.command()
@click.argument("contract", type=_file)
@click.pass_obj
def offer(settings: Settings, contract: Path) -> None:
    """Seal the agreement in CONTRACT with our key and offer it."""
    offered, path = lifecycle.offer(open_services(settings), read_contract_file(contract), getpass.getuser())
    click.echo(f"agreement {offered.id}: offered, SHA-256 {offered.digest}")
    if b"TODO" in offered.canonical:
        click.echo("Note: it still says TODO; edit and offer it again before the recipient signs.", err=True)
    click.echo("The recipient reads and signs this file, with either of:")
    click.echo(f"  ssh-keygen -Y sign -n {Namespace.AGREEMENT} -f SSH_KEY {path}")
    click.echo(f"  gla agreement sign {path} --key SSH_KEY")
    if offered.sender_openpgp is not None:
        certificate = lifecycle.openpgp_certificate_beside(path)
        click.echo(f"and gets {certificate}, to check what is signed inside its files: gpg --import {certificate}")


@agreement.command()
@click.argument("file", type=_file)
@click.option("--key", type=_file, required=True, help="The recipient's SSH private key (Ed25519).")
def sign(file: Path, key: Path) -> None:
    """Sign an offered agreement, for recipients without ssh-keygen. Writes FILE.sig."""
    target = file.with_name(file.name + ".sig")
    target.write_text(load_signer(key).sign(file.read_bytes(), Namespace.AGREEMENT), encoding="utf-8")
    click.echo(f"{target}: send it to the sender, and keep both files: gla open needs them")


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.option("--signature", type=_file, required=True, help="The recipient's signature, FILE.sig.")
@click.pass_obj
def accept(settings: Settings, agreement_id: str, signature: Path) -> None:
    """Record the recipient's assent to ID."""
    try:
        text = signature.read_text(encoding="ascii")
    except UnicodeDecodeError:
        text = ""
    lifecycle.accept(open_services(settings), agreement_id, text, getpass.getuser())
    click.echo(f"agreement {agreement_id}: agreed by both sides")


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.pass_obj
def activate(settings: Settings, agreement_id: str) -> None:
    """Let deliveries under ID begin."""
    lifecycle.activate(open_services(settings), agreement_id, getpass.getuser())
    click.echo(f"agreement {agreement_id}: active")


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.option("--reason", required=True)
@click.pass_context
def revoke(context: click.Context, agreement_id: str, reason: str) -> None:
    """Revoke ID now: a running delivery stops, and what was delivered is removed.

    Exit code 1 if something could not be removed; gla retention run and the retention flow try it again.
    """
    services = open_services(context.obj)
    done = lifecycle.stop(services, agreement_id, AgreementState.REVOKED, reason, getpass.getuser())
    click.echo(f"agreement {agreement_id}: revoked")
    for name in done.gone:
        click.echo(f"{name} is removed")
    for problem in done.problems:
        click.echo(f"Not removed: {problem}", err=True)
    if done.problems:
        context.exit(1)


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.option("--reason", required=True)
@click.pass_obj
def end(settings: Settings, agreement_id: str, reason: str) -> None:
    """End ID in good order: no new deliveries; what was delivered can still be fetched."""
    services = open_services(settings)
    lifecycle.stop(services, agreement_id, AgreementState.ENDED, reason, getpass.getuser())
    click.echo(f"agreement {agreement_id}: ended")


@agreement.command()
@click.argument("agreement_id", metavar="ID")
@click.pass_obj
def verify(settings: Settings, agreement_id: str) -> None:
    """Verify bytes, both signatures, dates and state of ID."""
    agreed = agree(open_services(settings), agreement_id)
    click.echo(f"agreement {agreed.id}: in force, signed by both sides, SHA-256 {agreed.digest}")


@agreement.command("show")
@click.argument("agreement_id", metavar="ID")
@click.option("--document", is_flag=True, help="Print the signed bytes only.")
@click.pass_obj
def show(settings: Settings, agreement_id: str, document: bool) -> None:
    """Show what ID says, after verifying its signatures."""
    services = open_services(settings)
    with reading(services.engine) as connection:
        stored = store.get(connection, agreement_id)
    if document:
        sys.stdout.buffer.write(stored.document)
        return
    it = verify_stored(services, stored)
    today = dutch_date(services.clock())
    table = Table("", Column(overflow="fold"), show_header=False, title=f"Agreement {it.id}")
    _add(table, "state", f"{stored.state}{'' if it.valid_from <= today <= it.valid_until else ', not in its dates'}")
    _add(table, "product", it.product)
    for name, text in (it.contract.document.get("description") or {}).items():
        if isinstance(text, str):
            _add(table, name, text)
    _add(table, "recipient", f"{it.recipient} (KvK {it.recipient_kvk})")
    _add(table, "valid", f"{it.valid_from} to {it.valid_until}")
    _add(table, "columns", ", ".join(column.name for column in it.contract.table.columns))
    _add(table, "rows", "\n".join(map(_condition, it.filter.conditions)) or "all")
    if it.participants is not None:
        _add(table, "participants", f"only those of {it.participants.column}, at most {it.participants.maximum:,}")
    if it.mutations is not None:
        _add(table, "mutations", f"only what changed since the delivery before, as told in {it.mutations.column}")
    _add(table, "no rows", _NO_ROWS[it.on_empty])
    _add(table, "source, destination", f"{it.source}, {it.destination}")
    _add(table, "format", it.file_format)
    _add(table, "planning", _planning(it))
    _add(table, "kept for", f"{it.retention_days or settings.delivery.retention_days} days")
    _add(table, "seals to", "\n".join(it.recipient_keys))
    _add(table, "signed by", f"us, and {it.recipient_signer}")
    _add(table, "SHA-256", it.digest)
    Console().print(table)


def _add(table: Table, *cells: str) -> None:
    """What people typed is shown as it is, never read as markup or as terminal control."""
    table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in cells))


def _planning(it: Agreement) -> str:
    return f"every {it.planning.frequency}, {it.planning.latency_days} days after it" if it.planning else "on request"


def _condition(condition: Condition) -> str:
    """As the signed document has it."""
    compared = condition.bound or ("" if condition.value is None else json.dumps(condition.value, ensure_ascii=False))
    return f"{condition.column} {condition.operator} {compared}".strip()


@agreement.command("list")
@click.pass_obj
def list_all(settings: Settings) -> None:
    """List all agreements."""
    table = Table("id", "product", "recipient", "state", "since")
    with reading(open_services(settings).engine) as connection:
        for item in store.list_agreements(connection):
            _add(table, item.id, item.product, item.recipient, item.state, item.changed_at[:10])
    Console().print(table)
