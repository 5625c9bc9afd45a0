"""`gla evidence`: prove a delivery to others, and check such a proof without trusting us."""

from __future__ import annotations

from pathlib import Path

import click

from apps.cli.delivery_names import delivery_parts
from core.errors import UnusableInput
from core.files import write_file
from core.period import Period
from core.settings import Settings
from keys.private.custody import Role, open_custody
from keys.sshsig import parse_public_key

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def evidence() -> None:
    """Prove a delivery to somebody who trusts only public keys; docs/evidence.md describes the file."""


@evidence.command()
@click.argument("delivery", metavar="AGREEMENT/PERIOD/EDITION")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; default here, named after it.")
@click.pass_obj
def export(settings: Settings, delivery: str, out: Path | None) -> None:
    """Write one file: signed agreement, verdict, manifest, publication and receipts of a delivery.

    With the proof that they stand in the ledger. It holds no data, and nothing of other deliveries.
    """
    from flows.steps.evidence import export as exported  # noqa: PLC0415 - to verify takes none of it
    from flows.wiring import open_services  # noqa: PLC0415

    agreement, period, edition = delivery_parts(delivery)
    content = exported(open_services(settings), agreement, Period.parse(period), edition)
    path = out or Path(f"evidence-{agreement}_{period}_edition-{edition}.json")
    write_file(path, content, mode=0o600)
    click.echo(f"{path}: {len(content):,} bytes")


@evidence.command()
@click.argument("file", type=_FILE)
@click.option("--seal-key", type=_FILE, help="The sender's public key that seals agreements, of any time.")
@click.option("--ledger-key", type=_FILE, help="The sender's public key that signs checkpoints, of any time.")
@click.pass_context
def verify(context: click.Context, file: Path, seal_key: Path | None, ledger_key: Path | None) -> None:
    """Check FILE offline, and say what holds and what not. Exit 0: all holds; 1: something does not.

    The two public keys are those that you got from the sender when you began to trust it; without them, our own here.
    """
    from flows.steps.evidence_check import LARGEST, Trusted, check  # noqa: PLC0415 - start-up

    trusted = Trusted(_line(context.obj, seal_key, Role.AGREEMENT_SEAL), _line(context.obj, ledger_key, Role.LEDGER))
    with file.open("rb") as stream:
        findings = check(stream.read(LARGEST + 1), trusted)
    for finding in findings:
        click.echo(f"{'holds:   ' if finding.holds else 'NOT SO:  '}{finding.what}")
    if not all(finding.holds for finding in findings):
        context.exit(1)


def _line(settings: Settings, path: Path | None, role: Role) -> str:
    if path is None:
        return open_custody(settings).public_key(role).line
    try:
        return parse_public_key(path.read_text(encoding="ascii").strip()).line
    except (OSError, ValueError):
        pass
    raise UnusableInput("the public key cannot be read: name a file with one line, 'ssh-ed25519 AAAA...'")
