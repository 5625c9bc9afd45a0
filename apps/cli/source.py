"""`gla source`: register sources of data. An agreement names a source by its id, never a path."""

from __future__ import annotations

import getpass
from typing import get_args

import click
from rich.console import Console
from rich.table import Column, Table

from core.errors import SourceUnavailable
from core.settings import Settings
from flows.sources.registration import Form
from flows.sources.registry import Sources
from flows.wiring import open_sources


@click.group()
def source() -> None:
    """Register sources of data."""


@source.command()
@click.argument("source_id", metavar="ID")
@click.argument("uri")
@click.option("--kind", "form", type=click.Choice(get_args(Form)), help="What URI is; by its ending if not given.")
@click.option("--owner", default="", help="Who answers for the data; the name of the system's user by default.")
@click.option("--table", "tables", multiple=True, help="A table or view that a database offers; repeat it for more.")
@click.option("--endpoint", default="", help="Of s3://BUCKET/PREFIX: https://HOST[:PORT] of its server.")
@click.option("--region", default="", help="Of s3://BUCKET/PREFIX: us-east-1 by default.")
@click.option("--secret", default="", help="Where ACCESS_KEY_ID:SECRET_ACCESS_KEY is: env:NAME or file:PATH.")
@click.pass_obj
def add(
    settings: Settings,
    source_id: str,
    uri: str,
    form: Form | None,
    owner: str,
    tables: tuple[str, ...],
    endpoint: str,
    region: str,
    secret: str,
) -> None:
    """Register URI under ID: a Parquet or CSV file, or a folder of Parquet files.

    Also s3://BUCKET/PREFIX, a DuckDB or SQLite file, and with --kind postgresql env:NAME or file:PATH, which says where
    the connection string of a PostgreSQL database is.
    """
    sources = open_sources(settings)
    owner = owner or getpass.getuser()
    told = sources.add(source_id, uri, form, owner, tables, endpoint=endpoint, region=region, secret=secret)
    for table in told.tables or (None,):
        columns = sources.get(source_id, table).schema()
        name = f"source {source_id}{f', table {table}' if table else ''}"
        click.echo(f"{name}: {len(columns)} column{'' if len(columns) == 1 else 's'}")


@source.command("list")
@click.pass_obj
def list_sources(settings: Settings) -> None:
    """List the registered sources and their columns."""
    table = Table("id", "kind", "owner", Column("columns", overflow="fold"))
    sources = open_sources(settings)
    for source_id in sources.list():
        told = sources.registration(source_id)
        for name in told.tables or (None,):
            shown = f"{source_id} ({name})" if name else source_id
            table.add_row(shown, told.form, told.owner, _columns(sources, source_id, name))
    Console().print(table)


def _columns(sources: Sources, source_id: str, table: str | None) -> str:
    """The names; of a source that is not there what is wrong, so that the others are listed all the same."""
    try:
        return ", ".join(sources.get(source_id, table).schema())
    except SourceUnavailable as error:
        return f"{error.code}: {error}"
