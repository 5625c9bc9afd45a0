"""`gla contract`: does a file obey a contract? For anyone with a contract and a file; needs no installation of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import polars as pl

from core.errors import DataError, UnusableInput
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from schemas.compiler import CompiledTable, compile_table
from schemas.contract import load_contract
from schemas.validation import Validator
from schemas.verdict import Verdict


@click.group()
def contract() -> None:
    """Work with data contracts (ODCS)."""


@contract.command()
@click.argument("contract_file", metavar="CONTRACT", type=click.Path(path_type=Path))
@click.argument("data_file", metavar="DATA", type=click.Path(path_type=Path))
@click.option("--table", help="The table that DATA holds, if the contract describes more than one.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def check(contract_file: Path, data_file: Path, table: str | None, as_json: bool) -> None:
    """Check DATA (.parquet, a folder of them, or .csv) against CONTRACT. Exit 0 valid, 1 invalid, 2 unusable input.

    Columns are looked up by their name in the contract, or else by their physicalName. The verdict holds counts only.
    """
    compiled = compile_table(load_contract(_read(contract_file), table).table)
    verdict = _verdict(compiled, FileSource("DATA", data_file))
    if as_json:
        click.echo(json.dumps(verdict.as_json()))
    else:
        _print(verdict)
    sys.exit(0 if verdict.valid else 1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        pass
    raise UnusableInput("the contract file cannot be read")


def _verdict(compiled: CompiledTable, source: FileSource) -> Verdict:
    try:
        return _judge(compiled, source)
    except DataError as error:
        sentence = str(error)
    raise UnusableInput(sentence)


def _judge(compiled: CompiledTable, source: FileSource) -> Verdict:
    """Judge the columns first, on no rows, so that a missing or extra one counts even in an empty file."""
    validator = Validator(compiled)
    stored = source.schema()
    planned = [column for column in planned_columns(compiled, delivered=set(stored)) if column.source_name in stored]
    types = {each.source_name: each.dtype for each in planned} if source.kind == "csv" else {}
    names = {each.source_name: each.name for each in planned}
    shape = {names.get(name, name): types.get(name, dtype) for name, dtype in stored.items()}
    validator.check(pl.DataFrame(schema=shape))
    for frame in source.batches(ExtractionPlan(tuple(planned)), validator.unreadable):
        validator.check(frame)
    return validator.finish()


def _print(verdict: Verdict) -> None:
    click.echo(f"{'valid' if verdict.valid else 'INVALID'}: {verdict.rows} rows")
    for kind, failures in (("failure", verdict.failures), ("warning", verdict.warnings)):
        for each in failures:
            click.echo(f"  {kind}: column {each.column}, rule {each.rule}, {each.count}x")
