"""The history in pages, on every database: nothing twice, nothing left out, by whatever it is chosen, by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event, text

from core.errors import UnusableInput
from core.period import Period
from ledger import history as pages
from ledger.history import Choice, HistoryRow, history, page
from ledger.receipts import Receipt, close_case, record_receipt
from ledger.states import State
from ledger.vocabulary import Action
from tests.ledger_world import Clock, claim, deliver, extract, new_ledger

RECIPIENTS = ("fonds", "gemeente", "verzekeraar")


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """24 deliveries to three recipients, four at each moment, of which every third was refused."""
    clock = Clock()
    ledger = new_ledger(engine, clock)
    for number in range(24):
        recipient, period = RECIPIENTS[number % 3], Period.parse(f"2026-{number // 2 + 1:02}")
        own = {"agreement_id": f"gla-{number:03}", "recipient": recipient, "product": f"product-{number % 2}"}
        if number % 3 == 2:
            ledger.fail(extract(ledger, claim(ledger, period, **own)), "RowsInvalid", "3 rows", refused=True)
        else:
            deliver(ledger, period, **own)
        if number % 4 == 3:
            clock.advance(hours=1)
    return engine


def paged(engine: Engine, choice: Choice, limit: int) -> list[HistoryRow]:
    found = page(engine, choice, limit)
    rows = list(found.rows)
    while found.next is not None:
        assert len(found.rows) == limit
        found = page(engine, choice, limit, found.next)
        rows += found.rows
    return rows


CHOICES = [
    (Choice(), 24),
    (Choice(recipient="gemeente"), 8),
    (Choice(product="product-1"), 12),
    (Choice(period="2026-02"), 2),
    (Choice(states=(State.REFUSED,)), 8),
    (Choice(recipient="verzekeraar", states=(State.PUBLISHED,)), 0),
    (Choice(agreement="gla-007"), 1),
    (Choice(since="2026-02-01T07:00:00.000Z", before="2026-02-01T09:00:00.000Z"), 8),
]


def test_pages_together_are_the_whole(filled: Engine) -> None:
    everything = [row.name for row in history(filled, Choice())]
    for choice, count in CHOICES:
        for limit in (3, 4, 24):
            rows = paged(filled, choice, limit)
            names = [row.name for row in rows]
            assert len(rows) == len(set(names)) == count, choice
            assert rows == list(history(filled, choice))
            assert names == [name for name in everything if name in names]


def test_what_comes_while_somebody_reads_moves_nothing(filled: Engine) -> None:
    first = page(filled, Choice(), 10)
    clock = Clock()
    clock.advance(days=1)
    deliver(new_ledger(filled, clock), Period.parse("2027-01"), agreement_id="gla-new")
    second = page(filled, Choice(), 100, first.next)
    assert len(first.rows) + len(second.rows) == 24
    assert not {row.name for row in first.rows} & {row.name for row in second.rows}


def test_a_page_after_a_delivery_of_another_recipient_goes_on_at_its_moment(filled: Engine) -> None:
    rows = list(history(filled, Choice()))
    after = next(row for row in rows if row.recipient == "fonds")
    expected = [row.name for row in rows[rows.index(after) + 1 :] if row.recipient == "gemeente"]
    assert [row.name for row in page(filled, Choice(recipient="gemeente"), 100, after.name).rows] == expected


def test_a_page_after_no_delivery_is_refused(filled: Engine) -> None:
    with pytest.raises(UnusableInput):
        page(filled, Choice(), 10, "gla-007/2026-04/2")


def test_a_case_is_shown_until_it_is_closed(engine: Engine) -> None:
    ledger = new_ledger(engine)
    held = deliver(ledger)
    record_receipt(ledger, Receipt(held.id, "content", None, "recipient", {}))
    assert next(history(engine, Choice())).case == "content"
    number = next(each.body.seq for each in ledger.events_of(held.id) if each.body.action == Action.DELIVERY_REJECTED)
    close_case(ledger, number, "made again", "operator")
    assert next(history(engine, Choice())).case is None


def test_what_happened_to_others_is_not_looked_at(filled: Engine) -> None:
    """What a page costs is in its statements: each finds by an index, however much there is of everything else."""
    statements: list[tuple[str, object]] = []
    event.listen(filled, "before_cursor_execute", lambda _c, _u, sql, given, *_: statements.append((sql, given)))
    first = page(filled, Choice(recipient="gemeente"), 3)
    page(filled, Choice(recipient="gemeente"), 3, first.next)
    selects = [(sql, given) for sql, given in statements if sql.startswith("SELECT") and "FROM" in sql]
    assert len(selects) == 5  # a page, its events; where the next one begins, the page, its events
    explain = "EXPLAIN QUERY PLAN " if filled.dialect.name == "sqlite" else "EXPLAIN "
    with filled.connect() as connection:
        if filled.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))  # which a table this small would get
            connection.execute(text("SET enable_bitmapscan = off"))
        for sql, given in selects:
            plan = " ".join(str(row) for row in connection.exec_driver_sql(explain + sql, given))
            assert "SCAN deliveries" not in plan, plan
            assert "SCAN events" not in plan, plan
            assert "Seq Scan" not in plan, plan
            assert "ix_events_action" not in plan, plan


def test_every_action_that_tells_something_is_in_the_vocabulary() -> None:
    assert set(pages._TELLERS) <= set(Action)
