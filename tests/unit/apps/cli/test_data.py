"""`gla data`: what is in the catalogue, and made-up files of it."""

from __future__ import annotations

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.data import data
from core.errors import UnusableInput
from schemas.products import product_contract, product_names


def run(*words):
    return CliRunner().invoke(data, [str(word) for word in words], catch_exceptions=False, env={"COLUMNS": "200"})


def test_the_catalogue_says_id_name_columns_and_purpose():
    output = run("products").output
    for name in product_names():
        assert name in output
    assert "Melding arbeidsongeschiktheid" in output
    assert "19" in output
    assert "aanvullend pensioen" in output


def test_the_catalogue_never_cuts_an_id_off():
    result = CliRunner().invoke(data, ["products"], env={"COLUMNS": "60"})
    assert all(name in result.output for name in product_names())


def test_one_product_is_printed_as_its_contract():
    assert run("products", "melding-aog").output.encode() == product_contract("melding-aog")
    with pytest.raises(UnusableInput, match="choose from"):
        run("products", "../x")


def test_a_file_is_made_and_said_to_be(tmp_path):
    result = run("generate", "melding-aog", "--rows", "1234", "--out", tmp_path / "m.parquet")
    assert result.exit_code == 0
    assert "m.parquet: 1,234 rows" in result.output
    assert pl.read_parquet(tmp_path / "m.parquet").height == 1234


@pytest.mark.parametrize("words", [["unknown", "--rows", "1"], ["melding-aog", "--rows", "0"], ["melding-aog"]])
def test_a_wrong_request_is_refused_before_anything_is_written(tmp_path, words):
    assert run("generate", *words, "--out", tmp_path / "m.parquet").exit_code == 2
    assert list(tmp_path.iterdir()) == []
