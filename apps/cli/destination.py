"""`gla destination`: register where deliveries can go besides our own drop zone."""

from __future__ import annotations

from pathlib import Path

import click

from core.settings import Settings
from transports.registry import Destinations


@click.group()
def destination() -> None:
    """Register where deliveries can go."""


@destination.command()
@click.argument("destination_id", metavar="ID")
@click.argument("uri", metavar="sftp://USER@HOST[:PORT]/ROOT")
@click.option("--host-key", required=True, help="The server's public host key, as agreed with its owner.")
@click.option("--identity", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Our SSH private key.")
@click.pass_obj
def add(settings: Settings, destination_id: str, uri: str, host_key: str, identity: Path) -> None:
    """Register an SFTP server under ID. Its host key is pinned: another key stops a delivery."""
    Destinations(settings.config_dir).add_sftp(destination_id, uri, host_key, identity)
    click.echo(f"destination {destination_id}: registered with a pinned host key")


@destination.command("list")
@click.pass_obj
def list_destinations(settings: Settings) -> None:
    """List the registered destinations."""
    for destination_id, uri in Destinations(settings.config_dir).list():
        click.echo(f"{destination_id}\t{uri}")
