"""`gla recipient`: register organisations and their public keys."""

from __future__ import annotations

import getpass

import click

from agreements.registry import keys_of, list_recipients
from apps.cli.key_lines import tell_of_key, tell_of_registered
from core.database import reading
from core.settings import Settings
from flows.steps.recipients import register
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
    """Register NAME, or add keys to it. The --key opens deliveries; the --ssh key logs in, assents and signs.

    Nothing is sealed to a key before the recipient has proven that it holds it: it opens the file that this writes
    and returns the text in it, for `gla keys prove`. `gla keys add` registers keys with first and last days.
    """
    services = open_services(settings)
    tell_of_registered(services, name, register(services, name, kvk, seal_keys, ssh_keys, getpass.getuser()))


@recipient.command("list")
@click.pass_obj
def list_all(settings: Settings) -> None:
    """List organisations with their keys."""
    services = open_services(settings)
    with reading(services.engine) as connection:
        for name, kvk in list_recipients(connection):
            click.echo(f"{name} (KvK {kvk})")
            for key in keys_of(connection, name):
                tell_of_key(key, services.clock())
