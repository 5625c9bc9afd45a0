"""`gla open`: the recipient verifies and decrypts a delivery that it fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from apps.cli import receiving
from apps.cli.key_files import read_key_file
from core.settings import Settings
from schemas.manifest import Manifest, Pakbon


@click.command("open")
@click.argument("delivery", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-i", "--identity", "identities", multiple=True, required=True, help="Your key file; may be repeated.",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
)  # fmt: skip
@click.option(
    "--agreement", help="Your signed copy of the agreement (FILE, with FILE.sig beside it). Needed the first time.",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="New folder for the opened files; default DIR-opened."
)
@click.pass_obj
def open_delivery(
    settings: Settings, delivery: Path, identities: Sequence[Path], agreement: Path | None, out: Path | None
) -> None:
    """Verify the delivery in DIR against your own agreement, decrypt it, and check digests and counts.

    The sender's key comes from the agreement that you signed, or is remembered from the first time; never from DIR.
    """
    pins = settings.home / "pins"
    keys = [key for path in identities for key in read_key_file(path)]
    trust = receiving.trust_from_agreement(agreement, delivery) if agreement else receiving.pinned(pins, delivery)
    console = Console(stderr=True)
    manifest = receiving.verified_manifest(delivery, trust)
    named = delivery if delivery.name not in ("", "..") else delivery.resolve()  # `gla open .`
    target = out or named.with_name(f"{named.name}-opened")
    total = 2 * sum(file.size for file in manifest.files)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("checking", total=total)

        def show(name: str, done: int) -> None:
            bar.update(task, advance=done, description=name)

        receiving.check_files(delivery, manifest, show)
        pakbon = receiving.open_files(delivery, manifest, keys, target, show)
    if receiving.pin(pins, trust):
        click.echo(
            f"Note: what was remembered of agreement {trust.agreement} is replaced by your copy of it.", err=True
        )
    _print(manifest, pakbon, target)


def _print(manifest: Manifest, pakbon: Pakbon, target: Path) -> None:
    name = f"{manifest.agreement}, {manifest.period}, edition {manifest.edition}"
    click.echo(f"{name}: whole and authentic")
    for file in pakbon.files:  # no table: a path is to be copied, so it is never wrapped
        click.echo(f"  {target / file.filename}  {file.rows:,} rows, {file.size:,} bytes")
    for column, value in pakbon.sums.items():
        click.echo(f"sum of {column}: {value}")
    if manifest.supersedes:
        click.echo(f"This edition replaces edition {manifest.supersedes}.")
