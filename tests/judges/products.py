"""Our data products with made-up data as it is generated, and with every kind of mistake in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from flows.sources.synthetic import generate
from schemas.products import product_contract, product_names
from schemas.reader import read_document
from tests.judges.pairs import Pair

ROWS = 240
Mistake = Callable[[pl.DataFrame, list[Mapping[str, Any]]], pl.DataFrame]


def product_pairs(folder: Path) -> Iterator[Pair]:
    """Of each product one pair for each mistake that its contract can have; the data is written below `folder`."""
    for name in product_names():
        contract = read_document(product_contract(name), "the contract")
        file = folder / f"{name}.parquet"
        generate(name, file, ROWS, seed=1)
        good = pl.read_parquet(file)
        yield Pair(name, contract, good)
        for mistake, make in MISTAKES.items():
            bad = make(good, contract["schema"][0]["properties"])
            if not bad.equals(good):
                yield Pair(f"{name}, {mistake}", contract, bad)


def _null_where_required(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    return _put(frame, _first(columns, lambda each: each.get("required")), None)


def _null_in_key(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    return _put(frame, _first(columns, lambda each: each.get("primaryKey")), None)


def _unknown_code(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    return _put(frame, _first(columns, lambda each: "enum" in each), "?")


def _no_match(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    return _put(frame, _first(columns, lambda each: "pattern" in each.get("logicalTypeOptions", {})), "?")


def _too_small(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    name = _first(columns, lambda each: each["logicalType"] == "integer" and "minimum" in each["logicalTypeOptions"])
    return _put(frame, name, -1_000_000)


def _too_early(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    name = _first(columns, lambda each: each["logicalType"] == "date")
    early = pl.when(pl.int_range(pl.len()) == 0).then(pl.date(1899, 12, 31)).otherwise(pl.col(name))
    return frame.with_columns(early.alias(name)) if name else frame


def _wrong_type(frame: pl.DataFrame, columns: list[Mapping[str, Any]]) -> pl.DataFrame:
    name = _first(columns, lambda each: each["logicalType"] in ("integer", "date"))
    return frame.with_columns(pl.lit("?").alias(name)) if name else frame


def _first(columns: list[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], Any]) -> str:
    return next((each["name"] for each in columns if wanted({"logicalTypeOptions": {}, **each})), "")


def _put(frame: pl.DataFrame, name: str, value: Any) -> pl.DataFrame:
    """`value` in the first row of a column; the frame as it was if there is no such column."""
    if not name:
        return frame
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(name)).alias(name))


MISTAKES: dict[str, Mistake] = {
    "null where required": _null_where_required,
    "null in the key": _null_in_key,
    "a row twice": lambda frame, _: pl.concat([frame, frame.head(1)]),
    "unknown code": _unknown_code,
    "pattern broken": _no_match,
    "too small": _too_small,
    "too early": _too_early,
    "wrong type": _wrong_type,
    "column missing": lambda frame, _: frame.drop(frame.columns[-1]),
    "column too many": lambda frame, _: frame.with_columns(naam=pl.lit("?")),
    "no such citizen number": lambda frame, _: _put(frame, "bsn", "999999999"),
    "no rows": lambda frame, _: frame.clear(),
}
