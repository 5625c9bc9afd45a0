"""The report of a validation: in the ledger once, for good and for refused deliveries, and shown from there."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.history import history
from core.errors import DeliveryEmpty, RowsInvalid, UnusableInput
from core.period import Period
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.report import newest_report
from ledger.verify import verify
from tests.delivery_world import AGREEMENT, AMOUNT, MARCH


def limited(world, **custom):
    """The default agreement, with rules that a spoiled source breaks."""
    document = world.document(**custom)
    for column in document["schema"][0]["properties"]:
        if column["name"] == "amount":
            column["logicalTypeOptions"] = {"minimum": AMOUNT}
        if column["name"] == "note":
            column["unique"] = True
    return document


def spoil(world):
    rows = pl.read_parquet(world.source)
    rows = rows.with_columns(
        amount=pl.when(pl.col("id") % 100 == 0).then(pl.col("amount") - AMOUNT).otherwise("amount"),
        note=pl.lit("nota-kanarie"),
    )
    rows.write_parquet(world.source)


def report_of(world, edition=1, period=MARCH):
    delivery = world.services.ledger.get(AGREEMENT, period, edition)
    return newest_report(world.services.ledger, delivery.id)


def gla_history(world, *arguments):
    return CliRunner().invoke(history, arguments, obj=world.services.settings, catch_exceptions=False).output


def test_a_good_delivery_has_its_report_in_the_ledger(world):
    world.conclude(limited(world, sums=["amount"]))
    path.run(world.services, world.order())
    report = report_of(world)
    expected = pl.read_parquet(world.source).filter(pl.col("day").is_between(MARCH.start, MARCH.last_day))
    assert (report.valid, report.rows) == (True, 310)
    assert report.sums == {"amount": expected["amount"].sum()}
    assert report.present == {"id": 310, "day": 310, "amount": 310, "note": 310}
    subject = report.subject
    assert (subject.contract, subject.recipient, subject.period, subject.edition) == (AGREEMENT, "fonds", "2026-03", 1)
    actions = [event["action"] for event in world.events()]
    assert actions.index("delivery.extracting") < actions.index("delivery.validated") < actions.index("delivery.sealed")


def test_a_refused_delivery_has_its_report_too_with_row_numbers_and_no_value(world):
    world.conclude(limited(world))
    spoil(world)
    with pytest.raises(RowsInvalid):
        path.run(world.services, world.order())
    report = report_of(world)
    assert not report.valid
    broken = {(each.column, each.rule): each for each in report.broken}
    assert broken["amount", "minimum"].count == 4
    assert broken["amount", "minimum"].rows == (10, 110, 210, 310)
    assert broken["note", "unique"].count == 309
    told = json.dumps([str(event) for event in world.events()])
    assert "kanarie" not in told
    assert [event["result"] for event in world.events() if event["action"] == "delivery.validated"] == ["refused"]


def test_an_empty_delivery_that_is_refused_says_of_how_many_rows(world):
    world.conclude()
    nothing = Period.parse("2026-11")
    with pytest.raises(DeliveryEmpty):
        path.run(world.services, world.order(period=nothing))
    assert report_of(world, period=nothing).rows == 0


def test_the_sum_of_a_delivery_about_one_person_is_sealed_and_nowhere_else(make_world):
    world = make_world(rows=1)
    world.conclude(world.document(sums=["amount"]))
    january = Period.parse("2026-01")
    path.run(world.services, world.order(period=january))
    assert report_of(world, period=january).sums == {"amount": None}
    assert str(AMOUNT) not in str(world.events())
    assert str(AMOUNT) not in gla_history(world, "--delivery", f"{AGREEMENT}/2026-01", "--json")


def test_the_newest_validation_counts_and_the_chain_stays_whole(world):
    world.conclude(limited(world))
    spoil(world)
    with pytest.raises(RowsInvalid):
        path.run(world.services, world.order())
    from tests.delivery_world import people

    people().write_parquet(world.source)
    path.run(world.services, world.order())
    assert report_of(world).valid
    validated = [event for event in world.events() if event["action"] == "delivery.validated"]
    assert [event["result"] for event in validated] == ["refused", "ok"]
    path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    assert len([event for event in world.events() if event["action"] == "delivery.validated"]) == 2
    assert verify(world.services.engine, []).deliveries == 1


def test_history_shows_the_report_of_one_delivery_in_each_form(world, tmp_path):
    world.conclude(limited(world))
    spoil(world)
    with pytest.raises(RowsInvalid):
        path.run(world.services, world.order())
    name = f"{AGREEMENT}/2026-03"
    shown = gla_history(world, "--delivery", name)
    for word in ("invalid, 310 rows", "minimum", "BROKEN", "10, 110, 210", "holds"):
        assert word in shown
    document = json.loads(gla_history(world, "--delivery", f"{name}/1", "--json"))
    assert (document["verdict"], document["edition"]) == ("invalid", 1)
    gla_history(world, "--delivery", name, "--html", str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Voldoet niet: 2 afspraken zijn niet nagekomen" in page
    assert "maart 2026" in page


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{AGREEMENT}/2026-03/2", "no such delivery"),
        ("GLA-0/2026-03", "no such delivery"),
        (AGREEMENT, "period"),
        (f"{AGREEMENT}/march", "period"),
        (f"{AGREEMENT}/2026-03/first", "AGREEMENT/PERIOD/EDITION"),
        (f"{AGREEMENT}/2026-03/1/2", "AGREEMENT/PERIOD/EDITION"),
    ],
)
def test_a_delivery_that_is_not_there_is_one_sentence(world, name, reason):
    world.conclude()
    path.run(world.services, world.order())
    with pytest.raises(UnusableInput, match=reason):
        gla_history(world, "--delivery", name)


def test_a_delivery_whose_data_was_never_read_says_so(world):
    from core.errors import GlaError

    world.conclude()
    world.source.unlink()
    with pytest.raises(GlaError):
        path.run(world.services, world.order())
    with pytest.raises(UnusableInput, match="no report"):
        gla_history(world, "--delivery", f"{AGREEMENT}/2026-03")


def test_one_delivery_and_a_choice_of_deliveries_exclude_each_other(world):
    done = CliRunner().invoke(history, ["--delivery", "x/2026", "--recipient", "y"], obj=world.services.settings)
    assert done.exit_code == 2
