"""`gla contract`: does a file obey a contract? For anyone with a contract and a file; needs no installation of ours."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import polars as pl

from apps.cli.contract_documents import COMMANDS
from apps.cli.contract_file import read_contract_file
from apps.cli.failing_values import MOST, Found, failing_values
from apps.cli.report_file import checked_form, write_report
from apps.cli.watching import watched
from core.canonical import digest
from core.clock import to_rfc3339, utc_now
from core.errors import DataError, UnusableInput
from core.period import Period
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import PlannedColumn, planned_columns
from keys.scratch import SealedScratch
from schemas.agreement import summed_columns
from schemas.compiler import compile_table
from schemas.contract import Contract, load_contract
from schemas.report import Report, Subject
from schemas.validation import Validator
from schemas.verdict import Verdict

T = TypeVar("T")


@click.group()
def contract() -> None:
    """Work with data contracts (ODCS)."""


for command in COMMANDS:
    contract.add_command(command)


@contract.command()
@click.argument("contract_file", metavar="CONTRACT", type=click.Path(path_type=Path))
@click.argument("data_file", metavar="DATA", type=click.Path(path_type=Path))
@click.option("--table", help="The table that DATA holds, if the contract describes more than one.")
@click.option("--period", help="The period of the delivery, for rules that need it: YYYY, YYYY-Qn, YYYY-MM, ...")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@click.option(
    "--report",
    "report_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a report without values to FILE: .json, .md, or .html (a page in Dutch, to mail).",
)
@click.option(
    "--show-values",
    is_flag=True,
    help=f"Show up to {MOST} values that broke each promise: personal data, on this terminal only.",
)
def check(
    contract_file: Path,
    data_file: Path,
    table: str | None,
    period: str | None,
    as_json: bool,
    report_file: Path | None,
    show_values: bool,
) -> None:
    """Check DATA (.parquet, a folder of them, or .csv) against CONTRACT. Exit 0 valid, 1 invalid, 2 unusable input.

    Columns are looked up by their name in the contract, or else by their physicalName. The verdict holds counts only.
    """
    if show_values:
        _require_terminal(as_json)
    if report_file is not None:
        checked_form(report_file)
    document = load_contract(read_contract_file(contract_file), table)
    source = FileSource("DATA", data_file, verify=True)
    judged = _Check(document, source, None if period is None else Period.parse(period))
    verdict = _usable(judged.judge)
    if report_file is not None:
        write_report(judged.report(verdict), report_file)
    if as_json:
        click.echo(json.dumps(verdict.as_json()))
    else:
        _print(verdict)
    if show_values and not (verdict.valid and not verdict.warnings):
        _print_values(_usable(lambda: judged.failing_values(verdict)))
    sys.exit(0 if verdict.valid else 1)


def _require_terminal(as_json: bool) -> None:
    if as_json:
        raise click.UsageError("--json and --show-values exclude each other")
    if not sys.stdout.isatty():
        raise UnusableInput("--show-values shows personal data, so only on a terminal: not in a file or a pipe")


def _usable(judge: Callable[[], T]) -> T:
    """What is wrong with the file itself is unusable input to this command."""
    try:
        return judge()
    except DataError as error:
        sentence = str(error)
    raise UnusableInput(sentence)


class _Check:
    """One file against one contract."""

    def __init__(self, document: Contract, source: FileSource, period: Period | None) -> None:
        self.document, self.source, self.period = document, source, period
        self.compiled = compile_table(document.table)
        self.planned: tuple[PlannedColumn, ...] = ()

    def judge(self) -> Verdict:
        """Judge the columns first, on no rows, so that a missing or extra one counts even in an empty file."""
        with SealedScratch(Path(tempfile.gettempdir())) as scratch:
            return self._judge(Validator(self.compiled, self.period, scratch, summed_columns(self.document)))

    def _judge(self, validator: Validator) -> Verdict:
        stored = self.source.schema()
        planned = planned_columns(self.compiled, delivered=set(stored))
        self.planned = tuple(column for column in planned if column.source_name in stored)
        types = {each.source_name: each.dtype for each in self.planned} if self.source.kind == "csv" else {}
        names = {each.source_name: each.name for each in self.planned}
        shape = {names.get(name, name): types.get(name, dtype) for name, dtype in stored.items()}
        validator.check(pl.DataFrame(schema=shape))
        for frame in watched(self.source.batches(ExtractionPlan(self.planned), validator.unreadable), self.source):
            validator.check(frame)
        return validator.finish()

    def report(self, verdict: Verdict) -> Report:
        document = self.document
        subject = Subject(
            contract=document.id,
            version=document.version,
            digest=digest(document.document),
            product=document.document.get("dataProduct") or document.table.name,
            period=None if self.period is None else str(self.period),
        )
        return Report.of(verdict, subject, to_rfc3339(utc_now()))

    def failing_values(self, verdict: Verdict) -> list[Found]:
        return failing_values(self.compiled, self.source, self.planned, verdict)


def _print(verdict: Verdict) -> None:
    click.echo(f"{'valid' if verdict.valid else 'INVALID'}: {verdict.rows} rows")
    for kind, failures in (("failure", verdict.failures), ("warning", verdict.warnings)):
        for each in failures:
            click.echo(f"  {kind}: column {each.column}, rule {each.rule}, {each.count}x")


def _print_values(found: list[Found]) -> None:
    click.echo("\nThese values are personal data from DATA. They are on this terminal only: in no report, log or file.")
    for each in found:
        click.echo(f"  column {each.result.column}, rule {each.result.rule}")
        for rows, value in each.values:
            where = f"row {', '.join(map(str, rows))}: " if rows else ""
            click.echo(f"    {where}{value}")
        if not each.values:
            click.echo("    no single value: it is about a whole column or the whole delivery")
