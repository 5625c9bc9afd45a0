"""`gla data`: made-up data for demonstrations and measurements."""

from __future__ import annotations

from pathlib import Path

import click

from flows.sources.synthetic import generate_inkomstenverhoudingen

_GENERATORS = {"inkomstenverhoudingen": generate_inkomstenverhoudingen}


@click.group()
def data() -> None:
    """Make up data."""


@data.command()
@click.argument("product", type=click.Choice(sorted(_GENERATORS)))
@click.option("--rows", type=click.IntRange(min=1), required=True, help="How many rows.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same rows.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The Parquet file to write.")
def generate(product: str, rows: int, seed: int, out: Path) -> None:
    """Write made-up rows of PRODUCT that obey its contract; nobody real can be meant."""
    _GENERATORS[product](out, rows, seed)
    click.echo(f"{out}: {rows} rows")
