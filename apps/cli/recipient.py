"""`gla recipient`: register organisations and their public keys."""

from __future__ import annotations

import getpass

import click

from agreements.store import keys_of, list_recipients
from core.database import reading
from core.settings import Settings
from flows.steps.recipients import register, revoke
from flows.wiring import open_services


@click.group()
def recipient() -> None:
    """Register organisations and their public keys."""


@recipient.command()
@click.argument("name")
@click.option("--kvk", required=True, help="Number in the trade register, 8 digits.")
@click.option(
    "--key", "seal_keys", multiple=True, required=True,
    help="age recipient (age1pq1... or age1...), or a file with an OpenPGP or X.509 certificate.",
)  # fmt: skip
@click.option("--ssh", "ssh_keys", multiple=True, required=True, help="SSH public key, or a file that holds one.")
@click.pass_obj
def add(settings: Settings, name: str, kvk: str, seal_keys: tuple[str, ...], ssh_keys: tuple[str, ...]) -> None:
    """Register NAME, or add keys to it. The --key opens deliveries; the --ssh key logs in, assents and signs."""
    added = register(open_services(settings), name, kvk, seal_keys, ssh_keys, getpass.getuser())
    click.echo(f"recipient {name}: compare these fingerprints with the recipient over another channel")
    for purpose, fingerprint in added:
        click.echo(f"  {purpose:<5} {fingerprint}")


@recipient.command("revoke-key")
@click.argument("name")
@click.argument("fingerprint")
@click.pass_obj
def revoke_key(settings: Settings, name: str, fingerprint: str) -> None:
    """Stop all use of a key of NAME, now and for good."""
    revoke(open_services(settings), name, fingerprint, getpass.getuser())
    click.echo(f"recipient {name}: {fingerprint} is revoked")


@recipient.command("list")
@click.pass_obj
def list_all(settings: Settings) -> None:
    """List organisations with their keys."""
    with reading(open_services(settings).engine) as connection:
        for name, kvk in list_recipients(connection):
            click.echo(f"{name} (KvK {kvk})")
            for key in keys_of(connection, name):  # no table: a fingerprint is to be copied, so it is never wrapped
                click.echo(f"  {key.purpose:<5} {key.fingerprint}  {'revoked' if key.revoked else 'valid'}")
