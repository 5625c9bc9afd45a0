"""Everything that is wrong with a contract, and what would make it better, in one go, each with its place.

Errors are what the loader, the compiler or an offer would refuse one at a time: violations of ODCS, types and rules
that are not supported, terms of an agreement. Advice never makes a contract unusable. Nothing here reads data, a
registered source or a key; a message holds names of columns and properties, never another value of the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UnusableInput
from schemas.agreement import is_agreement, term_problems
from schemas.contract import load_contract
from schemas.lint.advice import advice
from schemas.lint.lines import Lines
from schemas.lint.raw import dicts
from schemas.lint.refusals import refusals
from schemas.odcs import Path, json_path, violations
from schemas.reader import read_document

Severity = Literal["error", "advice"]


@dataclass(frozen=True)
class Finding:
    """`path` is a JSON path, `line` where it stands in the file (None if that cannot be told)."""

    severity: Severity
    path: str
    line: int | None
    message: str

    def as_json(self) -> dict[str, Any]:
        """The finding as `gla contract lint --json` prints it."""
        return {"severity": self.severity, "path": self.path, "line": self.line, "message": self.message}


def lint(data: bytes) -> list[Finding]:
    """All findings, errors first, each group in the order of the file; `UnusableInput` if it is no document at all."""
    document = read_document(data, "the contract")
    lines = Lines(data)
    errors = [_finding("error", path, sentence, lines) for path, sentence in _errors(document, data)]
    hints = [_finding("advice", path, sentence, lines) for path, sentence in advice(document)]
    return [*sorted(errors, key=_place), *sorted(hints, key=_place)]


def _finding(severity: Severity, path: Path, sentence: str, lines: Lines) -> Finding:
    return Finding(severity, json_path(path), lines.of(path), sentence)


def _place(finding: Finding) -> int:
    return finding.line or 0


def _errors(document: Mapping[str, Any], data: bytes) -> Iterator[tuple[Path, str]]:
    broken = violations(document)
    for violation in broken:
        yield violation.path, violation.sentence
    tables = dicts(document, "schema")
    if not tables and not any(violation.path[:1] == ("schema",) for violation in broken):
        yield (), "describes no table"
    for at, table in tables:
        yield from refusals(table, ("schema", at), [violation.path for violation in broken])
    if is_agreement(document) and not broken:
        yield from _wrong_terms(document, data)


def _wrong_terms(document: Mapping[str, Any], data: bytes) -> Iterator[tuple[Path, str]]:
    """What an offer would refuse; of a table that cannot be read, `refusals` has told already."""
    if len(dicts(document, "schema")) > 1:
        yield ("schema",), "has more than one table, and an agreement delivers one"
        return
    try:
        contract = load_contract(data)
    except UnusableInput:
        return
    places = {item.get("property"): ("customProperties", at) for at, item in dicts(document, "customProperties")}
    for name, sentence in term_problems(contract):
        yield places.get(name, ("customProperties",) if name.startswith("gla.") else ()), sentence
