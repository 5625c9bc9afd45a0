"""Write a product's rows chunk by chunk to one Parquet file: chunks are made in threads while earlier ones are written.

Memory is bounded by a few chunks, whatever the number of rows. A chunk's randomness depends on the seed and its place
only, so that the threads cannot change one byte. The file appears when it is complete; an existing one is replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import UnusableInput
from flows.sources.synthetic.columns import BLOCK, MONTHS
from flows.sources.synthetic.people import People
from flows.sources.synthetic.recipe import Recipe, Units

Progress = Callable[[int], None]  # rows written so far
_CHUNK_ROWS = 40 * BLOCK * MONTHS  # one row group; a reader holds several at once: larger ones would cost it memory
_AHEAD = 3  # chunks made or being made while one is written, about 10 MB each


def write(recipe: Recipe, path: Path, rows: int, seed: int, progress: Progress) -> None:
    """Exactly `rows` rows to `path`; `UnusableInput` if it cannot be written or people run out."""
    if rows < 1:
        raise UnusableInput("at least one row must be asked for")
    units = -(-rows // recipe.rows_per_unit)
    people = People.enough_for(units, recipe.units_per_person, seed)
    beside = path.with_name(f".{path.name}.part")
    try:
        _write_all(_made_ahead(recipe, people, rows, seed), recipe, beside, progress)
        beside.replace(path)
    except OSError:
        pass
    else:
        return
    finally:
        beside.unlink(missing_ok=True)
    raise UnusableInput("the file cannot be written: is there such a folder, and room in it?")


def _write_all(chunks: Iterator[pa.Table], recipe: Recipe, path: Path, progress: Progress) -> None:
    first = next(chunks)
    done = 0
    with _writer(first.schema, recipe, path) as writer:
        for chunk in _with(first, chunks):
            writer.write_table(chunk, row_group_size=chunk.num_rows)
            done += chunk.num_rows
            progress(done)


def _with(first: pa.Table, others: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from others


def _writer(schema: pa.Schema, recipe: Recipe, path: Path) -> pq.ParquetWriter:
    """Each column in the encoding that suits it. Without Arrow's own schema a dictionary reads back as plain text."""
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    whole = [field.name for field in schema if pa.types.is_integer(field.type)]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=coded,
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        write_statistics=[recipe.period_column],
        store_schema=False,
    )


def _made_ahead(recipe: Recipe, people: People, rows: int, seed: int) -> Iterator[pa.Table]:
    """The chunks in their order; numpy lets other threads run while it computes."""
    coming: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            for start in range(0, rows, _CHUNK_ROWS):
                wanted = min(_CHUNK_ROWS, rows - start)
                coming.append(pool.submit(_chunk, recipe, people, start // recipe.rows_per_unit, wanted, seed))
                if len(coming) > _AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for each in coming:
                each.cancel()


def _chunk(recipe: Recipe, people: People, start: int, rows: int, seed: int) -> pa.Table:
    """`rows` rows of the units from `start`: whole blocks are made, and then cut to what is wanted."""
    wanted = -(-rows // recipe.rows_per_unit)
    size = -(-wanted // BLOCK) * BLOCK
    units = Units(np.arange(start, start + size), people, np.random.default_rng([seed, start]))
    table = pa.table(dict(recipe.columns(units)))
    return table if table.num_rows == rows else table.filter(_wanted(size, recipe.rows_per_unit, rows))


def _wanted(size: int, rows_per_unit: int, rows: int) -> pa.Array:
    """All rows of the first units; of the last that is wanted only the first months."""
    unit = np.arange(size).reshape(-1, 1, BLOCK)
    month = np.arange(rows_per_unit).reshape(1, -1, 1)
    return pa.array((unit * rows_per_unit + month < rows).ravel())
