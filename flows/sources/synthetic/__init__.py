"""Made-up rows of our data products that obey their contracts: for demonstrations, tests and measurements.

No person can be meant, see `people`. The same product, rows and seed always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.errors import UnusableInput
from flows.sources.synthetic.inkomstenverhoudingen import INKOMSTENVERHOUDINGEN
from flows.sources.synthetic.melding_aog import MELDING_AOG
from flows.sources.synthetic.recipe import Recipe
from flows.sources.synthetic.uitkeringen_ao import UITKERINGEN_AO
from flows.sources.synthetic.writing import Progress, write

RECIPES: Mapping[str, Recipe] = {
    "inkomstenverhoudingen": INKOMSTENVERHOUDINGEN,
    "melding-aog": MELDING_AOG,
    "uitkeringen-ao": UITKERINGEN_AO,
}


def generate(product: str, path: Path, rows: int, seed: int, progress: Progress = lambda _rows: None) -> None:
    """Write `rows` rows of a product of the catalogue to the Parquet file `path`; an existing file is replaced."""
    if product not in RECIPES:
        raise UnusableInput(f"there is no made-up data of that product: choose from {', '.join(sorted(RECIPES))}")
    write(RECIPES[product], path, rows, seed, progress)
