"""What a validation found, fit to be mailed to a recipient: counts, row numbers and names from the contract.

It never holds a value of the data, and no sum that could be one person's: a sum over fewer than `LEAST_NONZERO` values
that are not zero is withheld when the report is made, so that no form of it can show it. The forms are JSON (read back
by `from_json`), Markdown (`schemas.report_markdown`) and a page in Dutch (`schemas.report_page`).

>>> verdict = Verdict(1, (), {}, {"pay": Sum(2_500_00, 1)})
>>> Report.of(verdict, Subject("c", "1.0.0", "0" * 64), "2026-04-05T12:00:00.000Z").sums
{'pay': None}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast, get_args

from core.errors import UnusableInput
from schemas.verdict import Result, Severity, Sum, Verdict

LEAST_NONZERO = 10  # values: a sum over fewer people can be taken apart
MOST_LISTED = 300  # promises, and columns, in the ledger's copy: an event stays well below 100 kB
_LONGEST_LABEL = 200  # characters; only the label of a key over many columns is longer
_FORM = "gla-report/1"
_NO_FAILURES = ("rowCount",)  # rules whose count is no number of failures
T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """What was judged: the contract (`digest` is the SHA-256 that both sides sign), and the delivery if it was one."""

    contract: str
    version: str
    digest: str
    product: str | None = None
    recipient: str | None = None
    period: str | None = None
    edition: int | None = None

    @property
    def agreement(self) -> str | None:
        """The contract of a delivery is its agreement."""
        return None if self.recipient is None else self.contract


@dataclass(frozen=True)
class Bar:
    """How often the promises about one column were broken."""

    column: str
    errors: int
    warnings: int


@dataclass(frozen=True)
class Report:
    """`results` has broken promises first, then those that hold, each in the contract's order. Of `sums`, None is a
    sum that is withheld. `left_out` counts the promises and columns that a shortened report does not list.
    """

    subject: Subject
    at: str
    valid: bool
    rows: int
    results: tuple[Result, ...]
    present: Mapping[str, int]
    sums: Mapping[str, int | None]
    left_out: int = 0

    @classmethod
    def of(cls, verdict: Verdict, subject: Subject, at: str) -> Report:
        """The report of `verdict`, made at the moment `at` (RFC 3339)."""
        results = tuple(sorted(verdict.results, key=_urgency))
        sums = {name: _shown(each) for name, each in verdict.sums.items()}
        return cls(subject, at, verdict.valid, verdict.rows, results, dict(verdict.present), sums)

    @property
    def broken(self) -> tuple[Result, ...]:
        """Errors before warnings."""
        return tuple(each for each in self.results if not each.holds)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The columns with broken promises, most failures first; a promise about a key counts for the key."""
        counts: dict[str, list[int]] = {}
        for each in self.broken:
            if each.rule not in _NO_FAILURES and each.count > 0:
                counts.setdefault(each.column, [0, 0])[each.severity != "error"] += each.count
        bars = [Bar(column, *both) for column, both in counts.items()]
        return tuple(sorted(bars, key=lambda bar: -(bar.errors + bar.warnings)))

    def shortened(self, most: int = MOST_LISTED) -> Report:
        """At most `most` promises, broken ones first, and as many columns: for where space is short."""
        results = tuple(_with_short_label(each) for each in self.results[:most])
        present = dict(list(self.present.items())[:most])
        sums = dict(list(self.sums.items())[:most])
        kept = len(results) + len(present) + len(sums)
        left_out = len(self.results) + len(self.present) + len(self.sums) - kept
        return dataclasses.replace(self, results=results, present=present, sums=sums, left_out=left_out)

    def as_json(self) -> dict[str, Any]:
        """For programs. Sums are text, since they can be larger than JSON's exact numbers; null if withheld."""
        subject = asdict(self.subject)
        contract = {"id": subject.pop("contract"), "version": subject.pop("version"), "digest": subject.pop("digest")}
        return {
            "form": _FORM,
            "contract": contract,
            "agreement": self.subject.agreement,
            **subject,
            "at": self.at,
            "verdict": self.word,
            "rows": self.rows,
            "promises": [{**asdict(each), "rows": list(each.rows)} for each in self.results],
            "present": [{"column": name, "count": count} for name, count in self.present.items()],
            "sums": [{"column": name, "sum": None if it is None else str(it)} for name, it in self.sums.items()],
            "leftOut": self.left_out,
        }

    @property
    def word(self) -> str:
        return "valid" if self.valid else "invalid"

    @classmethod
    def from_json(cls, value: Any) -> Report:
        """What `as_json` gave; anything else is `UnusableInput`."""
        try:
            return _read(cls, value)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise UnusableInput(f"this is not a report of the form {_FORM}")


def _urgency(result: Result) -> int:
    return 2 if result.holds else 0 if result.severity == "error" else 1


def _shown(it: Sum) -> int | None:
    return it.total if it.nonzero >= LEAST_NONZERO else None


def _with_short_label(result: Result) -> Result:
    if len(result.column) <= _LONGEST_LABEL:
        return result
    return dataclasses.replace(result, column=result.column[: _LONGEST_LABEL - 1] + "…")


def _read(cls: type[Report], value: Any) -> Report:
    if value["form"] != _FORM or value["verdict"] not in ("valid", "invalid"):
        raise ValueError
    contract = value["contract"]
    return cls(
        subject=Subject(
            contract=_text(contract["id"]),
            version=_text(contract["version"]),
            digest=_text(contract["digest"]),
            product=_maybe(str, value["product"]),
            recipient=_maybe(str, value["recipient"]),
            period=_maybe(str, value["period"]),
            edition=_maybe(int, value["edition"]),
        ),
        at=_text(value["at"]),
        valid=value["verdict"] == "valid",
        rows=_count(value["rows"]),
        results=tuple(_result(each) for each in value["promises"]),
        present={_text(each["column"]): _count(each["count"]) for each in value["present"]},
        sums={_text(each["column"]): None if each["sum"] is None else int(each["sum"]) for each in value["sums"]},
        left_out=_count(value["leftOut"]),
    )


def _result(value: Any) -> Result:
    if value["severity"] not in get_args(Severity) or not isinstance(value["holds"], bool):
        raise ValueError
    return Result(
        column=_text(value["column"]),
        rule=_text(value["rule"]),
        count=_count(value["count"]),
        severity=cast("Severity", value["severity"]),
        threshold=_maybe(str, value["threshold"]),
        holds=value["holds"],
        rows=tuple(_count(each) for each in value["rows"]),
    )


def _text(value: Any) -> str:
    return _of(str, value)


def _count(value: Any) -> int:
    return _of(int, value)


def _maybe(kind: type[T], value: Any) -> T | None:
    return None if value is None else _of(kind, value)


def _of(kind: type[T], value: Any) -> T:
    if type(value) is not kind:
        raise TypeError
    return value
