"""What is overdue and what falls due next, for operators and for recipients."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from apps.cli.history import history
from flows.steps.outlook import outlook
from flows.steps.path import run
from ledger.history import Choice
from ledger.states import State
from tests.delivery_world import AGREEMENT, RECIPIENT, World

EVERYTHING = Choice()


@pytest.fixture
def planned(world: World) -> World:
    """A monthly agreement from January, due on the fourth of the next month; today is 5 April."""
    world.conclude()
    return world


def expected(world: World, choice: Choice = EVERYTHING) -> list[tuple[str, bool, State | None]]:
    found, problems = outlook(world.services, choice)
    assert problems == []
    return [(each.period, each.overdue, each.state) for each in found]


def show(world: World, *arguments: str) -> Result:
    return CliRunner().invoke(history, ["--due", *arguments], obj=world.services.settings, catch_exceptions=False)


def test_what_was_not_delivered_is_overdue_and_what_comes_is_next(planned: World) -> None:
    assert expected(planned) == [
        ("2026-01", True, None),
        ("2026-02", True, None),
        ("2026-03", True, None),
        ("2026-04", False, None),
    ]
    run(planned.services, planned.order())
    assert [period for period, _, _ in expected(planned)] == ["2026-01", "2026-02", "2026-04"]


def test_what_was_begun_and_stopped_is_still_overdue(planned: World) -> None:
    planned.source.write_bytes(planned.source.read_bytes()[:1000])
    with pytest.raises(Exception, match="source"):
        run(planned.services, planned.order())
    (found,) = (each for each in outlook(planned.services, EVERYTHING)[0] if each.period == "2026-03")
    assert found.overdue
    assert found.state in (State.FAILED, State.REFUSED)
    assert found.error is not None


def test_a_delivery_that_expired_was_there(planned: World) -> None:
    run(planned.services, planned.order())
    planned.at(datetime(2026, 4, 30, tzinfo=UTC))
    assert [period for period, _, _ in expected(planned)] == ["2026-01", "2026-02", "2026-04", "2026-05"]


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        (Choice(recipient=RECIPIENT), 4),
        (Choice(recipient="other"), 0),
        (Choice(agreement=AGREEMENT, period="2026-04"), 1),
        (Choice(product="other"), 0),
    ],
)
def test_expected_deliveries_are_chosen(planned: World, choice: Choice, count: int) -> None:
    assert len(expected(planned, choice)) == count


def test_people_and_programs_read_it(planned: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.cli.history.open_existing", lambda _: planned.services)  # whose clock stands still
    output = show(planned).output
    assert output.count("overdue since") >= 3
    assert AGREEMENT in output
    rows = json.loads(show(planned, "--json", "--recipient", RECIPIENT).output)
    assert rows[0]["period"] == "2026-01"
    assert rows[0]["overdue"] is True
    (line,) = csv.DictReader(io.StringIO(show(planned, "--csv", "--limit", "1").output))
    assert (line["recipient"], line["overdue"], line["state"]) == (RECIPIENT, "true", "")
    assert "nothing is expected" in show(planned, "--as-recipient", "other").output
