"""The six steps in one process, with real keys, files and database."""

from __future__ import annotations

import json

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from apps.cli import receiving
from core.errors import DeliveryStateError, RowsInvalid, UnusableInput
from core.period import Period
from flows.steps import path
from flows.steps.order import Mode
from tests import fixed_reader
from tests.delivery_world import MARCH


def open_it(world, edition=1, period=None):
    folder = world.published(edition) if period is None else world.published(edition, period)
    document = world.home / "agreements" / "GLA-2026-0007.json"
    signature = document.with_name(document.name + ".sig")
    signature.write_text(world.signer.sign(document.read_bytes(), "gla-agreement"))
    trust = receiving.trust_from_agreement(document, folder)
    manifest = receiving.verified_manifest(folder, trust)
    receiving.check_files(folder, manifest, lambda *_: None)
    out = world.home.parent / f"opened-{edition}"
    pakbon = receiving.open_files(folder, manifest, [world.identity], out, lambda *_: None)
    return manifest, pakbon, out


def agreed_rows(world):
    rows = pl.read_parquet(world.source).select("id", "day", "amount", "note")
    return rows.filter(pl.col("day").is_between(pl.date(2026, 3, 1), pl.date(2026, 3, 31)))


@pytest.mark.parametrize("kind", ["hybrid", "x25519"])
def test_exactly_the_agreed_rows_and_columns_arrive(make_world, kind):
    world = make_world(kind=kind)
    world.conclude()
    outcome = path.run(world.services, world.order())
    _, pakbon, out = open_it(world)
    assert_frame_equal(pl.read_parquet(out / "people.parquet"), agreed_rows(world))
    assert (outcome.rows, outcome.edition, outcome.done_before) == (310, 1, False)
    assert pakbon.rows == 310


@pytest.mark.parametrize("rows", ["some", "none"])
def test_a_required_column_is_one_of_the_parquet_file(world, rows):
    document = world.document(empty="header-only")
    for column in document["schema"][0]["properties"]:
        column["required"] = column["name"] != "note"
    world.conclude(document)
    period = MARCH if rows == "some" else Period.parse("2026-02")
    path.run(world.services, world.order(period=period))
    _, _, out = open_it(world, period=period)
    schema = pq.read_schema(out / "people.parquet")
    assert [field.name for field in schema if field.nullable] == ["note"]
    assert schema.names == ["id", "day", "amount", "note"]


@pytest.mark.parametrize("file_format", ["csv", "csv.gz", "csv.zst"])
def test_csv_arrives_with_the_same_values_and_the_agreed_sums(world, file_format):
    world.conclude(world.document(format=file_format, sums=["amount"]))
    path.run(world.services, world.order())
    _, pakbon, out = open_it(world)
    expected = agreed_rows(world)
    found = pl.read_csv(out / f"people.{file_format}", schema=expected.schema)
    assert_frame_equal(found, expected)
    assert pakbon.sums == {"amount": str(expected["amount"].sum())}


def fixed_document(world, **custom):
    """The default contract in fixed width: its text gets a length and its numbers bounds."""
    document = world.document(format="fixed", **custom)
    options = {"id": {"minimum": 0, "maximum": 9999}, "amount": {"format": "i64"}, "note": {"maxLength": 12}}
    for column in document["schema"][0]["properties"]:
        if column["name"] in options:
            column["logicalTypeOptions"] = options[column["name"]]
    return document


def test_fixed_width_arrives_with_the_same_values_counts_and_sums(world):
    document = fixed_document(world, sums=["amount"])
    world.conclude(document)
    path.run(world.services, world.order())
    _, pakbon, out = open_it(world)
    found = fixed_reader.read((out / "people.fixed").read_bytes(), document["schema"][0]["properties"])
    assert found.rows == agreed_rows(world).to_dicts()
    assert (found.agreement, found.first_day, found.last_day) == ("GLA-2026-0007", "20260301", "20260331")
    assert pakbon.sums == {"amount": str(found.sums[0])}


def test_text_that_does_not_fit_refuses_the_delivery_and_is_not_told(world):
    pl.read_parquet(world.source).with_columns(note=pl.lit("geheim ")).write_parquet(world.source)
    world.conclude(fixed_document(world))
    with pytest.raises(RowsInvalid, match=r"note \(310\)") as caught:
        path.run(world.services, world.order())
    assert "geheim" not in str(caught.value)
    assert world.visible_files() == []


