"""What both servers of the drop zone are started with: where they listen, and the zone's host key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from core.settings import DropzoneSettings, Settings
from keys.private.custody import Role, open_custody


def zone_host(settings: Settings, port: int | None) -> tuple[DropzoneSettings, Path, Callable[[int], None]]:
    """The settings, the file of the host key, made if it is not there, and what tells people once it listens."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)  # also where this is the first command
    custody = open_custody(settings)
    if not custody.exists(Role.DROPZONE_HOST):
        custody.create(Role.DROPZONE_HOST)
    key = custody.public_key(Role.DROPZONE_HOST)
    chosen = settings.dropzone if port is None else settings.dropzone.model_copy(update={"port": port})

    def ready(actual: int) -> None:
        click.echo(f"drop zone on {chosen.host} port {actual}, host key {key.line} ({key.fingerprint})")

    return chosen, custody.path(Role.DROPZONE_HOST), ready
