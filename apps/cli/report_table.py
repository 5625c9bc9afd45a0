"""A report on the terminal: what became of each promise, the values that are present, and the sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from core.text import printable
from schemas.report import LEAST_NONZERO, Report
from schemas.report_markdown import outcome
from schemas.verdict import Result

_LOOK = {"error": "bold red", "warning": "yellow", "info": "yellow"}


def report_tables(report: Report) -> Iterator[Table]:
    it = report.subject
    title = f"{it.contract} {it.period or ''} edition {it.edition or ''}: {report.word}, {report.rows:,} rows"
    promises = _table(
        title, ("column", "rule", "severity", "threshold", "count", "outcome", "first rows"), report.at, report.left_out
    )
    for each in report.results:
        promises.add_row(*_cells(each))
    yield promises
    if report.present:
        yield _filled("Values that are present", ("column", "present"), _numbers(report.present.items()))
    if report.sums:
        yield _filled("Sums", ("column", "sum"), _numbers(report.sums.items()))


def _table(title: str, headings: tuple[str, ...], at: str = "", left_out: int = 0) -> Table:
    more = f"; {left_out:,} more lines are left out" if left_out else ""
    table = Table(title=Text(printable(title)), caption=f"made at {at}{more}" if at else None)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _filled(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, str]]) -> Table:
    table = _table(title, headings)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _cells(result: Result) -> Iterator[Text]:
    """Text: names from the contract are shown as they are, never read as markup or as terminal control."""
    words = (result.column, result.rule, result.severity, result.threshold or "", f"{result.count:,}")
    yield from (Text(printable(word)) for word in words)
    yield Text(outcome(result).strip("*"), style="" if result.holds else _LOOK[result.severity])
    yield Text(", ".join(map(str, result.rows)))


def _numbers(items: Iterable[tuple[str, int | None]]) -> Iterator[tuple[str, str]]:
    withheld = f"withheld: fewer than {LEAST_NONZERO} values are not zero"
    for name, number in items:
        yield printable(name), withheld if number is None else f"{number:,}"
