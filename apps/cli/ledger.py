"""`gla ledger`: is the record of deliveries what it was?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from core.database import existing, reading
from core.errors import SignerUnknown, UnusableInput
from core.settings import Settings
from keys import notes
from keys.private.custody import Role, open_custody
from keys.published import KeyHistory, PublishedKey
from keys.sshsig import parse_public_key
from ledger import verify as ledger_verify
from ledger.checkpoints import Checkpoint, read_checkpoints
from ledger.tree import Tree

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def ledger() -> None:
    """Verify the ledger; docs/ledger.md describes it."""


@ledger.command()
@click.option("--checkpoints", type=_FILE, help="The signed checkpoints, where they are not below GLA_HOME.")
@click.option("--public-key", type=_FILE, help="Our public ledger key, where its private half is not here.")
@click.option("--key-history", type=_FILE, help="With --public-key: our published keys, where that one was replaced.")
@click.pass_obj
def verify(settings: Settings, checkpoints: Path | None, public_key: Path | None, key_history: Path | None) -> None:
    """Check every event, the signed checkpoints and the work list. Exit 0: intact; 1: tampered, and where.

    Finds a cut-off end and recomputed hashes only as far as the newest checkpoint that it is shown.
    """
    path = checkpoints or settings.checkpoints_path
    witnesses: Iterable[Checkpoint] = ()
    if path.exists():
        witnesses = read_checkpoints(path, notes.verifier(_ledger_keys(settings, public_key, key_history)))
    with existing(settings.resolved_database_url) as engine:
        verified = ledger_verify.verify(engine, witnesses)
    click.echo(f"intact: {verified.events:,} events, {verified.deliveries:,} deliveries")
    if verified.removed:
        click.echo(f"{verified.removed:,} of the events are without names and details, removed by rule")
    if verified.checkpoints:
        click.echo(f"{verified.checkpoints:,} signed checkpoints witness the events up to {verified.witnessed:,}")
    elif verified.events:
        click.echo("no checkpoints: a cut-off end or recomputed hashes would not be seen", err=True)


@ledger.command()
@click.pass_obj
def key(settings: Settings) -> None:
    """Print the verifier keys of the checkpoints, oldest first, as tools for signed notes take them."""
    with existing(settings.resolved_database_url) as engine, reading(engine) as connection:
        tree = Tree(connection)
        if not tree.size():
            raise UnusableInput("the ledger is empty, and has no name yet: nothing was recorded")
        origin = tree.origin()
    for own in open_custody(settings).published(Role.LEDGER):
        click.echo(notes.verifier_key(origin, parse_public_key(own.line)))


def _ledger_keys(settings: Settings, public_key: Path | None, history: Path | None) -> Sequence[PublishedKey]:
    """Our ledger keys of all times: the chain that the key of today, or the one that an auditor has, is part of."""
    if public_key is None:
        return open_custody(settings).published(Role.LEDGER)
    line = parse_public_key(_line(public_key)).line
    if history is None:
        return [PublishedKey(Role.LEDGER, line, datetime.min.replace(tzinfo=UTC), None)]
    keys = KeyHistory.parse(history.read_bytes()).of(Role.LEDGER)
    if line not in {key.line for key in keys}:
        raise SignerUnknown("the history of our keys does not hold this public key: use one that belongs to it")
    return keys


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        pass
    raise UnusableInput("the public key cannot be read: name a file with one line, 'ssh-ed25519 AAAA...'")
