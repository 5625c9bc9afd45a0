"""`gla contract drift`: what no longer fits is told before delivery day, and what never leaves is not."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.contract import contract
from core.errors import AgreementAltered, SourceUnavailable, UnusableInput
from flows.steps.drift import drift
from tests.delivery_world import AGREEMENT, people


def store_source(world, frame):
    frame.write_parquet(world.source)


def only(world):
    (found,) = drift(world.services, AGREEMENT)
    return found


def run(world, *arguments):
    done = CliRunner().invoke(contract, ["drift", *arguments], obj=world.services.settings)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_an_unchanged_source_has_no_drift_and_neither_has_one_with_more_columns(world):
    world.conclude()
    assert drift(world.services, AGREEMENT) == []
    store_source(world, people().with_columns(extra=pl.lit("x")))
    assert drift(world.services, AGREEMENT) == []


def test_an_offer_that_nobody_signed_is_compared_too(world):
    world.offer()
    store_source(world, people().drop("note"))
    assert only(world).problem == "missing"


def test_a_missing_column_is_named_with_the_next_step(world):
    world.offer()
    store_source(world, people().drop("note"))
    found = only(world)
    assert (found.column, found.candidates) == ("note", ())
    assert (
        found.message == "source people has no column note: restore it in the source, or offer an agreement without it"
    )


def test_a_renamed_column_is_suggested_only_if_its_type_fits(world):
    world.offer()
    store_source(world, people().rename({"amount": "Amount_EUR"}).with_columns(amounts=pl.lit("x")))
    found = only(world)
    assert found.candidates == ("Amount_EUR",)
    assert "it may be called Amount_EUR now" in found.message
    assert "with physicalName Amount_EUR" in found.message


def test_a_column_under_its_physical_name_is_no_drift(world):
    document = world.document()
    column = next(each for each in document["schema"][0]["properties"] if each["name"] == "note")
    column |= {"name": "remark", "physicalName": "note"}
    world.offer(document)
    assert drift(world.services, AGREEMENT) == []
    store_source(world, people().drop("note"))
    assert "no column remark (from note)" in only(world).message


def test_another_width_is_no_drift_and_another_kind_is(world):
    world.offer()
    store_source(world, people().with_columns(pl.col("id").cast(pl.Int32)))
    assert drift(world.services, AGREEMENT) == []
    store_source(world, people().with_columns(pl.col("id").cast(pl.String)))
    found = only(world)
    assert (found.column, found.problem) == ("id", "type")
    assert "no longer stores id as integer (String)" in found.message


def nested(**fields):
    return people(10).with_columns(address=pl.struct(**fields))


def test_a_change_inside_a_nested_column_is_told_at_its_place(world):
    document = world.document()
    document["schema"][0]["properties"].append({
        "name": "address", "logicalType": "object", "properties": [
            {"name": "street", "logicalType": "string"}, {"name": "number", "logicalType": "integer"},
        ],
    })  # fmt: skip
    store_source(world, nested(street=pl.lit("a"), number=pl.lit(1)))
    world.offer(document)
    assert drift(world.services, AGREEMENT) == []
    store_source(world, nested(street=pl.lit("a"), number=pl.lit("1")))
    assert (only(world).column, only(world).problem) == ("address.number", "type")
    store_source(world, nested(street=pl.lit("a")))
    assert (only(world).column, only(world).problem) == ("address.number", "missing")
    store_source(world, nested(street=pl.lit("a"), number=pl.lit(1), more=pl.lit(1)))
    assert "holds more inside address than was agreed" in only(world).message


def test_a_column_that_only_the_filter_uses_is_missed_and_its_type_is_compared(world):
    world.offer(world.document(filter=[{"column": "secret", "operator": "equals", "value": "geheim-000001"}]))
    assert drift(world.services, AGREEMENT) == []
    store_source(world, people().drop("secret"))
    assert (only(world).column, only(world).problem) == ("secret", "missing")
    assert "chooses its rows" in only(world).message
    store_source(world, people().with_columns(secret=pl.lit(1)))
    assert only(world).problem == "filter"


def test_of_a_csv_source_only_the_header_is_compared(world, tmp_path):
    path = tmp_path / "rows.csv"
    people(5).write_csv(path)
    world.services.sources.add("rows", str(path))
    world.offer(world.document(source="rows"))
    assert drift(world.services, AGREEMENT) == []
    people(5).with_columns(id=pl.lit("no number")).write_csv(path)
    assert drift(world.services, AGREEMENT) == []
    people(5).rename({"note": "notes"}).write_csv(path)
    assert only(world).candidates == ("notes",)


def test_no_value_of_the_data_or_the_contract_is_told(world):
    world.offer(world.document(filter=[{"column": "secret", "operator": "equals", "value": "geheim-000001"}]))
    store_source(world, people().with_columns(secret=pl.lit(1)).drop("note"))
    assert all("geheim" not in each.message for each in drift(world.services, AGREEMENT))


def test_a_source_that_is_gone_is_an_error_of_its_own(world):
    world.conclude()
    world.source.unlink()
    with pytest.raises(SourceUnavailable):
        drift(world.services, AGREEMENT)


def test_an_altered_agreement_is_not_compared(world):
    from sqlalchemy import update

    from agreements.tables import agreements
    from core.database import writing

    world.offer()
    with writing(world.services.engine) as connection:
        connection.execute(update(agreements).values(document=b"{}"))
    with pytest.raises(AgreementAltered):
        drift(world.services, AGREEMENT)


def test_the_command_says_so_and_exits_with_0_or_1(world):
    world.conclude()
    assert run(world, AGREEMENT) == (0, "no drift: 1 agreement compared with the source\n")
    store_source(world, people().drop("note"))
    code, output = run(world, AGREEMENT)
    assert code == 1
    assert output.startswith(f"agreement {AGREEMENT}: source people has no column note: ")
    code, output = run(world, AGREEMENT, "--json")
    assert (code, json.loads(output)["found"][0]["column"]) == (1, "note")


def test_all_compares_active_agreements_and_counts_one_that_cannot_be_read(world):
    world.offer()
    store_source(world, people().drop("note"))
    assert run(world, "--all") == (0, "no drift: 0 agreements compared with the source\n")
    store_source(world, people())
    world.conclude()
    assert run(world, "--all")[0] == 0
    world.source.unlink()
    code, output = run(world, "--all", "--json")
    told = json.loads(output)
    assert (code, told["drift"], told["compared"]) == (1, True, 1)
    assert told["found"][0]["problem"] == "unreadable"
    assert "SourceUnavailable" in told["found"][0]["message"]


@pytest.mark.parametrize("arguments", [(), (AGREEMENT, "--all")])
def test_either_one_agreement_or_all(world, arguments):
    with pytest.raises(UnusableInput, match="name one agreement, or give --all"):
        run(world, *arguments)
