"""`gla dropzone openssh`, `authorized-keys` and `sshd-config`: the zone on OpenSSH's server.

sshd starts `authorized-keys` twice for each login, so nothing that takes time is imported before it is needed.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.settings import Settings

logger = logging.getLogger(__name__)


@click.command("authorized-keys")
@click.option("--accounts", type=click.Path(path_type=Path), help="The accounts file, by default the one of GLA_HOME.")
@click.argument("name")
def authorized_keys(accounts: Path | None, name: str) -> None:
    """Print the keys that may log in under NAME: sshd's AuthorizedKeysCommand. Whatever goes wrong, nobody may."""
    from apps.openssh.authorized_keys import authorized_keys as keys_of  # noqa: PLC0415

    try:
        lines = keys_of(accounts or _accounts(), name)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a refusal
        logger.error("nobody can log in: %s", type(error).__name__)  # noqa: TRY400
        sys.exit(1)
    for line in lines:
        click.echo(line)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Listen here instead of where the settings say.")
@click.pass_obj
def openssh(settings: Settings, port: int | None) -> None:
    """Serve the zone with OpenSSH until SIGTERM or Ctrl-C. Needs root; docs/openssh.md says what it makes."""
    from apps.cli.zone_host import zone_host  # noqa: PLC0415
    from apps.openssh.zone import serve  # noqa: PLC0415

    chosen, host_key, ready = zone_host(settings, port)
    serve(settings.dropzone_dir, host_key, chosen, settings.openssh.chroots, ready)


@click.command("sshd-config")
@click.pass_obj
def show_config(settings: Settings) -> None:
    """Print the sshd_config that `gla dropzone openssh` uses on this machine."""
    from apps.openssh.zone import config_text  # noqa: PLC0415
    from keys.private.custody import Role, open_custody  # noqa: PLC0415

    host_key = open_custody(settings).path(Role.DROPZONE_HOST)
    click.echo(config_text(settings.dropzone_dir, host_key, settings.dropzone, settings.openssh.chroots), nl=False)


def _accounts() -> Path:
    from apps.cli.main import read_settings  # noqa: PLC0415
    from schemas.accounts import ACCOUNTS_NAME  # noqa: PLC0415

    return read_settings().dropzone_dir.resolve() / ACCOUNTS_NAME
