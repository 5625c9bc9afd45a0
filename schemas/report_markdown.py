"""A report as Markdown (GitHub's tables), for operators: the run's artifact in Prefect, or a file.

Names from the contract are code spans or numeric entities, so that none of them is read as Markdown or HTML.

>>> code("bsn"), code("a|b")
('`bsn`', 'a&#124;b')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from core.text import printable
from schemas.report import LEAST_NONZERO, Report
from schemas.verdict import Result

_BREAKS_A_SPAN = re.compile(r"[`|\\]")
_OUTCOME = {"error": "**BROKEN**", "warning": "broken (warning)", "info": "broken (info)"}


def as_markdown(report: Report) -> str:
    """Tables of what was judged, the promises, the values that are present, and the sums."""
    parts = [
        f"# Validation report: {report.word.upper()}",
        _table(("of", "is"), _facts(report)),
        "## Promises of the contract",
        _table(("column", "rule", "severity", "threshold", "count", "outcome", "first rows"), _promises(report)),
    ]
    if report.present:
        parts += ["## Values that are present", _table(("column", "present", "absent"), _present(report))]
    if report.sums:
        parts += ["## Sums", _table(("column", "sum"), _sums(report))]
    if report.left_out:
        parts.append(f"{report.left_out:,} more lines are left out here.")
    parts.append("This report holds counts, row numbers and names from the contract; no value of the data.")
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """`text` as it is, in a form that Markdown does not interpret, also inside a table."""
    text = printable(text)
    if not text.strip() or _BREAKS_A_SPAN.search(text):
        return "".join(letter if letter.isalnum() else f"&#{ord(letter)};" for letter in text)
    return f"`{text}`"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    it = report.subject
    yield ("agreement" if it.agreement else "contract"), f"{code(it.contract)} version {code(it.version)}"
    yield "digest (SHA-256)", code(it.digest)
    for name, value in (("product", it.product), ("recipient", it.recipient), ("period", it.period)):
        if value is not None:
            yield name, code(value)
    if it.edition is not None:
        yield "edition", str(it.edition)
    yield "rows", f"{report.rows:,}"
    yield "made at", code(report.at)


def _promises(report: Report) -> Iterator[tuple[str, ...]]:
    for each in report.results:
        yield (
            code(each.column),
            code(each.rule),
            each.severity,
            "none may break it" if each.threshold is None else code(each.threshold),
            f"{each.count:,}",
            outcome(each),
            ", ".join(map(str, each.rows)),
        )


def outcome(result: Result) -> str:
    return "holds" if result.holds else _OUTCOME[result.severity]


def _present(report: Report) -> Iterator[tuple[str, ...]]:
    for column, count in report.present.items():
        yield code(column), f"{count:,}", f"{max(report.rows - count, 0):,}"


def _sums(report: Report) -> Iterator[tuple[str, ...]]:
    withheld = f"withheld: fewer than {LEAST_NONZERO} values are not zero"
    for column, total in report.sums.items():
        yield code(column), withheld if total is None else f"{total:,}"
