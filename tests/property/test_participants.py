"""Whatever lists come and whatever the source holds: no row about anybody else than a participant ever leaves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import errors
from flows.sources.base import of_equal_size
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.participants import Participants, keep
from schemas.bsn_set import BsnSet
from schemas.participants import ParticipantSet
from tests.delivery_world import MARCH, make_world_in
from tests.participants_world import PEOPLE, clients, delivered, send, set_clients, with_participants
from tests.soak import examples

SOME = PEOPLE[:12]
people = st.sets(st.sampled_from(SOME))
values = st.one_of(
    st.sampled_from(SOME), st.none(), st.text("0123456789 +-x", max_size=11),
    st.sampled_from(SOME).map(lambda number: f" {number}"),
    st.sampled_from(SOME).map(lambda number: number[:-1]), st.sampled_from(SOME).map(lambda number: f"{number}\n"),
)  # fmt: skip


def participants(numbers: set[str]) -> Participants:
    held = BsnSet()
    held.add(pl.Series(sorted(numbers), dtype=pl.String).cast(pl.UInt32).to_numpy())
    recorded = ParticipantSet(
        number=1, kind="full", effective="2026-01-01", people=len(numbers), added=len(numbers), removed=0, unchanged=0,
        base=0, withdrawn=(), digest="0" * 64, checksum="0" * 64,
    )  # fmt: skip
    return Participants("bsn", recorded, held)


@settings(max_examples=examples(100), deadline=None)
@given(numbers=people, column=st.lists(values, max_size=60), cut=st.integers(1, 9), rows=st.integers(9, 20))
def test_exactly_the_rows_of_participants_go_on_in_their_order(
    numbers: set[str], column: list[str | None], cut: int, rows: int
) -> None:
    whole = clients(column)
    limit = participants(numbers)
    frames: Iterator[pl.DataFrame] = (keep(frame, limit) for frame in whole.iter_slices(cut))
    left = list(of_equal_size(frames, rows))
    assert all(frame.height == rows for frame in left[:-1])
    assert all(0 < frame.height <= rows for frame in left)
    expected = [at for at, value in enumerate(column) if value in numbers]
    assert [amount for frame in left for amount in frame.get_column("amount")] == expected


steps = st.lists(
    st.tuples(st.sampled_from(["full", "additions", "removals", "deliver", "redeliver"]), people),
    min_size=3,
    max_size=7,
)


@settings(max_examples=examples(4, soak=60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=st.lists(values, min_size=1, max_size=30), steps=steps)
def test_no_edition_ever_holds_anybody_who_is_no_participant_when_it_appears(
    source: list[str | None], steps: list[tuple[str, set[str]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fund = with_participants(make_world_in(Path(folder))(rows=1), ["x"], empty="deliver")
        set_clients(fund, source)
        registered: set[str] | None = None
        for kind, numbers in steps:
            if kind in ("deliver", "redeliver"):
                _deliver(fund, source, registered, redeliver=kind == "redeliver")
                continue
            report = send(fund, sorted(numbers), f"deelnemers.{kind}.csv.age")
            after = _after(registered, kind, numbers)
            assert (report.outcome == "accepted") == (after is not None)
            registered = registered if after is None else after
        fund.services.engine.dispose()


def _after(before: set[str] | None, kind: str, numbers: set[str]) -> set[str] | None:
    """The participants after a list, or None if it must be refused."""
    if not numbers or (before is None and kind != "full"):
        return None
    return {"full": numbers, "additions": (before or set()) | numbers, "removals": (before or set()) - numbers}[kind]


def _deliver(fund, source: list[str | None], registered: set[str] | None, *, redeliver: bool) -> None:
    latest = fund.services.ledger.latest_edition("GLA-2026-0007", MARCH)
    editions = fund.published().parent
    published = sorted(editions.iterdir()) if editions.exists() else []
    mode = Mode.RESUME if not latest or not published else Mode.REDELIVER if redeliver else Mode.CORRECT
    try:
        outcome = path.run(fund.services, fund.order(mode, "again" if mode is not Mode.RESUME else ""))
    except errors.ParticipantsUnusable:
        assert registered is None or mode is Mode.REDELIVER
        return
    except errors.DeliveryStateError:
        assert mode is Mode.REDELIVER
        return
    assert registered is not None
    left = delivered(fund, fund.published(outcome.edition)).get_column("bsn").to_list()
    assert set(left) <= registered
    if mode is not Mode.REDELIVER:
        assert left == [value for value in source if value in registered]
