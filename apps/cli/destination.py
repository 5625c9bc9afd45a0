"""`gla destination`: where deliveries can go besides our own drop zone, and whether they would arrive there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from core.errors import UnusableInput
from core.period import Period
from core.settings import Settings
from flows.steps.links import LONGEST_HOURS, links
from flows.wiring import open_destinations, open_services
from transports.registration import LARGEST_LOCK_DAYS, S3Registration

_SFTP = ("host_key", "identity", "agent", "bastion", "bastion_host_key")
_S3 = ("endpoint", "region", "secret", "encryption", "lock_days", "lock_mode")


@click.group()
def destination() -> None:
    """Register where deliveries can go."""


@destination.command()
@click.argument("destination_id", metavar="ID")
@click.argument("uri", metavar="URI")
@click.option("--host-key", help="SFTP: the server's public host key, as agreed with its owner.")
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False),
    help="SFTP: our SSH private key; with --agent the public half of it.",
)
@click.option("--agent", type=click.Path(path_type=Path), help="SFTP: the socket of an agent that holds our key.")
@click.option("--bastion", metavar="ssh://USER@HOST[:PORT]", help="SFTP: the host to go through, with the same key.")
@click.option("--bastion-host-key", help="SFTP: its public host key, as agreed with its owner.")
@click.option("--endpoint", help="S3: https://HOST[:PORT] of its server.")
@click.option("--region", help="S3: us-east-1 by default.")
@click.option("--secret", help="S3: where ACCESS_KEY_ID:SECRET_ACCESS_KEY is: env:NAME or file:PATH.")
@click.option("--encryption", metavar="AES256|aws:kms[:KEY]", help="S3: how the server encrypts what it stores.")
@click.option(
    "--lock-days",
    type=click.IntRange(1, LARGEST_LOCK_DAYS),
    help="S3: nobody changes or removes a delivery for so long.",
)
@click.option("--lock-mode", type=click.Choice(["GOVERNANCE", "COMPLIANCE"]), help="S3: whether anybody can lift that.")
@click.option("--megabits", type=click.FloatRange(0, min_open=True), help="A second, at most, while we send.")
@click.option("--moved", is_flag=True, help="ID is at another URI or endpoint now, with all that was delivered there.")
@click.pass_obj
def add(
    settings: Settings, /, destination_id: str, uri: str, megabits: float | None, *, moved: bool, **given: Any
) -> None:
    """Register URI under ID: sftp://USER@HOST[:PORT]/ROOT or s3://BUCKET/PREFIX.

    Of SFTP the host key is pinned: another key stops a delivery. Of S3 the key is read when it is needed. An ID that is
    registered gets the new options; it stays in its place, where earlier deliveries are, unless it --moved. `gla
    destination check ID` says whether it can be used.
    """
    told = {name: value for name, value in given.items() if value is not None} | {"megabits": megabits}
    destinations = open_destinations(settings)
    if uri.startswith("s3://"):
        _only(told, _S3, needed=("endpoint", "secret"), what="s3://")
        destinations.add(destination_id, S3Registration(uri=uri, **told), moved=moved)
        click.echo(f"destination {destination_id}: registered; next: gla destination check {destination_id}")
        return
    _only(told, _SFTP, needed=("host_key", "identity"), what="sftp://")
    destinations.add_sftp(destination_id, uri, identity_file=told.pop("identity"), moved=moved, **told)
    click.echo(f"destination {destination_id}: registered with a pinned host key")


@destination.command("list")
@click.pass_obj
def list_destinations(settings: Settings) -> None:
    """List the registered destinations."""
    for destination_id, uri in open_destinations(settings).list():
        click.echo(f"{destination_id}\t{uri}")


@destination.command()
@click.argument("destination_id", metavar="ID")
@click.option("--set-lifecycle", is_flag=True, help="S3: let the server remove transfers that were never ended.")
@click.pass_obj
def check(settings: Settings, destination_id: str, *, set_lifecycle: bool) -> None:
    """Send a small file to a destination out of sight, read it back and remove it; then say what to look after."""
    from transports.trying import LEFTOVER_DAYS, checked  # noqa: PLC0415 - botocore costs a third of a second

    with open_destinations(settings).open(destination_id, settings.delivery.connect_seconds) as transport:
        advice = checked(transport, set_lifecycle=set_lifecycle)
    click.echo(f"destination {destination_id}: a file was written, read back and removed")
    if set_lifecycle:
        click.echo(f"transfers that are not ended within {LEFTOVER_DAYS} days are removed by the server")
    for each in advice:
        click.echo(f"Note: {each}", err=True)


@destination.command("links")
@click.argument("agreement")
@click.argument("period")
@click.option("--edition", type=click.IntRange(1), help="The newest that was published by default.")
@click.option(
    "--hours", type=click.IntRange(1, LONGEST_HOURS), default=24, show_default=True, help="They work so long."
)
@click.pass_obj
def show_links(settings: Settings, agreement: str, period: str, edition: int | None, hours: int) -> None:
    """Print a link for each file of a delivery in a bucket: whoever has it can fetch that file, and do nothing else."""
    for name, url in links(open_services(settings), agreement, Period.parse(period), edition, hours):
        click.echo(f"{name}\t{url}")


def _only(told: dict[str, Any], known: tuple[str, ...], needed: tuple[str, ...], what: str) -> None:
    """`UnusableInput` names what does not belong to this kind of destination, or what is missing."""
    missing = [name for name in needed if name not in told]
    others = [name for name in told if name not in (*known, "megabits")]
    if missing or others:
        verb, names = ("needs", missing) if missing else ("does not have", others)
        options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        raise UnusableInput(f"a destination of the form {what} {verb} {options}")
