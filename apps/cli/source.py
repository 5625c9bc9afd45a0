"""`gla source`: register sources of data. An agreement names a source by its id, never a path."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Column, Table

from core.settings import Settings
from flows.sources.registry import Sources


@click.group()
def source() -> None:
    """Register sources of data."""


@source.command()
@click.argument("source_id", metavar="ID")
@click.argument("uri")
@click.pass_obj
def add(settings: Settings, source_id: str, uri: str) -> None:
    """Register URI (a Parquet or CSV file, or a folder of Parquet files) under ID."""
    sources = Sources(settings.config_dir)
    sources.add(source_id, uri)
    columns = sources.get(source_id).schema()
    click.echo(f"source {source_id}: {len(columns)} column{'' if len(columns) == 1 else 's'}")


@source.command("list")
@click.pass_obj
def list_sources(settings: Settings) -> None:
    """List the registered sources and their columns."""
    table = Table("id", Column("columns", overflow="fold"))
    sources = Sources(settings.config_dir)
    for source_id in sources.list():
        table.add_row(source_id, ", ".join(sources.get(source_id).schema()))
    Console().print(table)
