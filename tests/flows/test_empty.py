"""A period without rows: refused, delivered as a header or skipped, as the agreement says, and never silently."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from click.testing import CliRunner

from agreements import store
from agreements.rules import AgreementState
from apps.cli.history_page import render
from apps.cli.main import gla
from core.database import reading
from core.errors import AgreementRevoked, DeliveryEmpty, DeliveryStateError, RowsInvalid
from core.period import Period
from flows.steps import lifecycle, path
from flows.steps.order import Mode
from flows.steps.planning import due_deliveries
from ledger.history import Choice, history
from ledger.states import NO_ROWS
from ledger.verify import verify
from schemas.agreement import load_agreement
from tests import fixed_reader
from tests.delivery_world import AGREEMENT, MARCH, NOW
from tests.flows.test_deliver_path import fixed_document, open_it
from tests.flows.test_mutations import mutation_document

FEBRUARY = Period.parse("2026-02")
APRIL = Period.parse("2026-04")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def world(request, make_world):
    """A source that ends with February, so that March, which is over, has no rows."""
    url = request.getfixturevalue("postgresql_database")() if request.param == "postgresql" else None
    world = make_world(rows=590, database_url=url)
    yield world
    world.services.engine.dispose()


@pytest.fixture
def plain(make_world):
    return make_world(rows=590)


def add_march(world):
    rows = pl.read_parquet(world.source)
    later = rows.head(20).with_columns(pl.col("id") + 10_000, day=pl.date(2026, 3, 9))
    pl.concat([rows, later]).write_parquet(world.source)


def remove_rows(world):
    pl.read_parquet(world.source).clear().write_parquet(world.source)


def test_skipped_is_done_with_a_reason_in_the_history_and_nothing_is_published(world):
    world.conclude(world.document(empty="skip"))
    outcome = path.run(world.services, world.order())
    assert (outcome.skipped, outcome.done_before, outcome.rows, outcome.size) == (True, False, 0, 0)
    assert world.visible_files() == []
    assert not any(world.services.settings.staging_dir.rglob("*.age"))
    [row] = history(world.services.engine, Choice(recipient="fonds"))
    assert (row.state, row.rows, row.published, row.reason, row.error) == ("skipped", 0, None, NO_ROWS, None)
    told = [event for event in world.events() if event["action"] == "delivery.skipped"]
    assert [json.loads(event["detail"])["reason"] for event in told] == [NO_ROWS]
    assert verify(world.services.engine, []).deliveries == 1


def test_resuming_a_skipped_one_is_a_no_op_that_says_so(world):
    world.conclude(world.document(empty="skip"))
    path.run(world.services, world.order())
    add_march(world)
    before = len(world.events())
    again = path.run(world.services, world.order())
    assert (again.skipped, again.done_before) == (True, True)
    assert "nothing to do" in again.result
    assert len(world.events()) == before
    assert world.visible_files() == []


def test_the_planner_does_not_try_a_skipped_one_again(world):
    world.conclude(world.document(empty="skip"))
    assert "2026-03" in [str(item.period) for item in due_deliveries(world.services)[0]]
    path.run(world.services, world.order())
    for month in (4, 5, 6):
        world.at(datetime(2026, month, 20, 12, tzinfo=UTC))
        assert "2026-03" not in [str(item.period) for item in due_deliveries(world.services)[0]]


def test_a_period_that_is_not_over_is_not_skipped_and_falls_due_on_its_day(plain):
    """An operator tries the running month, whose rows are still to come."""
    plain.conclude(plain.document(empty="skip"))
    with pytest.raises(DeliveryEmpty, match="the period is not over"):
        path.run(plain.services, plain.order(period=APRIL))
    plain.at(datetime(2026, 5, 20, 12, tzinfo=UTC))
    assert "2026-04" in [str(item.period) for item in due_deliveries(plain.services)[0]]
    assert path.run(plain.services, plain.order(period=APRIL)).skipped, "now it is known that there are none"


def test_rows_that_came_later_are_delivered_by_a_correction(world):
    world.conclude(world.document(empty="skip"))
    path.run(world.services, world.order())
    add_march(world)
    outcome = path.run(world.services, world.order(Mode.CORRECT, "the source was late"))
    assert (outcome.edition, outcome.rows, outcome.skipped) == (2, 20, False)
    manifest, _, _ = open_it(world, edition=2)
    assert manifest.supersedes is None  # the recipient has no edition 1
    assert [(row.edition, row.state) for row in history(world.services.engine)] == [(2, "published"), (1, "superseded")]


def test_a_correction_that_finds_no_rows_either_is_skipped_too_with_both_reasons(plain):
    plain.conclude(plain.document(empty="skip"))
    path.run(plain.services, plain.order())
    again = path.run(plain.services, plain.order(Mode.CORRECT, "the source was late"))
    assert (again.edition, again.skipped) == (2, True)
    assert next(history(plain.services.engine)).reason == f"the source was late; {NO_ROWS}"


def test_what_was_skipped_cannot_be_delivered_again_since_there_is_nothing(plain):
    plain.conclude(plain.document(empty="skip"))
    path.run(plain.services, plain.order())
    with pytest.raises(DeliveryStateError, match="skipped as agreed: use mode correct"):
        path.run(plain.services, plain.order(Mode.REDELIVER, "lost"))


def test_a_correction_that_leaves_no_rows_is_delivered_or_the_recipient_would_keep_what_was_withdrawn(world):
    world.conclude(world.document(empty="skip"))
    path.run(world.services, world.order(period=FEBRUARY))
    remove_rows(world)
    outcome = path.run(world.services, world.order(Mode.CORRECT, "all of it was wrong", FEBRUARY))
    manifest, pakbon, out = open_it(world, edition=2, period=FEBRUARY)
    assert (outcome.skipped, manifest.supersedes, pakbon.rows) == (False, 1, 0)
    assert pl.read_parquet(out / "people.parquet").columns == ["id", "day", "amount", "note"]


def test_a_period_with_rows_is_delivered_also_where_empty_ones_are_skipped(plain):
    plain.conclude(plain.document(empty="skip"))
    assert path.run(plain.services, plain.order(period=FEBRUARY)).rows == 280


def test_rows_that_are_invalid_are_refused_and_not_skipped(plain):
    document = plain.document(empty="skip")
    document["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterThan": 0}]
    plain.conclude(document)
    with pytest.raises(RowsInvalid, match="rowCount"):
        path.run(plain.services, plain.order())
    assert next(history(plain.services.engine)).state == "refused"


def test_refused_is_the_default_and_a_later_run_goes_on(world):
    world.conclude()
    with pytest.raises(DeliveryEmpty, match=r"gla\.empty is refuse"):
        path.run(world.services, world.order())
    assert next(history(world.services.engine)).state == "refused"
    add_march(world)
    assert path.run(world.services, world.order()).rows == 20


@pytest.mark.parametrize("word", ["header-only", "deliver"])
@pytest.mark.parametrize("file_format", ["parquet", "csv", "csv.gz", "csv.zst"])
def test_header_only_is_a_delivery_with_the_agreed_columns_and_no_rows(plain, word, file_format):
    plain.conclude(plain.document(empty=word, format=file_format))
    outcome = path.run(plain.services, plain.order())
    _, pakbon, out = open_it(plain)
    file = out / f"people.{file_format}"
    found = pl.read_parquet(file) if file_format == "parquet" else pl.read_csv(file)
    assert (found.columns, found.height) == (["id", "day", "amount", "note"], 0)
    assert (outcome.skipped, outcome.rows, pakbon.rows) == (False, 0, 0)


def test_header_only_in_fixed_width_has_a_trailer_that_counts_none(plain):
    document = fixed_document(plain, empty="header-only", sums=["amount"])
    plain.conclude(document)
    path.run(plain.services, plain.order())
    _, _, out = open_it(plain)
    found = fixed_reader.read((out / "people.fixed").read_bytes(), document["schema"][0]["properties"])
    assert (found.rows, found.sums) == ([], [0])


def test_a_revocation_while_it_was_read_stops_a_skip_too(plain):
    plain.conclude(plain.document(empty="skip"))

    def revoke_after_reading(name, function, *args):
        result = function(*args)
        if name == "extract, validate, seal":
            lifecycle.stop(plain.services, AGREEMENT, AgreementState.REVOKED, "no longer lawful", "tester")
        return result

    with pytest.raises(AgreementRevoked):
        path.run(plain.services, plain.order(), revoke_after_reading)
    assert next(history(plain.services.engine)).state == "refused"


def test_the_older_word_means_header_only_and_the_signed_document_keeps_it(plain):
    plain.conclude(plain.document(empty="deliver"))
    with reading(plain.services.engine) as connection:
        document = store.get(connection, AGREEMENT).document
    assert b'"deliver"' in document
    assert load_agreement(document).on_empty == "header-only"


def test_the_recipient_reads_in_the_history_that_there_were_no_rows(plain):
    plain.conclude(plain.document(empty="skip"))
    path.run(plain.services, plain.order())
    page = render(list(history(plain.services.engine, Choice(recipient="fonds"))), NOW, recipient="fonds")
    assert "overgeslagen: geen rijen" in page
    assert "Reden: geen rijen in dit tijdvak: er is niets geleverd, zoals afgesproken" in page


def test_the_command_says_what_was_skipped_and_that_it_was_before(plain):
    plain.conclude(plain.document(empty="skip"))
    runner = CliRunner(env={"GLA_HOME": str(plain.home)})
    first = runner.invoke(gla, ["deliver", AGREEMENT, str(MARCH)])
    assert (first.exit_code, "no rows, so skipped as agreed" in first.output) == (0, True)
    again = runner.invoke(gla, ["deliver", AGREEMENT, str(MARCH)])
    assert (again.exit_code, "skipped before, nothing to do (--mode correct" in again.output) == (0, True)
    shown = runner.invoke(gla, ["history", "--json"])
    assert [(row["state"], row["reason"]) for row in json.loads(shown.output)] == [("skipped", NO_ROWS)]
    assert "nothing is published" in runner.invoke(gla, ["agreement", "show", AGREEMENT]).output


def test_a_run_that_is_stopped_before_it_records_the_skip_is_resumed(plain):
    plain.conclude(plain.document(empty="skip"))

    def stop_before_recording(name, function, *args):
        if name == "record":
            raise KeyboardInterrupt
        return function(*args)

    with pytest.raises(KeyboardInterrupt):
        path.run(plain.services, plain.order(), stop_before_recording)
    assert next(history(plain.services.engine)).state == "failed"
    assert path.run(plain.services, plain.order()).skipped
    assert verify(plain.services.engine, []).deliveries == 1


def test_a_period_in_which_nothing_changed_is_skipped_and_the_next_tells_what_changed_since_the_last_delivered(plain):
    plain.conclude(mutation_document(plain, empty="skip"))
    path.run(plain.services, plain.order(period=FEBRUARY))
    assert path.run(plain.services, plain.order()).skipped
    add_march(plain)
    assert path.run(plain.services, plain.order(period=APRIL)).rows == 20
    _, pakbon, _ = open_it(plain, period=APRIL)
    assert (pakbon.plan.base.period, pakbon.mutations.new) == ("2026-02", 20)


def test_the_header_of_csv_fits_the_rows_also_where_the_mutation_comes_first(plain):
    document = mutation_document(plain, format="csv")
    document["schema"][0]["properties"].insert(0, document["schema"][0]["properties"].pop())
    plain.conclude(document)
    path.run(plain.services, plain.order())
    _, _, out = open_it(plain)
    found = pl.read_csv(out / "people.csv", infer_schema=False)
    assert (found.columns[0], found["mutatie"].unique().to_list(), found.height) == ("mutatie", ["N"], 590)