def test_fixed_width_of_a_contract_that_fixes_none_is_refused_when_it_is_offered(world):
    with pytest.raises(UnusableInput, match=r"gla\.format: fixed: column .* has no fixed width"):
        world.offer(world.document(format="fixed"))


def test_a_second_trigger_of_a_finished_delivery_is_a_no_op_that_says_so(world):
    world.conclude()
    path.run(world.services, world.order())
    before = {file: (world.published() / file).read_bytes() for file in ("manifest.json", "people.parquet.age")}
    again = path.run(world.services, world.order())
    assert again.done_before
    assert before == {file: (world.published() / file).read_bytes() for file in before}


def test_redeliver_brings_back_the_same_bytes(world):
    world.conclude()
    path.run(world.services, world.order())
    before = {item.name: item.read_bytes() for item in world.published().iterdir()}
    for item in world.published().iterdir():
        item.unlink()
    world.published().rmdir()
    path.run(world.services, world.order(Mode.REDELIVER, "lost at the recipient's side"))
    assert {item.name: item.read_bytes() for item in world.published().iterdir()} == before


def test_correct_makes_the_next_edition_and_supersedes_the_one_before(world):
    world.conclude()
    path.run(world.services, world.order())
    pl.read_parquet(world.source).with_columns(pl.col("amount") + 1).write_parquet(world.source)
    outcome = path.run(world.services, world.order(Mode.CORRECT, "amounts were one cent short"))
    manifest, pakbon, out = open_it(world, edition=2)
    assert outcome.edition == 2
    assert (manifest.supersedes, pakbon.reason) == (1, "amounts were one cent short")
    assert_frame_equal(pl.read_parquet(out / "people.parquet"), agreed_rows(world))
    first = world.services.ledger.get("GLA-2026-0007", world.order().period, 1)
    assert first.state == "superseded"


def test_a_period_of_after_the_agreement_is_refused_and_one_of_before_it_is_not(world):
    world.conclude(world.document(validFrom="2026-04-01", validUntil="2026-12-31"))
    assert path.run(world.services, world.order()).rows == 310
    with pytest.raises(UnusableInput, match="ends on 2026-12-31, before the period begins"):
        path.run(world.services, world.order(period=Period.parse("2027-01")))


def test_correct_of_a_delivery_that_never_happened_is_refused(world):
    world.conclude()
    with pytest.raises(DeliveryStateError, match="resume"):
        path.run(world.services, world.order(Mode.CORRECT, "too early"))


@pytest.mark.parametrize("mode", [Mode.REDELIVER, Mode.CORRECT])
def test_a_rerun_without_a_reason_is_refused(world, mode):
    with pytest.raises(UnusableInput, match="reason"):
        world.order(mode)


def test_a_delivery_of_a_period_that_is_not_over_says_so_in_the_ledger(world):
    world.conclude(world.document(empty="deliver"))
    april = Period.parse("2026-04")  # it is the fifth of April
    path.run(world.services, world.order(period=april))
    begun = [event for event in world.events() if event["action"] == "delivery.extracting"]
    assert "until 2026-04-30" in json.loads(begun[-1]["detail"])["early"]


def test_a_delivery_of_a_period_that_is_over_is_not_called_early(world):
    world.conclude()
    path.run(world.services, world.order())
    begun = [event for event in world.events() if event["action"] == "delivery.extracting"]
    assert "early" not in json.loads(begun[-1]["detail"])


def test_the_manifest_says_nothing_about_the_people_in_the_delivery(world):
    world.conclude(world.document(sums=["amount"]))
    path.run(world.services, world.order())
    manifest = json.loads((world.published() / "manifest.json").read_bytes())
    assert "rows" not in json.dumps(manifest)
    assert set(manifest["files"][0]) == {"filename", "size", "checksum", "contentType", "chunkSize", "chunks"}


def test_an_empty_period_is_delivered_with_its_columns_where_the_agreement_says_so(world):
    world.conclude(world.document(empty="deliver"))
    from core.period import Period

    nothing = Period.parse("2026-11")
    outcome = path.run(world.services, world.order(period=nothing))
    _, _, out = open_it(world, period=nothing)
    assert outcome.rows == 0
    assert pl.read_parquet(out / "people.parquet").columns == ["id", "day", "amount", "note"]
