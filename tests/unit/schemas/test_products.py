"""The shipped products: real contracts that compile."""

import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.products import product_contract, product_names


@pytest.mark.parametrize("name", product_names())
def test_shipped_product_compiles(name):
    contract = load_contract(product_contract(name))
    assert contract.id == name
    assert len(compile_table(contract.table).columns) >= 12


def test_unknown_product_is_refused_and_no_path():
    with pytest.raises(UnusableInput, match="inkomstenverhoudingen"):
        product_contract("../../core/settings")
