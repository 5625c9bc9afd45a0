"""`gla keys` for our own keys: make, replace, publish, list."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict

import click

from core.settings import Settings
from flows.steps import own_keys
from flows.wiring import open_services
from keys.roles import Role

_role = click.Choice([role.value for role in Role])


@click.command()
@click.argument("role", type=_role)
@click.pass_obj
def create(settings: Settings, role: str) -> None:
    """Make our own key of ROLE where the settings say (GLA_KEYS__ROLE): in a file, or inside a token.

    Keys in files are made by themselves when they are needed; one in a token is made by this. It replaces nothing.
    """
    key = open_services(settings).custody.create(Role(role))
    click.echo(f"{role} {key.fingerprint}")
    click.echo(key.line)


@click.command("rotate-own")
@click.argument("role", type=_role)
@click.option("--to", metavar="URI", help="Where the new key is: file:PATH, env:NAME or pkcs11:...; made if absent.")
@click.pass_obj
def rotate_own(settings: Settings, role: str, to: str | None) -> None:
    """Replace our own key of ROLE. The old key signs the new one in, so that old signatures stay checkable.

    A key in a file is replaced in its place; interrupted, the same command finishes it. Of a key that was stolen the
    signature is worth nothing: then recipients need a new agreement too (docs/operations.md).
    """
    old, new = own_keys.rotate_own(open_services(settings), Role(role), to, getpass.getuser())
    click.echo(f"{role} {new.fingerprint} takes the place of {old.fingerprint}")
    if to is not None:
        click.echo(f"Now set {Role(role).setting} to the new place: until then nothing is signed.", err=True)
    if role == Role.DROPZONE_HOST:
        verb = "Send SIGHUP to" if to is None else "Restart"
        click.echo(f"{verb} the drop zone, and give recipients the new line of gla dropzone known-hosts.", err=True)


@click.command()
@click.pass_obj
def history(settings: Settings) -> None:
    """Print the published history of our public keys, verified: give it to recipients and auditors."""
    known = open_services(settings).custody.history()
    for role in Role:
        known.of(role)
    click.echo(known.lines(tuple(Role)), nl=False)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs, with the public keys.")
@click.option("--markdown", is_flag=True, help="As a table for a document.")
@click.pass_obj
def inventory(settings: Settings, *, as_json: bool, markdown: bool) -> None:
    """List every key, ours and the recipients': algorithm, purpose, owner, since, until, fingerprint (BIO2 8.24.02)."""
    rows = own_keys.inventory(open_services(settings))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    elif markdown:
        click.echo(_table(rows))
    else:
        for row in rows:  # no table: a fingerprint is to be copied, so it is never wrapped
            click.echo(", ".join(filter(None, [f"{row.owner}: {row.purpose}", row.algorithm, row.fingerprint])))
            dates = " ".join(filter(None, [row.since and f"since {row.since}", row.until and f"until {row.until}"]))
            click.echo("  " + ", ".join(filter(None, [row.state, dates, row.place])))


def _table(rows: list[own_keys.InventoryKey]) -> str:
    names = ("owner", "purpose", "algorithm", "fingerprint", "since", "until", "state", "place")
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(getattr(row, name)).replace('|', ' ') for name in names)} |" for row in rows]
    return "\n".join(lines)


COMMANDS = (create, rotate_own, history, inventory)
