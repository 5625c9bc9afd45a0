"""`gla dropzone`: the SFTP server where recipients fetch their deliveries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from apps.cli import dropzone_openssh
from core.logging import configure_logging

if TYPE_CHECKING:
    from core.settings import Settings


@click.group()
@click.pass_context
def dropzone(context: click.Context) -> None:
    """The SFTP server where recipients fetch their deliveries."""
    from apps.cli.main import load_settings  # noqa: PLC0415 - which imports this module

    if context.invoked_subcommand == dropzone_openssh.authorized_keys.name:
        configure_logging("WARNING")  # without settings it starts in a tenth of a second
    elif context.invoked_subcommand != serve.name:  # which reads them from a file too
        load_settings(context)


dropzone.add_command(dropzone_openssh.authorized_keys)
dropzone.add_command(dropzone_openssh.openssh)
dropzone.add_command(dropzone_openssh.show_config)


@dropzone.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Listen here instead of where the settings say; 0: any.")
@click.option(
    "--settings",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings, NAME=VALUE a line, that go before the environment; SIGHUP reads them again.",
)
def serve(port: int | None, file: Path | None) -> None:
    """Serve until SIGTERM or Ctrl-C. Prints where it listens and its host key, for the recipients' known_hosts."""
    from apps.cli.main import read_settings  # noqa: PLC0415 - which imports this module
    from apps.cli.zone_host import zone_host  # noqa: PLC0415
    from apps.dropzone.server import serve as serve_dropzone  # noqa: PLC0415

    settings = read_settings(file)
    configure_logging(settings.log_level)
    chosen, host_key, ready = zone_host(settings, port)
    serve_dropzone(settings.dropzone_dir, host_key, chosen, ready, lambda: read_settings(file).dropzone)


@dropzone.command("known-hosts")
@click.option("--port", type=click.IntRange(1, 65535), help="The port, where it is not the one in the settings.")
@click.pass_obj
def known_hosts(settings: Settings, port: int | None) -> None:
    """Print the line for a recipient's known_hosts, so that it accepts no other server as this zone."""
    from keys.private.custody import Role, open_custody  # noqa: PLC0415

    key = open_custody(settings).public_key(Role.DROPZONE_HOST)
    click.echo(f"[{settings.dropzone.host}]:{port or settings.dropzone.port} {key.line}")


@dropzone.command()
@click.pass_obj
def collect(settings: Settings) -> None:
    """Record in the ledger what recipients fetched, and their receipts; the collect flow does so every five minutes.

    A receipt without a signature is taken a minute after it came: its signature may be on the way.
    """
    from flows.steps.pickups import record_pickups  # noqa: PLC0415 - the server itself must not load the ledger
    from flows.steps.receipts import take_receipts  # noqa: PLC0415
    from flows.wiring import open_services  # noqa: PLC0415

    services = open_services(settings)
    readings, receipts = record_pickups(services), take_receipts(services)
    click.echo(f"{readings} readings recorded, {receipts} receipts taken")
