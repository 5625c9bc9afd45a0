"""`gla data`: the catalogue of data products, and made-up data for each."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from flows.sources.synthetic import RECIPES
from flows.sources.synthetic import generate as make_up
from schemas.products import product_contract, product_document, product_names


@click.group()
def data() -> None:
    """Show the data products that there are, and make up data for them."""


@data.command()
@click.argument("product", required=False)
def products(product: str | None) -> None:
    """List the catalogue, or print the contract of PRODUCT as YAML."""
    if product is not None:
        click.echo(product_contract(product).decode("utf-8"), nl=False)
        return
    table = Table(
        Column("product", no_wrap=True),
        Column("name", overflow="fold"),
        Column("columns", justify="right"),
        Column("purpose", overflow="fold"),
    )
    for name in product_names():
        document = product_document(name)
        columns = len(document["schema"][0]["properties"])
        table.add_row(name, document["name"], str(columns), document["description"]["purpose"])
    Console(highlight=False).print(table)


@data.command()
@click.argument("product", type=click.Choice(sorted(RECIPES)))
@click.option("--rows", type=click.IntRange(min=1), required=True, help="How many rows.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The Parquet file to write."
)
def generate(product: str, rows: int, seed: int, out: Path) -> None:
    """Write made-up rows of PRODUCT over the year 2026 that obey its contract; nobody real can be meant."""
    started = time.monotonic()
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(product, total=rows)

        def show(done: int) -> None:
            bar.update(task, completed=done, description=f"{product}: {done:,} rows")

        make_up(product, out, rows, seed, show)
    click.echo(f"{out}: {rows:,} rows, {out.stat().st_size:,} bytes in {time.monotonic() - started:.1f} s")
