"""Each product of the catalogue, from made-up rows to what the recipient opens, with an agreement drafted from it."""

from __future__ import annotations

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from apps.cli import receiving
from apps.cli.agreement import agreement
from core.errors import RowsInvalid, UnusableInput
from flows.sources.synthetic import RECIPES, generate
from flows.steps import path
from flows.steps.draft import draft
from schemas.contract import load_contract
from schemas.products import product_contract
from tests.delivery_world import AGREEMENT, MARCH

ROWS = 5_000


def source(world, product):
    """The product's rows as a registered source; the source has another name than the product."""
    file = world.home.parent / "made.parquet"
    generate(product, file, ROWS, 1)
    world.services.sources.add("made", str(file))
    return pl.read_parquet(file)


def drafted(world, product, columns=()):
    return draft(world.services, AGREEMENT, "made", "fonds", columns, RECIPES[product].period_column, product)


def opened(world):
    document = world.home / "agreements" / f"{AGREEMENT}.json"
    signature = document.with_name(document.name + ".sig")
    signature.write_text(world.signer.sign(document.read_bytes(), "gla-agreement"))
    manifest = receiving.verified_manifest(
        world.published(), receiving.trust_from_agreement(document, world.published())
    )
    out = world.home.parent / "opened"
    pakbon = receiving.open_files(world.published(), manifest, [world.identity], out, lambda *_: None)
    return manifest, pakbon, pl.read_parquet(next(out.glob("*.parquet")))


@pytest.mark.parametrize("product", sorted(RECIPES))
def test_a_month_of_the_product_arrives_as_the_source_has_it(world, product):
    rows = source(world, product)
    world.conclude(drafted(world, product))
    outcome = path.run(world.services, world.order())
    manifest, pakbon, found = opened(world)
    day = pl.col(RECIPES[product].period_column)
    assert_frame_equal(found, rows.filter(day.is_between(MARCH.start, MARCH.last_day)))
    assert ROWS // 20 < outcome.rows == pakbon.rows < ROWS // 5
    assert manifest.product == product


@pytest.mark.parametrize("product", sorted(RECIPES))
def test_fewer_columns_without_the_whole_key_keep_the_rules_that_can_be_kept(world, product):
    rows = source(world, product)
    columns = ("bsn", RECIPES[product].period_column)
    world.conclude(drafted(world, product, columns))
    path.run(world.services, world.order())
    _, _, found = opened(world)
    assert set(found.columns) == set(columns)
    pl.DataFrame(rows.with_columns(bsn=pl.lit("123456789"))).write_parquet(world.home.parent / "made.parquet")
    with pytest.raises(RowsInvalid, match="bsn: bsn"):
        path.run(world.services, world.order("correct", "a bad source"))


def test_the_command_drafts_from_the_catalogue(world, tmp_path):
    source(world, "uitkeringen-ao")
    made = tmp_path / "draft.yaml"
    command = ["new", AGREEMENT, "--source", "made", "--recipient", "fonds", "--product", "uitkeringen-ao", "-o", made]
    settings = world.services.settings
    result = CliRunner().invoke(agreement, [str(word) for word in command], obj=settings, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    product = load_contract(product_contract("uitkeringen-ao"))
    document = load_contract(made.read_bytes())
    assert document.table == product.table
    assert document.document["slaProperties"] == product.document["slaProperties"]
    assert document.document["dataProduct"] == "uitkeringen-ao"
    assert "TODO" in document.document["description"]["purpose"]


def test_a_source_that_lacks_a_column_of_the_product_is_refused(world):
    source(world, "melding-aog")
    with pytest.raises(UnusableInput, match="no column bruto_uitkeringsbedrag, code_mutatie"):
        draft(world.services, AGREEMENT, "made", "fonds", (), None, "uitkeringen-ao")
    with pytest.raises(UnusableInput, match="no column sv_loon"):
        drafted(world, "melding-aog", ("bsn", "sv_loon"))
    with pytest.raises(UnusableInput, match="choose from"):
        draft(world.services, AGREEMENT, "made", "fonds", (), None, "nothing")
