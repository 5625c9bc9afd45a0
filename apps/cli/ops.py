"""`gla ops`: put the flows into Prefect, and keep everything running on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import click

from apps.cli.local_stack import POOL, LocalStack
from core.errors import DestinationUnreachable, UnusableInput
from core.settings import Settings

PREFECT_FILE = Path(__file__).resolve().parents[2] / "infra" / "prefect.yaml"
_DEFAULT_UI_PORT = 4200


@click.group()
def ops() -> None:
    """Prefect: deploy, and keep everything running."""


@ops.command()
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False, exists=True), default=PREFECT_FILE)
@click.pass_obj
def deploy(settings: Settings, file: Path) -> None:
    """Apply infra/prefect.yaml to the server of PREFECT_API_URL. Doing it again changes nothing."""
    if not settings.prefect_api_url:  # Prefect would start a server of its own, in the user's home, and end it again
        raise UnusableInput("set PREFECT_API_URL to the API of a Prefect server, or run gla ops up, which starts one")
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    _ensure_pool()
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - our own interpreter
        raise DestinationUnreachable("the deployments were not applied: check PREFECT_API_URL and the output above")


@ops.command()
@click.pass_obj
def up(settings: Settings) -> None:
    """Keep a Prefect server, a worker and the drop zone running until Ctrl-C, and say where they are."""
    with LocalStack(settings, PREFECT_FILE, _DEFAULT_UI_PORT) as stack:
        click.echo("starting the Prefect server, half a minute the first time ...")
        stack.begin_server()
        stack.wait_for_server()
        stack.deploy()
        stack.start_worker()
        stack.start_dropzone()
        if not settings.prefect_api_url and not stack.ui_url.endswith(f":{_DEFAULT_UI_PORT}"):
            click.echo(f"Note: port {_DEFAULT_UI_PORT} is in use, so the UI has another one.", err=True)
        if stack.dropzone_port != settings.dropzone.port != 0:
            click.echo(f"Note: port {settings.dropzone.port} is in use, so the drop zone has another one.", err=True)
        click.echo(f"Prefect UI   {stack.ui_url}   (deployment 'deliver' has the form for reruns)")
        click.echo(f"drop zone    sftp -P {stack.dropzone_port} RECIPIENT@{settings.dropzone.host}")
        click.echo(f"everything   {settings.home.resolve()}   (logs in logs/)")
        click.echo("Ctrl-C stops all of it.")
        threading.Event().wait()


def _ensure_pool() -> None:
    import httpx  # noqa: PLC0415
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - Prefect costs seconds; only deploy needs it
    from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
            return
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
            return
        except httpx.TransportError as error:
            reason = type(error).__name__
    raise DestinationUnreachable(f"the Prefect server does not answer ({reason}): check PREFECT_API_URL, is it up?")
