"""`gla contract lint|export|diff|drift`: work on the contract itself, without reading a row of data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from apps.cli.contract_file import read_contract_file
from apps.cli.report_file import write_text
from core.errors import UnusableInput
from core.settings import Settings
from core.text import printable
from flows.steps.drift import Drift, drift, drift_of_all
from flows.wiring import open_existing
from schemas.agreement import is_agreement, load_agreement
from schemas.compiler import compile_table
from schemas.contract import load_contract, read_contract
from schemas.diff.changes import Change
from schemas.diff.documents import differences
from schemas.export import odcs
from schemas.export.dictionary import Dictionary, dictionary
from schemas.export.json_schema import json_schema
from schemas.export.page import as_html
from schemas.export.text import as_markdown
from schemas.lint.findings import Finding, lint

_path = click.Path(path_type=Path)


@click.command("lint")
@click.argument("file", metavar="FILE", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def lint_contract(file: Path, as_json: bool) -> None:
    """Tell everything that is wrong with the contract in FILE at once, and what would make it better.

    Exit 0 no errors (there may be advice), 1 errors, 2 no readable document.
    """
    findings = lint(read_contract_file(file))
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        click.echo(json.dumps({"valid": not errors, "findings": [each.as_json() for each in findings]}))
    else:
        for finding in findings:
            click.echo(_line(file, finding))
        click.echo(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'piece')} of advice")
    sys.exit(1 if errors else 0)


@click.command("export")
@click.argument("file", metavar="FILE", type=_path)
@click.option("--to", "form", required=True, type=click.Choice(["odcs", "json-schema", "html", "markdown"]))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: standard output.")
@click.option("--table", help="The table that is meant, if the contract describes more than one.")
def export_contract(file: Path, form: str, out: Path | None, table: str | None) -> None:
    """Write the contract in FILE in another form.

    odcs: the same document, in YAML with its keys in a fixed order; to a file *.json, the canonical JSON to be signed.
    json-schema: a JSON Schema (2020-12) of one row. html and markdown: a data dictionary in Dutch, for recipients.
    """
    written = _exported(
        read_contract_file(file), form, table, as_json=out is not None and out.suffix.lower() == ".json"
    )
    if out is None:
        click.echo(written, nl=False)
    else:
        write_text(out, written)
        click.echo(f"{out}: written", err=True)


@click.command("diff")
@click.argument("old", metavar="A", type=_path)
@click.argument("new", metavar="B", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def diff_contracts(old: Path, new: Path, as_json: bool) -> None:
    """Tell what changes for the recipient from contract A to contract B, and whether it takes a new request.

    Each change is breaking, compatible or editorial. A changed purpose, legal basis or recipient, and more columns or
    rows, need a new request (Nieuwe aanvraag). Exit 0 no difference, 1 differences, 2 trouble, as `diff` does.
    """
    changes = differences(*(read_contract(read_contract_file(file)) for file in (old, new)))
    asked = any(change.new_request for change in changes)
    if as_json:
        shown = [change.as_json() for change in changes]
        click.echo(json.dumps({"same": not changes, "newRequest": asked, "changes": shown}))
    else:
        _print_changes(changes, asked=asked)
    sys.exit(1 if changes else 0)


@click.command("drift")
@click.argument("agreement_id", metavar="[AGREEMENT]", required=False)
@click.option("--all", "every", is_flag=True, help="Compare every active agreement: for a schedule.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
@click.pass_obj
def drift_of_source(settings: Settings, agreement_id: str | None, every: bool, as_json: bool) -> None:
    """Tell whether the source still has what AGREEMENT promises, before delivery day. No row is read.

    A column that the source has and the agreement does not name is no drift: it never leaves. Of a CSV source only the
    header is compared. Exit 0 no drift, 1 drift; other codes as in docs/exit-codes.md.
    """
    if (agreement_id is None) is not every:
        raise UnusableInput("name one agreement, or give --all")
    services = open_existing(settings)
    found, compared = (drift(services, agreement_id), 1) if agreement_id is not None else drift_of_all(services)
    if as_json:
        click.echo(
            json.dumps({"drift": bool(found), "compared": compared, "found": [each.as_json() for each in found]})
        )
    else:
        _print_drift(found, compared)
    sys.exit(1 if found else 0)


COMMANDS = (lint_contract, export_contract, diff_contracts, drift_of_source)


def _line(file: Path, finding: Finding) -> str:
    place = f"{file}:{finding.line}" if finding.line is not None else f"{file}"
    return printable(f"{place}: {finding.severity}: {finding.message} ({finding.path})")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _exported(data: bytes, form: str, table: str | None, *, as_json: bool) -> str:
    if form == "odcs":
        document = read_contract(data)
        return (odcs.to_json(document) if as_json else odcs.to_yaml(document)).decode()
    contract = load_contract(data, table)
    compiled = compile_table(contract.table)
    if form == "json-schema":
        text = json.dumps(json_schema(contract, compiled), ensure_ascii=False, indent=2) + "\n"
        return text.encode("utf-8", "replace").decode()  # a lone surrogate is no text that can be written
    render: Callable[[Dictionary], str] = as_html if form == "html" else as_markdown
    return render(dictionary(contract, compiled, load_agreement(data) if is_agreement(contract.document) else None))


def _print_changes(changes: list[Change], *, asked: bool) -> None:
    for change in changes:
        note = " [new request]" if change.new_request else ""
        click.echo(printable(f"{change.kind}: {change.path}: {change.message}{note}"))
    if not changes:
        click.echo("no difference")
    elif asked:
        click.echo("Nieuwe aanvraag: this takes a new request, and the assent of the recipient to a new agreement.")
    else:
        click.echo("No new request is needed; a signature covers every byte, so offer the new text and have it signed.")


def _print_drift(found: list[Drift], compared: int) -> None:
    for each in found:
        click.echo(printable(f"agreement {each.agreement_id}: {each.message}"))
    if not found:
        click.echo(f"no drift: {_count(compared, 'agreement')} compared with the source")
