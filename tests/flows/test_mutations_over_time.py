"""Mutation deliveries as they are in life: killed, refused, corrected, sent again, asked for anew. What the recipient
makes of them is always the source as it was when the last one was made.
"""

from __future__ import annotations

import random
from datetime import timedelta

import polars as pl
import pytest

from core.errors import DeliveryStateError, RowsInvalid
from core.period import Period
from flows.steps import path
from flows.steps.order import Mode
from tests.crash.fixtures import nursery
from tests.delivery_world import AGREEMENT, NOW
from tests.flows.test_kill import killed
from tests.flows.test_mutations import (
    APRIL,
    CODE,
    by_code,
    change_source,
    deliver,
    mutating,
    mutation_document,
    pakbon_of,
    raise_amounts,
    told,
)
from tests.flows.test_rerun import stop_before
from tests.soak import examples

__all__ = ["mutating", "nursery"]
FEBRUARY = Period.parse("2026-02")
DAYS = [Period.parse(f"2026-{month:02}-{day:02}") for month in (6, 7) for day in range(1, 29)]


@pytest.mark.parametrize(
    ("when", "where"),
    [
        ("after", "agree"),
        ("within", "extract, validate, seal"),
        ("after", "extract, validate, seal"),
        ("before", "publish"),
        ("after", "publish"),
        ("before", "checkpoint"),
    ],
)
def test_a_worker_killed_anywhere_leaves_the_right_base(nursery, mutating, when, where):
    deliver(mutating, FEBRUARY)
    change_source(mutating, raise_amounts(1))
    killed(nursery, mutating, when, where)
    mutating.at(NOW + timedelta(minutes=10))
    path.run(mutating.services, mutating.order())
    assert by_code(told(mutating)) == {"N": [], "W": [1], "V": []}
    assert pakbon_of(mutating).plan.base.period == "2026-02"
    change_source(mutating, raise_amounts(2))
    deliver(mutating, APRIL)
    assert by_code(told(mutating, APRIL)) == {"N": [], "W": [2], "V": []}
    assert pakbon_of(mutating, APRIL).plan.base.period == "2026-03"
    assert len(list((mutating.home / "mutations" / AGREEMENT).iterdir())) == 2


class Life:
    """What may happen to a source and its deliveries, and what the recipient has after each."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)
        self.days, self.last = iter(DAYS), None
        self.copies = {}  # by period and edition, what the recipient's copy is after it

    def change(self):
        rows = pl.read_parquet(self.world.source)
        ids = self.random.sample(range(1, 60), 20)
        rows = raise_amounts(*ids[:5])(rows).filter(~pl.col("id").is_in(ids[5:8]))
        back = pl.DataFrame({"id": [each for each in ids[8:] if each not in set(rows["id"])]}, schema={"id": pl.Int64})
        filled = back.join(rows.head(1).drop("id"), how="cross").select(rows.columns)
        pl.concat([rows, filled]).sample(fraction=1, shuffle=True, seed=self.random.randrange(9)).write_parquet(
            self.world.source
        )

    def receive(self, period, edition):
        """The recipient applies a delivery to its copy after the one that the pakbon names."""
        base = pakbon_of(self.world, period, edition).plan.base
        copy = {} if base is None else dict(self.copies[base.period, base.edition])
        for row in told(self.world, period, edition).iter_rows(named=True):
            code, key = row.pop(CODE), row["id"]
            assert (key in copy) == (code != "N")
            if code == "V":
                del copy[key]
            else:
                assert copy.get(key) != row
                copy[key] = row
        source = pl.read_parquet(self.world.source).select("id", "day", "amount", "note")
        assert copy == {row["id"]: row for row in source.iter_rows(named=True)}
        self.copies[str(period), edition], self.last = copy, (period, edition)

    def the_next_is_delivered(self, *, full=False):
        self.change()
        period = next(self.days)
        outcome = deliver(self.world, period, reason="asked for" if full else "", full=full)
        self.receive(period, outcome.edition)

    def the_last_is_corrected(self, *, full=False):
        self.change()
        outcome = deliver(self.world, self.last[0], Mode.CORRECT, "wrong", full=full)
        self.receive(self.last[0], outcome.edition)

    def the_last_is_sent_again(self):
        deliver(self.world, self.last[0], Mode.REDELIVER, "lost")

    def one_is_refused(self):
        rows = pl.read_parquet(self.world.source)
        pl.concat([rows, rows.head(1)]).write_parquet(self.world.source)
        with pytest.raises(RowsInvalid):
            deliver(self.world, next(self.days))
        rows.write_parquet(self.world.source)

    def one_stops_before_it_appears(self):
        self.change()
        period = next(self.days)
        with pytest.raises(KeyboardInterrupt):
            deliver(self.world, period, step=stop_before("publish"))
        if self.random.random() < 0.5:
            self.receive(period, deliver(self.world, period).edition)
            return
        self.the_next_is_delivered()
        with pytest.raises(DeliveryStateError):
            deliver(self.world, period)

    def an_earlier_one_is_not_corrected(self):
        earlier = [period for period, _ in self.copies if period != str(self.last[0])]
        if earlier:
            with pytest.raises(DeliveryStateError, match="was followed by"):
                deliver(self.world, Period.parse(self.random.choice(earlier)), Mode.CORRECT, "wrong")

    def everything_is_asked_for(self):
        self.random.choice([self.the_next_is_delivered, self.the_last_is_corrected])(full=True)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(examples(2)))
def test_what_the_recipient_makes_of_all_deliveries_is_the_source(make_world, seed):
    world = make_world(rows=60)
    world.conclude(mutation_document(world, empty="header-only"))
    life = Life(world, seed)
    life.the_next_is_delivered()
    happenings = [
        life.the_next_is_delivered,
        life.the_last_is_corrected,
        life.the_last_is_sent_again,
        life.one_is_refused,
        life.one_stops_before_it_appears,
        life.an_earlier_one_is_not_corrected,
        life.everything_is_asked_for,
    ]
    for happening in life.random.choices(happenings, k=12):
        happening()
