"""A report as one page in Dutch that can be mailed to a recipient: no script, no font, no picture from elsewhere.

Everything that the contract names is escaped by the template. Outcomes are told in words and signs, not in colour
only; the picture of the failures repeats what the table says, for eyes that find pictures faster.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.clock import from_rfc3339
from core.dutch import dutch_period, grouped, local_time
from core.text import printable
from schemas.pages import template
from schemas.quality import WHOLE_TABLE
from schemas.report import LEAST_NONZERO, Bar, Report
from schemas.rule_words import in_dutch, threshold_in_dutch
from schemas.verdict import Result

_MOST_BARS = 20
_BAR_WIDTH = 560  # units of the picture
_LABEL_LETTERS = 24  # of a column's name beside its bar; the table has it whole
_SEVERITIES = {"error": "fout", "warning": "waarschuwing", "info": "ter informatie"}


@dataclass(frozen=True)
class _Bar:
    """One bar of the picture: its label, what it counts, and where its two parts lie."""

    label: str
    count: str
    errors: float
    warnings: float


@dataclass(frozen=True)
class _Promise:
    """One line of the table of promises, in Dutch."""

    result: Result
    rule: str
    severity: str
    threshold: str
    count: str
    kind: str
    outcome: str
    rows: str


def as_html(report: Report) -> str:
    """The page, complete."""
    bars = report.bars
    page = template("report.html.j2", printable=printable, grouped=grouped, column=column_name)
    return page.render(
        report=report,
        subject=report.subject,
        made=" ".join(local_time(from_rfc3339(report.at))),
        period=None if report.subject.period is None else " ".join(dutch_period(report.subject.period)),
        errors=sum(not each.holds and each.severity == "error" for each in report.results),
        warnings=sum(not each.holds and each.severity != "error" for each in report.results),
        promises=[_promise(each) for each in report.results],
        bars=_bars(bars[:_MOST_BARS]),
        more_bars=max(len(bars) - _MOST_BARS, 0),
        bar_width=_BAR_WIDTH,
        least=LEAST_NONZERO,
    )


def column_name(column: str) -> str:
    """A column as the page calls it."""
    return "alle kolommen" if column == WHOLE_TABLE else printable(column)


def _promise(result: Result) -> _Promise:
    broken = "stopped" if result.severity == "error" else "warned"
    return _Promise(
        result=result,
        rule=in_dutch(result.rule),
        severity=_SEVERITIES[result.severity],
        threshold=threshold_in_dutch(result.threshold),
        count=grouped(result.count),
        kind="held" if result.holds else broken,
        outcome="✓ nagekomen" if result.holds else "✗ niet nagekomen" if broken == "stopped" else "! niet nagekomen",
        rows=", ".join(map(str, result.rows)),
    )


def _bars(bars: tuple[Bar, ...]) -> list[_Bar]:
    most = max((bar.errors + bar.warnings for bar in bars), default=1)
    return [
        _Bar(
            label=_short(column_name(bar.column)),
            count=grouped(bar.errors + bar.warnings),
            errors=_length(bar.errors, most),
            warnings=_length(bar.warnings, most),
        )
        for bar in bars
    ]


def _length(count: int, most: int) -> float:
    """In proportion, and never too thin to see."""
    return max(round(_BAR_WIDTH * count / most, 1), 2.0) if count else 0.0


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_LETTERS else name[: _LABEL_LETTERS - 1] + "…"
