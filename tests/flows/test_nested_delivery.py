"""Arrays and objects go all the way: extracted, judged inside, sealed as Parquet, opened with the same values."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from core.errors import RowsInvalid, UnusableInput
from flows.sources.files import FileSource
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.steps import path
from keys.private.opening import decrypt_file

NESTED = [
    {
        "name": "home",
        "logicalType": "object",
        "properties": [
            {"name": "street", "logicalType": "string", "required": True},
            {"name": "zip", "logicalType": "string", "logicalTypeOptions": {"pattern": "^[0-9]{4}[A-Z]{2}$"}},
        ],
    },
    {"name": "phones", "logicalType": "array", "items": {"logicalType": "string", "required": True}},
]


def with_nested(world, zip_code="1234AB", **custom):
    """The source gets two nested columns, and the contract agrees on them."""
    document = world.document(**custom)
    plain = pl.read_parquet(world.source)
    nested = plain.select(
        home=pl.struct(street=pl.col("note"), zip=pl.lit(zip_code)),
        phones=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.concat_list("note", "note")),
    )
    plain.hstack(nested).write_parquet(world.source)
    document["schema"][0]["properties"] += NESTED
    return document


def test_arrays_and_objects_arrive_as_they_are(world, tmp_path):
    world.conclude(with_nested(world))
    assert path.run(world.services, world.order()).rows == 310
    sealed = next(world.published().glob("*.parquet.age"))
    decrypt_file(sealed, tmp_path / "opened.parquet", [world.identity])
    expected = pl.read_parquet(world.source).filter(pl.col("day").is_between(pl.date(2026, 3, 1), pl.date(2026, 3, 31)))
    assert_frame_equal(pl.read_parquet(tmp_path / "opened.parquet"), expected.drop("secret"))


def test_a_value_inside_that_breaks_the_contract_refuses_the_delivery_and_is_not_told(world):
    world.conclude(with_nested(world, zip_code="geheim"))
    with pytest.raises(RowsInvalid, match=r"home\.zip: pattern \(310\)") as caught:
        path.run(world.services, world.order())
    assert "geheim" not in str(caught.value)
    assert world.visible_files() == []


def test_csv_format_with_nested_columns_is_refused_when_it_is_offered(world):
    with pytest.raises(UnusableInput, match=r"gla\.format.*home is an array or object"):
        world.offer(with_nested(world, format="csv.zst"))


def test_csv_source_with_nested_columns_is_refused_before_any_row(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("home\nx\n")
    plan = ExtractionPlan((PlannedColumn("home", "home", pl.List(pl.String())),))
    with pytest.raises(UnusableInput, match="is CSV, which cannot hold column home"):
        next(FileSource("a", source).batches(plan))
