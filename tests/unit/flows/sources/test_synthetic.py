"""Made-up income relations: nobody real, always the same, and in order with the product's contract."""

from datetime import date

import polars as pl
import pytest

from core.canonical import sha256_hex
from core.errors import UnusableInput
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from flows.sources.synthetic import generate_inkomstenverhoudingen
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.products import product_contract
from schemas.validation import Validator


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "made.parquet"
    generate_inkomstenverhoudingen(path, 200_000, 7)
    return path


def test_rows_obey_the_product_contract(made):
    compiled = compile_table(load_contract(product_contract("inkomstenverhoudingen")).table)
    judge = Validator(compiled)
    for batch in FileSource("made", made).batches(ExtractionPlan(planned_columns(compiled))):
        judge.check(batch)
    assert judge.finish().as_json() == {"valid": True, "rows": 200_000, "failures": []}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    for seed in (7, 8):
        generate_inkomstenverhoudingen(tmp_path / f"{seed}.parquet", 200_000, seed)
    assert sha256_hex((tmp_path / "7.parquet").read_bytes()) == sha256_hex(made.read_bytes())
    assert sha256_hex((tmp_path / "8.parquet").read_bytes()) != sha256_hex(made.read_bytes())


def test_every_number_is_from_the_reserved_test_range(made):
    frame = pl.read_parquet(made)
    assert frame["bsn"].str.starts_with("9999").all()
    assert frame["loonheffingennummer"].str.starts_with("9999").all()


def test_data_has_corrections_nulls_and_all_months(made):
    frame = pl.read_parquet(made)
    assert (frame["sv_loon"] < 0).any()
    assert 0 < frame["datum_einde_ikv"].null_count() < frame.height
    assert 0 < frame["code_aard_arbeidsverhouding"].null_count() < frame.height
    months = frame.group_by("datum_aanvang_tijdvak").len().sort("datum_aanvang_tijdvak")
    assert months["datum_aanvang_tijdvak"].to_list() == [date(2026, month, 1) for month in range(1, 13)]
    assert months["len"].max() - months["len"].min() <= 1


def test_many_people_have_other_test_numbers_each_person_at_most_three_relations(tmp_path):
    generate_inkomstenverhoudingen(tmp_path / "x.parquet", 12 * 30_000, 1)
    frame = pl.read_parquet(tmp_path / "x.parquet", columns=["bsn", "nummer_ikv"]).unique()
    assert frame["bsn"].str.starts_with("9").all()
    assert frame.height == 30_000
    assert frame["nummer_ikv"].max() <= 3


@pytest.mark.parametrize("rows", [1, 11, 12, 13])
def test_small_numbers_of_rows_are_exact(tmp_path, rows):
    generate_inkomstenverhoudingen(tmp_path / "x.parquet", rows, 1)
    assert pl.read_parquet(tmp_path / "x.parquet").height == rows


def test_impossible_requests_are_refused(tmp_path):
    with pytest.raises(UnusableInput, match="at least one"):
        generate_inkomstenverhoudingen(tmp_path / "x.parquet", 0, 1)
    with pytest.raises(UnusableInput, match="cannot be written"):
        generate_inkomstenverhoudingen(tmp_path / "absent" / "x.parquet", 1, 1)
