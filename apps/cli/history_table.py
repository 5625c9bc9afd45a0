"""The history, and what is expected, as tables in a terminal. Times are UTC."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from apps.cli.tables import minute
from core.text import printable
from flows.steps.outlook import Expected
from ledger.history import HistoryRow
from ledger.states import State


def history_table(rows: Sequence[HistoryRow], empty: str) -> Table:
    table = Table(title="Deliveries", caption=None if rows else empty, show_lines=True)
    for heading in ("delivery", "period", "state", "contents", "what happened"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (
            _delivery(row),
            [row.period, f"edition {row.edition}"],
            [row.state.value],
            _contents(row),
            _events(row),
        )
        # Text: what people typed is shown as it is, never read as markup or as terminal control
        table.add_row(*(Text("\n".join(printable(line) for line in cell)) for cell in cells))
    return table


def _delivery(row: HistoryRow) -> list[str]:
    return [row.product, row.agreement, f"to {row.recipient}"]


def _contents(row: HistoryRow) -> list[str]:
    told = row.mutations or {}
    lines = [
        None if row.rows is None else f"{row.rows:,} rows",
        None if row.bytes is None else f"{row.bytes:,} bytes",
        ", ".join(f"{count:,} {name}" for name, count in told.items()),
        None if row.same_data_as is None else f"the same data as edition {row.same_data_as}",
        None if row.kept_out is None else f"{row.kept_out:,} rows of others kept out",
    ]
    return [line for line in lines if line]


def _events(row: HistoryRow) -> list[str]:
    times = (
        ("published", row.published),
        ("picked up", row.picked_up),
        ("confirmed, signed," if row.signed else "confirmed", row.confirmed),
        ("expires", row.expires if row.removed is None else None),
        ("removed", row.removed),
    )
    lines = [f"{name} {minute(time)}" for name, time in times if time is not None]
    lines += [] if row.partly is None else [f"fetched in part: {row.partly:,} of {row.bytes or 0:,} bytes"]
    lines += ["nobody fetched it yet, and it ends soon"] if row.reminded and row.state is State.PUBLISHED else []
    lines += [] if row.case is None else [f"not accepted: {row.case} (gla receipt list)"]
    reason = [] if row.reason is None else [f"reason: {row.reason}"]
    return lines + reason + ([] if row.error is None else [row.error])


def expected_table(expected: Sequence[Expected]) -> Table:
    table = Table(title="Expected", caption=None if expected else "nothing is expected", show_lines=True)
    for heading in ("delivery", "period", "due", "what is there"):
        table.add_column(heading, overflow="fold")
    for each in expected:
        due = f"{'overdue since' if each.overdue else 'due'} {minute(each.due)}"
        begun = [] if each.state is None else [each.state.value]
        cells = (
            [each.product, each.agreement, f"to {each.recipient}"],
            [each.period],
            [due],
            begun + _known(each.error),
        )
        table.add_row(*(Text("\n".join(printable(line) for line in cell)) for cell in cells))
    return table


def _known(line: str | None) -> list[str]:
    return [] if line is None else [line]
