"""What falls due: whole periods within the agreement, at six in the morning Dutch time, until the ledger knows them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from agreements.rules import AgreementState
from agreements.tables import agreements
from core.canonical import canonical_json
from core.database import writing
from core.errors import DeliveryEmpty
from core.period import Period
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml
from flows.steps.planning import HORIZON, due_deliveries, planned
from schemas.agreement import Agreement, Planning, load_agreement
from tests.delivery_world import AGREEMENT, NOW, make_world_in

FAR = datetime(9000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def signed(tmp_path_factory) -> Agreement:
    """Any agreement; the tests replace its dates and planning."""
    world = make_world_in(tmp_path_factory.mktemp("sender"))(10)
    return load_agreement(canonical_json(world.document()))


def of(signed, frequency, first, last, latency=0):
    planning = Planning(frequency, latency)
    return replace(
        signed, planning=planning, valid_from=date.fromisoformat(first), valid_until=date.fromisoformat(last)
    )


def periods(agreement, until=FAR):
    return [str(item.period) for item in planned(agreement, until)]


@pytest.mark.parametrize(
    ("frequency", "first", "last", "expected"),
    [
        ("day", "2026-02-27", "2026-03-02", ["2026-02-27", "2026-02-28", "2026-03-01"]),
        ("day", "2028-02-28", "2028-03-01", ["2028-02-28", "2028-02-29"]),
        ("month", "2026-01-01", "2026-03-31", ["2026-01", "2026-02"]),
        ("month", "2026-01-01", "2026-04-01", ["2026-01", "2026-02", "2026-03"]),
        ("month", "2026-01-02", "2026-04-01", ["2026-02", "2026-03"]),
        ("month", "2025-12-01", "2026-01-31", ["2025-12"]),
        ("quarter", "2026-01-01", "2026-12-31", ["2026-Q1", "2026-Q2", "2026-Q3"]),
        ("quarter", "2026-02-15", "2026-12-31", ["2026-Q2", "2026-Q3"]),
        ("quarter", "2025-10-01", "2026-01-01", ["2025-Q4"]),
        ("year", "2026-01-01", "2028-12-31", ["2026", "2027"]),
        ("year", "2026-01-02", "2028-12-31", ["2027"]),
        ("year", "2026-01-02", "2026-12-31", []),
        ("month", "0987-11-01", "0988-01-31", ["0987-11", "0987-12"]),
    ],
)
def test_whole_periods_from_the_first_day_on_as_long_as_it_is_valid(signed, frequency, first, last, expected):
    assert periods(of(signed, frequency, first, last)) == expected


def test_latency_moves_the_day_and_may_move_it_out_of_the_agreement(signed):
    agreement = of(signed, "month", "2026-01-01", "2026-03-10", latency=9)
    assert [(str(item.period), item.at.date()) for item in planned(agreement, FAR)] == [
        ("2026-01", date(2026, 2, 10)),
        ("2026-02", date(2026, 3, 10)),
    ]
    assert periods(of(signed, "month", "2026-01-01", "2026-03-10", latency=10)) == ["2026-01"]


@pytest.mark.parametrize(
    ("day", "hour"),
    [("2026-03-28", 5), ("2026-03-29", 4), ("2026-03-30", 4), ("2026-10-24", 4), ("2026-10-25", 5), ("2026-10-26", 5)],
)
def test_it_is_six_in_the_morning_in_the_netherlands_in_summer_and_winter(signed, day, hour):
    eve = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    [item] = planned(of(signed, "day", eve, day), FAR)
    assert item.at.astimezone(UTC) == datetime.fromisoformat(f"{day}T{hour:02}:00:00+00:00")


def test_the_horizon_is_inclusive_to_the_moment(signed):
    agreement = of(signed, "month", "2026-01-01", "2026-12-31")
    at = datetime(2026, 3, 1, 5, tzinfo=UTC)
    assert periods(agreement, at) == ["2026-01", "2026-02"]
    assert periods(agreement, at - timedelta(seconds=1)) == ["2026-01"]


def test_without_a_frequency_nothing_is_planned(signed):
    assert list(planned(replace(signed, planning=None), FAR)) == []


def test_an_agreement_for_ever_is_planned_as_far_as_it_is_asked(signed):
    agreement = of(signed, "day", "2026-01-01", "9999-12-31")
    assert len(list(itertools.islice(planned(agreement, FAR), 1000))) == 1000


def due(world):
    items, problems = due_deliveries(world.services)
    return [str(item.period) for item in items], problems


def test_overdue_and_coming_deliveries_are_due_in_order(world):
    world.conclude()  # since January, monthly, three days later; now it is 5 April
    assert due(world) == (["2026-01", "2026-02", "2026-03", "2026-04"], [])
    items, _ = due_deliveries(world.services)
    assert [item.at <= NOW for item in items] == [True, True, True, False]
    assert all(item.at <= NOW + HORIZON for item in items)


def test_what_the_ledger_knows_is_not_due_again(world):
    world.conclude()
    path.run(world.services, world.order())
    assert due(world)[0] == ["2026-01", "2026-02", "2026-04"]


@pytest.mark.parametrize(("day", "still_due"), [(5, True), (20, False)])
def test_what_was_refused_on_its_day_waits_for_a_person_and_what_was_tried_too_early_does_not(
    make_world, day, still_due
):
    world = make_world(rows=900)  # up to the end of March
    world.conclude()
    world.at(datetime(2026, 4 if still_due else 5, day, 12, tzinfo=UTC))
    with pytest.raises(DeliveryEmpty):
        path.run(world.services, world.order(period=Period.parse("2026-04")))
    assert ("2026-04" in due(world)[0]) is still_due


@pytest.mark.parametrize("state", [AgreementState.ENDED, AgreementState.REVOKED])
def test_a_stopped_agreement_plans_nothing(world, state):
    world.conclude()
    lifecycle.stop(world.services, AGREEMENT, state, "no longer needed", "tester")
    assert due(world) == ([], [])


def test_an_agreement_that_is_only_offered_plans_nothing(world):
    world.offer()
    assert due(world) == ([], [])


def test_an_agreement_that_was_altered_is_a_problem_and_stops_no_other(world):
    world.conclude()
    document = world.document()
    document["id"] = "GLA-0"
    other, _ = lifecycle.offer(world.services, as_yaml(document).encode(), "tester")
    lifecycle.accept(world.services, "GLA-0", world.signer.sign(other.canonical, "gla-agreement"), "tester")
    lifecycle.activate(world.services, "GLA-0", "tester")
    with writing(world.services.engine) as connection:
        connection.execute(update(agreements).where(agreements.c.id == "GLA-0").values(digest="0" * 64))
    periods_due, [problem] = due(world)
    assert len(periods_due) == 4
    assert problem.startswith("AgreementAltered: agreement GLA-0")


def test_an_agreement_that_is_over_is_a_problem_that_names_itself(world):
    world.conclude(world.document(validUntil="2026-12-31"))
    world.at(datetime(2027, 1, 1, 12, tzinfo=UTC))
    periods_due, [problem] = due(world)
    assert periods_due == []
    assert problem.startswith(f"AgreementExpired: agreement {AGREEMENT}")
