"""`gla receipt`: what recipients say of deliveries, and the cases that their negative receipts open.

`sign` is for recipients; it opens no database and needs nothing of the sender's.
"""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click
from rich.table import Table
from rich.text import Text

from apps.cli.delivery_names import delivery_parts
from apps.cli.tables import table_console
from core.clock import utc_now
from core.database import existing
from core.errors import UnusableInput
from core.period import Period
from core.settings import Settings
from core.text import printable
from ledger.receipts import Case, cases, close_case, signed_receipts
from ledger.store import Ledger
from schemas.receipts import (
    NEGATIVE,
    POSITIVE,
    RECEIPT_BYTES,
    SIGNATURE,
    SIGNATURE_BYTES,
    Rejection,
    receipt_name,
)

_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_folder = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group()
def receipt() -> None:
    """Receipts of recipients: sign one, take one that came another way, list and close what was not accepted."""


@receipt.command()
@click.argument("delivery", metavar="DIR", type=_folder)
@click.option("--ssh-key", type=_file, help="Sign it with this SSH key, which signed the agreement (ed25519).")
@click.option("--nack", type=click.Choice([each.value for each in Rejection]), help="Why it is not accepted.")
def sign(delivery: Path, ssh_key: Path | None, nack: str | None) -> None:
    """For recipients: write the receipt for the delivery in DIR, beside it.

    A positive one says that you have checked the delivery: gla open --ack does both. With --nack it says that you do
    not accept it, and why; the sender looks into it. Put the file, and its .sig, into receipts/ in the drop zone.
    """
    from apps.cli.receipt_files import write_receipt  # noqa: PLC0415 - the operators' commands need none of it
    from keys.private.signing import load_signer  # noqa: PLC0415

    signer = None if ssh_key is None else load_signer(ssh_key)
    files = write_receipt(delivery, signer, None if nack is None else Rejection(nack))
    click.echo(f"{' and '.join(str(file) for file in files)}: put into receipts/")


@receipt.command()
@click.option("--recipient", required=True, help="Whose receipt it is.")
@click.option("--signature", type=_file, help="Its SSH signature; without it you vouch for the file.")
@click.argument("file", type=_file)
@click.pass_obj
def add(settings: Settings, recipient: str, signature: Path | None, file: Path) -> None:
    """Take FILE, a receipt (.ack or .nack) that did not come through the drop zone."""
    from flows.steps.receipts import Came, receive  # noqa: PLC0415
    from flows.wiring import open_services  # noqa: PLC0415

    signed = None if signature is None else _start(signature, SIGNATURE_BYTES)
    came = Came(recipient, file.name, _start(file, RECEIPT_BYTES + 1), signed, getpass.getuser(), {"by": "operator"})
    delivery = receive(open_services(settings), came)
    if delivery is None:
        click.echo("this receipt was recorded before, and nothing changed")
    else:
        click.echo(f"{delivery.short_name}: the receipt is recorded; it is {delivery.state}")


@receipt.command("s3-log")
@click.option("--destination", required=True, help="The S3 destination, as it is registered.")
@click.option("--own", "own_users", multiple=True, required=True, help="Our own user there; may be repeated.")
@click.argument("log", type=click.File(encoding="utf-8", errors="replace"))
@click.pass_obj
def s3_log(settings: Settings, destination: str, own_users: tuple[str, ...], log: TextIO) -> None:
    """Record what was fetched from an S3 destination, from the LOG of a Ceph gateway (- reads it from the input).

    A log may be given again: each line counts once. What our own user read is left out, unless it was with a link.
    """
    from flows.steps.s3_pickups import record_s3_log  # noqa: PLC0415
    from flows.wiring import open_services  # noqa: PLC0415

    count = record_s3_log(open_services(settings), destination, log, frozenset(own_users))
    click.echo(f"{count} reading{'' if count == 1 else 's'} recorded")


@receipt.command("list")
@click.option("--all", "all_cases", is_flag=True, help="Closed ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_cases(settings: Settings, *, all_cases: bool, as_json: bool) -> None:
    """List the cases: deliveries that a recipient does not accept. gla history shows what was confirmed."""
    with existing(settings.resolved_database_url) as engine:
        found = [case for case in cases(engine) if all_cases or case.closed is None]
    if as_json:
        click.echo(json.dumps([asdict(case) for case in found], indent=2))
        return
    table = Table("case", "delivery", "recipient", "reason", "opened", "closed", caption=None if found else "none")
    for case in found:
        table.add_row(*(Text(printable(cell)) for cell in _cells(case)))
    table_console().print(table)


@receipt.command()
@click.argument("delivery", metavar="DELIVERY")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def export(settings: Settings, delivery: str, folder: Path) -> None:
    """Write the signed receipts for DELIVERY (AGREEMENT/PERIOD/EDITION) into FOLDER, as proof for others.

    ssh-keygen -Y verify -n gla-receipt checks them, with the public key that signed the agreement.
    """
    agreement, period, edition = delivery_parts(delivery)
    with existing(settings.resolved_database_url) as engine:
        ledger = Ledger(engine, utc_now, origin=socket.gethostname())
        found = ledger.get(agreement, Period.parse(period), edition)
        receipts = [] if found is None else signed_receipts(ledger, found.id)
    if not receipts:
        raise UnusableInput(f"there is no signed receipt for {delivery}: gla history shows what there is")
    folder.mkdir(parents=True, exist_ok=True)
    for number, (reason, proof) in enumerate(receipts, 1):
        path = folder / f"{number}-{receipt_name(agreement, period, edition, NEGATIVE if reason else POSITIVE)}"
        path.write_bytes(proof.text.encode())
        path.with_name(path.name + SIGNATURE).write_text(proof.signature, encoding="ascii")
        click.echo(f"{path}: {reason or 'accepted'}, signed with {proof.signer}")


@receipt.command()
@click.argument("case", type=click.IntRange(1))
@click.option("--reason", required=True, help="What was done about it; kept in the ledger.")
@click.pass_obj
def close(settings: Settings, case: int, reason: str) -> None:
    """Close CASE, by its number in gla receipt list."""
    from flows.wiring import open_services  # noqa: PLC0415

    closed = close_case(open_services(settings).ledger, case, reason, getpass.getuser())
    click.echo(f"case {closed.number} on {closed.delivery} is closed")


def _cells(case: Case) -> tuple[str, ...]:
    signed = "" if case.signer is None else " (signed)"
    closed = "" if case.closed is None else f"{case.closed[:16]} by {case.closed_by}: {case.outcome}"
    return (str(case.number), case.delivery, case.recipient, case.reason + signed, case.opened[:16], closed)


def _start(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)
