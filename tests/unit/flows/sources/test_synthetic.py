"""Made-up data: nobody real, always the same, and in order with the product's contract, which finds what is not."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from core.canonical import sha256_hex
from core.errors import UnusableInput
from core.period import Period
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from flows.sources.synthetic import RECIPES, generate
from flows.sources.synthetic.columns import text
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.filters import parse_filter
from schemas.products import product_contract, product_document, product_names
from schemas.validation import Validator

PRODUCTS = sorted(RECIPES)
YEAR = Period.parse("2026")
ROWS = 250_000  # more than one chunk


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for product in PRODUCTS:
        generate(product, folder / f"{product}.parquet", ROWS, 7)
    return folder


@pytest.fixture(scope="module")
def frames(made):
    return {product: pl.read_parquet(made / f"{product}.parquet") for product in PRODUCTS}


def compiled(product):
    return compile_table(load_contract(product_contract(product)).table)


def in_period(product, path, period):
    """What an agreement on this product delivers of one period, and what our validator says of it."""
    table = compiled(product)
    column = RECIPES[product].period_column
    bounds = parse_filter(
        [
            {"column": column, "operator": "greaterOrEqualTo", "bound": "period.start"},
            {"column": column, "operator": "lessThan", "bound": "period.end"},
        ]
    )
    judge = Validator(table, period)
    for batch in FileSource("made", path).batches(ExtractionPlan(planned_columns(table), bounds, period)):
        judge.check(batch)
    return judge.finish()


def judged(product, frame, period=YEAR):
    judge = Validator(compiled(product), period)
    judge.check(frame)
    return judge.finish()


def test_every_product_of_the_catalogue_can_be_made_up():
    assert sorted(RECIPES) == product_names()


@pytest.mark.parametrize("product", PRODUCTS)
def test_rows_obey_the_product_contract(made, product):
    verdict = in_period(product, made / f"{product}.parquet", YEAR)
    assert verdict.as_json() == {"valid": True, "rows": ROWS, "failures": []}
    assert verdict.warnings == ()


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("rows", "seed"), [(1, 1), (11, 2), (12, 3), (13, 0), (504, 4), (6_049, 5), (260_001, 6)])
def test_any_number_of_rows_is_exact_and_valid(tmp_path, product, rows, seed):
    generate(product, tmp_path / "x.parquet", rows, seed)
    assert in_period(product, tmp_path / "x.parquet", YEAR).as_json() == {"valid": True, "rows": rows, "failures": []}


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_month_is_a_valid_delivery_and_the_months_are_the_whole_year(made, product):
    verdicts = [in_period(product, made / f"{product}.parquet", Period.parse(f"2026-{n:02}")) for n in range(1, 13)]
    assert all(verdict.valid for verdict in verdicts)
    assert sum(verdict.rows for verdict in verdicts) == ROWS
    assert min(verdict.rows for verdict in verdicts) > ROWS // 15


@pytest.mark.parametrize("product", PRODUCTS)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path, product):
    for seed in (7, 8):
        generate(product, tmp_path / f"{seed}.parquet", ROWS, seed)
    expected = sha256_hex((made / f"{product}.parquet").read_bytes())
    assert sha256_hex((tmp_path / "7.parquet").read_bytes()) == expected
    assert sha256_hex((tmp_path / "8.parquet").read_bytes()) != expected


def test_no_text_is_in_a_dictionary_twice():
    column = text(pa.array(["a", "b", "a"]), np.array([2, 1, 0]))
    assert column.to_pylist() == ["a", "b", "a"]
    assert column.dictionary.to_pylist() == ["a", "b"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_columns_have_the_names_and_order_of_the_contract(frames, product):
    assert tuple(frames[product].columns) == compiled(product).columns
    assert dict(frames[product].schema) == dict(compiled(product).dtypes)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_code_of_few_occurs_and_every_column_varies(frames, product):
    for column in product_document(product)["schema"][0]["properties"]:
        found = frames[product][column["name"]].drop_nulls().n_unique()
        assert found > 1 or column["name"] == "nummer_ikv", column["name"]


def test_many_people_have_other_test_numbers_each_person_at_most_three_relations(tmp_path):
    generate("inkomstenverhoudingen", tmp_path / "x.parquet", 12 * 30_000, 1)
    frame = pl.read_parquet(tmp_path / "x.parquet", columns=["bsn", "nummer_ikv"]).unique()
    assert frame["bsn"].str.starts_with("9").all()
    assert frame.height == 30_000
    assert frame["nummer_ikv"].max() <= 3


@pytest.mark.parametrize("product", PRODUCTS)
def test_few_people_are_from_the_reserved_test_range(tmp_path, product):
    generate(product, tmp_path / "x.parquet", 100_000, 3)
    numbers = pl.read_parquet(tmp_path / "x.parquet")
    assert numbers["bsn"].str.starts_with("9999").all()
    assert "loonheffingennummer" not in numbers or numbers["loonheffingennummer"].str.starts_with("9999").all()


def test_progress_counts_up_to_all_rows(tmp_path):
    seen = []
    generate("melding-aog", tmp_path / "x.parquet", 600_000, 1, seen.append)
    assert seen == sorted(set(seen))
    assert len(seen) == 3
    assert seen[-1] == 600_000


def test_impossible_requests_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(UnusableInput, match="at least one"):
        generate("melding-aog", tmp_path / "x.parquet", 0, 1)
    with pytest.raises(UnusableInput, match="cannot be written"):
        generate("melding-aog", tmp_path / "absent" / "x.parquet", 1, 1)
    with pytest.raises(UnusableInput, match="not enough test citizen numbers"):
        generate("melding-aog", tmp_path / "x.parquet", 10**9, 1)
    with pytest.raises(UnusableInput, match="choose from inkomstenverhoudingen"):
        generate("../secret", tmp_path / "x.parquet", 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_leaves_the_file_that_was_there(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"before")

    def stop(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate("melding-aog", tmp_path / "x.parquet", 2_000_000, 1, stop)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


# What the contracts cannot say


def test_income_months_lie_in_their_relation_and_are_as_many_each_month(frames):
    frame = frames["inkomstenverhoudingen"]
    inside = (pl.col("datum_aanvang_tijdvak") >= pl.col("datum_aanvang_ikv")) & (
        pl.col("datum_einde_tijdvak") <= pl.col("datum_einde_ikv").fill_null(date(9999, 12, 31))
    )
    assert frame.select(inside.all()).item()
    months = frame.group_by("datum_aanvang_tijdvak").len().sort("datum_aanvang_tijdvak")
    assert months["datum_aanvang_tijdvak"].to_list() == [date(2026, month, 1) for month in range(1, 13)]
    assert months["len"].max() - months["len"].min() <= 1


def test_a_benefit_has_no_kind_of_employment_and_no_hours_and_wages_have_both(frames):
    frame = frames["inkomstenverhoudingen"]
    wages = pl.col("code_soort_ikv").is_in(["11", "13", "15"])
    benefits = frame.filter(~wages)
    assert benefits["code_aard_arbeidsverhouding"].null_count() == benefits.height > 0
    assert (benefits["aantal_verloonde_uren"] == 0).all()
    assert frame.filter(wages)["code_aard_arbeidsverhouding"].null_count() == 0
    assert frame["aantal_verloonde_uren"].max() <= 184


def test_corrections_are_negative_in_hours_and_amounts_alike(frames):
    frame = frames["inkomstenverhoudingen"]
    corrections = frame.filter(pl.col("loon_lb_ph") < 0)
    assert ROWS // 200 < corrections.height < ROWS // 50
    assert (corrections["aantal_verloonde_uren"] <= 0).all()
    assert (corrections["sv_loon"] <= 0).all()
    assert (frame.filter(pl.col("code_soort_ikv") == "43")["sv_loon"] == 0).all()


def test_an_ended_benefit_has_a_reason_and_no_period_after_its_end(frames):
    frame = frames["uitkeringen-ao"]
    ended = frame.filter(pl.col("datum_einde_uitkeringsverhouding").is_not_null())
    assert 0 < ended.height < frame.height
    assert (
        frame["reden_einde_uitkeringsverhouding"].is_null() == frame["datum_einde_uitkeringsverhouding"].is_null()
    ).all()
    assert (ended["datum_einde_uitkeringsperiode"] <= ended["datum_einde_uitkeringsverhouding"]).all()


def test_withdrawn_periods_are_negative_and_only_those(frames):
    frame = frames["uitkeringen-ao"]
    withdrawn = frame["code_mutatie"] == "V"
    assert withdrawn.any()
    assert ((frame["bruto_uitkeringsbedrag"] < 0) == withdrawn).all()


def test_a_new_period_is_reported_in_its_own_month_and_once_and_a_change_later(frames):
    frame = frames["uitkeringen-ao"].with_columns(
        about=pl.col("datum_aanvang_uitkeringsperiode").dt.month(), reported=pl.col("datum_mutatie").dt.month()
    )
    new = pl.col("code_mutatie") == "N"
    assert frame.select((new == (pl.col("about") == pl.col("reported"))).all()).item()
    assert frame.select((pl.col("about") <= pl.col("reported")).all()).item()


def test_full_incapacity_is_what_its_benefits_need(frames):
    for product in ("uitkeringen-ao", "melding-aog"):
        full = frames[product].filter(pl.col("code_soort_uitkering").is_in(["39", "37"]))["code_ao_klasse"].drop_nulls()
        assert (full == "8").all()


@pytest.mark.parametrize("ending", ["00", "0000", "00000000"])
def test_some_old_dates_are_partly_unknown(frames, ending):
    for product in ("uitkeringen-ao", "melding-aog"):
        assert frames[product]["datum_eerste_ao_dag"].str.ends_with(ending).any()


def test_only_a_granted_claim_gives_a_right_with_a_first_day_and_a_class(frames):
    frame = frames["melding-aog"]
    granted = frame["code_beslissing"].is_in(["T", "G", "H"])
    assert ((frame["indicatie_recht_op_uitkering"] == "1") == granted).all()
    assert (frame["datum_aanvang_recht"].is_not_null() == granted).all()
    assert (frame["code_ao_klasse"].is_not_null() == granted).all()
    assert frame["meldingnummer"].n_unique() == frame["kenmerk_deelnemer"].n_unique() == ROWS


# One wrong value of each kind is found


def spoiled(frame, column, value):
    """The frame with `value` in the first row of the column."""
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(pl.when(first).then(pl.lit(value, frame.schema[column])).otherwise(column).alias(column))


WRONG = [
    ("inkomstenverhoudingen", "bsn", "123456789", "bsn"),
    ("inkomstenverhoudingen", "bsn", None, "required"),
    ("inkomstenverhoudingen", "loonheffingennummer", "123456789L01", "loonheffingennummer"),
    ("inkomstenverhoudingen", "loonheffingennummer", "123456782L1", "pattern"),
    ("inkomstenverhoudingen", "nummer_ikv", 10_000, "maximum"),
    ("inkomstenverhoudingen", "code_soort_ikv", "35", "enum"),
    ("inkomstenverhoudingen", "code_aard_arbeidsverhouding", "01", "enum"),
    ("inkomstenverhoudingen", "datum_aanvang_ikv", date(1899, 12, 31), "minimum"),
    ("inkomstenverhoudingen", "datum_einde_ikv", date(2025, 12, 31), "not-before(datum_aanvang_tijdvak)"),
    ("inkomstenverhoudingen", "datum_einde_ikv", date(1950, 1, 1), "not-before(datum_aanvang_ikv)"),
    ("inkomstenverhoudingen", "datum_einde_tijdvak", date(2006, 1, 1), "not-before(datum_aanvang_tijdvak)"),
    ("inkomstenverhoudingen", "sv_loon", None, "required"),
    ("uitkeringen-ao", "bsn", "000000000", "bsn"),
    ("uitkeringen-ao", "volgnummer_uitkeringsverhouding", 0, "minimum"),
    ("uitkeringen-ao", "code_soort_uitkering", "15", "enum"),
    ("uitkeringen-ao", "code_ao_klasse", "9", "enum"),
    ("uitkeringen-ao", "datum_eerste_ao_dag", "20260230", "yyyymmdd-partial"),
    ("uitkeringen-ao", "datum_aanvraag", "2026-02-01", "yyyymmdd-partial"),
    ("uitkeringen-ao", "code_beslissing", "X", "enum"),
    ("uitkeringen-ao", "datum_einde_uitkeringsverhouding", date(2000, 1, 1),
     "not-before(datum_aanvang_uitkeringsverhouding)"),
    ("uitkeringen-ao", "reden_einde_uitkeringsverhouding", "Onbekend", "enum"),
    ("uitkeringen-ao", "uren_per_week_grondslag", "4060", "pattern"),
    ("uitkeringen-ao", "datum_aanvang_uitkeringsperiode", date(2000, 1, 1),
     "not-before(datum_aanvang_uitkeringsverhouding)"),
    ("uitkeringen-ao", "datum_einde_uitkeringsperiode", date(2000, 1, 1),
     "not-before(datum_aanvang_uitkeringsperiode)"),
    ("uitkeringen-ao", "code_uitkeringsperiode", "10", "enum"),
    ("uitkeringen-ao", "bruto_uitkeringsbedrag", None, "required"),
    ("uitkeringen-ao", "code_mutatie", "D", "enum"),
    ("uitkeringen-ao", "datum_mutatie", date(2027, 1, 1), "within-period"),
    ("melding-aog", "meldingnummer", "M123", "pattern"),
    ("melding-aog", "abonnementsnummer", "1234567", "pattern"),
    ("melding-aog", "kenmerk_deelnemer", "", "minLength"),
    ("melding-aog", "kenmerk_deelnemer", "D" * 21, "maxLength"),
    ("melding-aog", "indicatie_recht_op_uitkering", "0", "enum"),
    ("melding-aog", "datum_melding", date(2025, 12, 31), "within-period"),
    ("melding-aog", "datum_dagtekening_beslissing", None, "required"),
]  # fmt: skip


@pytest.mark.parametrize(("product", "column", "value", "rule"), WRONG)
def test_one_wrong_value_is_found(frames, product, column, value, rule):
    verdict = judged(product, spoiled(frames[product].head(1_000), column, value))
    assert (column, rule, 1) in {(each.column, each.rule, each.count) for each in verdict.failures}


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_repeated_key_an_extra_column_a_missing_one_and_no_rows_are_found(frames, product):
    frame = frames[product].head(1_000)
    key = ",".join(compiled(product).table.primary_key)
    for wrong, failure in (
        (pl.concat([frame, frame.head(1)]), (key, "primaryKey", 1)),
        (frame.with_columns(extra=0), ("*", "columnNotAgreed", 1)),
        (frame.drop("bsn"), ("bsn", "columnMissing", 1)),
        (frame.clear(), ("*", "rowCount", 0)),
    ):
        found = {(each.column, each.rule, each.count) for each in judged(product, wrong).failures}
        assert failure in found, found


@pytest.mark.parametrize("product", ["uitkeringen-ao", "melding-aog"])
def test_a_row_of_another_month_is_found(frames, product):
    verdict = judged(product, frames[product], Period.parse("2026-03"))
    counted = {each.rule: each.count for each in verdict.failures}
    outside = frames[product].filter(pl.col(RECIPES[product].period_column).dt.month() != 3)
    assert counted == {"within-period": outside.height}
