"""`gla participants`: whom recipients named as their participants, which limits what they get."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from agreements import store
from core.clock import dutch_date
from core.database import reading
from core.errors import UnusableInput
from core.files import new_file
from core.settings import Settings
from flows.steps import participant_sets
from flows.steps.agree import unaltered
from flows.steps.incoming import take_incoming
from flows.steps.intake import Incoming, receive
from flows.steps.participant_retention import forget_past_sets
from flows.wiring import Services, open_existing, open_services
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import seal_stream
from keys.private.signing import load_signer
from schemas.participants import FileName, ParticipantSet, ParticipantsReport, signing_namespace

_file = click.Path(path_type=Path, dir_okay=False, exists=True)
_day = click.DateTime(["%Y-%m-%d"])
_kinds = click.Choice(["full", "additions", "removals"])


@click.group()
def participants() -> None:
    """Participants files (deelnemersbestanden): only these people may appear in a delivery."""


@participants.command()
@click.option("--agreement", "agreement_id", required=True, help="The agreement that it is for.")
@click.option("--kind", type=_kinds, help="Instead of what the file's name says.")
@click.option("--effective", type=_day, help="First day; instead of what the file's name says.")
@click.option("--signature", type=_file, help="The recipient's signature; without it you vouch for the file.")
@click.argument("file", type=_file)
@click.pass_obj
def add(
    settings: Settings,
    agreement_id: str,
    kind: str | None,
    effective: datetime | None,
    signature: Path | None,
    file: Path,
) -> None:
    """Take FILE, which the recipient sealed to our key (see key), as its list of participants.

    CSV or Parquet with one column of citizen numbers. The name says what it is:
    deelnemers[-LABEL][.full|.additions|.removals][.YYYY-MM-DD].csv.age or .parquet.age; without a kind it is the full
    list, without a date it takes effect at once. A file with one wrong line changes nothing.
    """
    services = open_existing(settings)
    with reading(services.engine) as connection:
        recipient = store.get(connection, agreement_id).recipient
    name = file.name if kind is None and effective is None else _name(file.name, kind, effective)
    signed = None if signature is None else signature.read_text(encoding="ascii", errors="replace")
    with file.open("rb") as opened:
        incoming = Incoming(agreement_id, recipient, name, opened, getpass.getuser(), signed, vouched=signed is None)
        report = receive(services, incoming)
    _show(report)


@participants.command()
@click.pass_obj
def collect(settings: Settings) -> None:
    """Take what recipients put into the drop zone; the intake flow does this every five minutes.

    Also forgets the people of sets that have been past for as long as a delivery is kept.
    """
    services = open_existing(settings)
    count, forgotten = take_incoming(services), forget_past_sets(services)
    click.echo(f"{count} file{'' if count == 1 else 's'} taken")
    if forgotten:
        click.echo(f"{forgotten} past set{'' if forgotten == 1 else 's'} forgotten")


@participants.command("list")
@click.argument("agreement_id", metavar="AGREEMENT", required=False)
@click.pass_obj
def list_sets(settings: Settings, agreement_id: str | None) -> None:
    """List the set in force and those to come, of AGREEMENT or of every agreement that has participants."""
    services = open_existing(settings)
    table = Table("agreement", "set", "in force from", "participants", "digest")
    for each in _agreements(services, agreement_id):
        today, sets = dutch_date(services.clock()), _sets(services, each)
        current = participant_sets.in_force(sets, today)
        for shown in [*([current] if current else []), *participant_sets.pending(sets, today)]:
            table.add_row(each, str(shown.number), shown.effective, f"{shown.people:,}", shown.digest[:16])
    Console().print(table)


@participants.command()
@click.argument("agreement_id", metavar="AGREEMENT")
@click.pass_obj
def show(settings: Settings, agreement_id: str) -> None:
    """Show every set that AGREEMENT ever had, and check that the one in force is kept as it was recorded."""
    services = open_existing(settings)
    with reading(services.engine) as connection:
        asked = unaltered(store.get(connection, agreement_id)).participants
    if asked is None:
        click.echo(f"agreement {agreement_id} has no gla.participants: its rows are not limited to a set of people")
        return
    today, sets = dutch_date(services.clock()), _sets(services, agreement_id)
    current = participant_sets.in_force(sets, today)
    to_come = {each.number for each in participant_sets.pending(sets, today)}
    for each in sets:
        state = "in force" if each == current else "to come" if each.number in to_come else "past"
        click.echo(f"set {each.number}  {state}  {_described(each)}")
    if current is None:
        click.echo("no set is in force: nothing is delivered before there is one")
        return
    kept = participant_sets.load(services, agreement_id, current).count
    click.echo(f"set {current.number} is kept as it was recorded, {kept:,} participants, digest {current.digest}")


@participants.command()
@click.pass_obj
def key(settings: Settings) -> None:
    """Print the key that recipients seal their files to; its fingerprint is compared over another channel.

    gla envelope encrypt -r KEY -o deelnemers.csv.age deelnemers.csv
    """
    recipient = open_services(settings).custody.identities()[0].recipient
    click.echo(str(recipient))
    click.echo(f"fingerprint {recipient.fingerprint}", err=True)


@participants.command()
@click.option("--agreement", "agreement_id", required=True, help="The agreement that it is for.")
@click.option("-r", "--key", "key_line", required=True, help="The sender's key for lists: age1pq1... or age1...")
@click.option("--sign", "ssh_key", type=_file, required=True, help="The SSH private key that signed the agreement.")
@click.argument("file", type=_file)
def seal(agreement_id: str, key_line: str, ssh_key: Path, file: Path) -> None:
    """For recipients: seal FILE to the sender and sign it. Writes FILE.age and FILE.age.sig, to be sent together."""
    sealed = file.with_name(f"{file.name}.age")
    FileName.parse(sealed.name)
    signer, recipient = load_signer(ssh_key), parse_recipient(key_line)
    with file.open("rb", buffering=0) as plain, new_file(sealed, mode=0o600) as target:
        seal_stream(plain, target, [recipient])
    signature = signer.sign(sealed.read_bytes(), signing_namespace(agreement_id, sealed.name))
    sealed.with_name(f"{sealed.name}.sig").write_text(signature, encoding="ascii")
    click.echo(f"{sealed} and {sealed.name}.sig: put both into incoming/{agreement_id}/")


def _name(name: str, kind: str | None, effective: datetime | None) -> str:
    """A name that says what the options say, and otherwise what the file's own says."""
    form = "parquet" if name.endswith(".parquet.age") else "csv"
    try:
        told = FileName.parse(name)
    except UnusableInput:
        told = FileName("full", None, form)  # type: ignore[arg-type]
    day = effective.date() if effective else told.effective
    return ".".join(["deelnemers", kind or told.kind, *([day.isoformat()] if day else []), form, "age"])


def _agreements(services: Services, agreement_id: str | None) -> list[str]:
    with reading(services.engine) as connection:
        if agreement_id is not None:
            return [store.get(connection, agreement_id).id]
        return [each.id for each in store.list_agreements(connection)]


def _sets(services: Services, agreement_id: str) -> list[ParticipantSet]:
    with reading(services.engine) as connection:
        return participant_sets.history(connection, agreement_id)


def _show(report: ParticipantsReport) -> None:
    made = report.participants
    if report.outcome == "accepted" and made is not None:
        click.echo(f"agreement {report.agreement}: set {made.number} is taken: {_described(made)}")
        if made.withdrawn:
            click.echo(f"It takes the place of set {', '.join(map(str, made.withdrawn))}, which was to come.")
    elif report.outcome == "repeated":
        click.echo(f"agreement {report.agreement}: {report.reason}")
    else:
        raise UnusableInput(f"agreement {report.agreement}: {report.reason}")


def _described(it: ParticipantSet) -> str:
    return (
        f"{it.kind} from {it.effective}, {it.people:,} participants "
        f"({it.added:,} added, {it.removed:,} removed, {it.unchanged:,} changed nothing)"
    )
