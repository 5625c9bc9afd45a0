"""`gla ledger`: is the record of deliveries what it was?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from core.database import opened
from core.errors import UnusableInput
from core.settings import Settings
from keys.private.custody import Custody, Role
from keys.sshsig import SshPublicKey, parse_public_key, verify_by
from ledger import verify as ledger_verify
from ledger.checkpoints import read_checkpoints

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def ledger() -> None:
    """Verify the ledger."""


@ledger.command()
@click.option("--checkpoints", type=_FILE, help="The signed checkpoints, where they are not below GLA_HOME.")
@click.option("--public-key", type=_FILE, help="Our public ledger key, where its private half is not here.")
@click.pass_obj
def verify(settings: Settings, checkpoints: Path | None, public_key: Path | None) -> None:
    """Check every event, the signed checkpoints and the work list. Exit 0: intact; 1: tampered, and where.

    Finds a cut-off end and a recomputed chain only as far as the newest checkpoint that it is shown.
    """
    path = checkpoints or settings.checkpoints_path
    witnesses = read_checkpoints(path, _verifier(settings, public_key)) if path.exists() else []
    with opened(settings.resolved_database_url) as engine:
        verified = ledger_verify.verify(engine, witnesses)
    click.echo(f"intact: {verified.events:,} events, {verified.deliveries:,} deliveries")
    if verified.checkpoints:
        click.echo(f"{verified.checkpoints:,} signed checkpoints witness the events up to {verified.witnessed:,}")
    elif verified.events:
        click.echo("no checkpoints: a cut-off end or a recomputed chain would not be seen", err=True)


def _verifier(settings: Settings, public_key: Path | None) -> Callable[[str, bytes, str], SshPublicKey]:
    if public_key is None:
        key = Custody(settings.keys_dir).public_key(Role.LEDGER)
    else:
        key = parse_public_key(_line(public_key))

    def check(signature: str, message: bytes, namespace: str) -> SshPublicKey:
        return verify_by(signature, message, namespace, key.fingerprint)

    return check


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        pass
    raise UnusableInput("the public key cannot be read: name a file with one line, 'ssh-ed25519 AAAA...'")
