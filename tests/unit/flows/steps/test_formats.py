"""Rows as bytes: the same rows give the same file."""

import io

import polars as pl
import pytest

from flows.steps.formats import row_writer
from flows.steps.staging import DigestingWriter


def written(file_format, frame):
    target = io.BytesIO()
    with row_writer(file_format, DigestingWriter(target), frame.clear()) as writer:
        writer.write(frame)
    return target.getvalue()


@pytest.mark.parametrize("file_format", ["parquet", "csv.zst"])
def test_rows_read_in_other_pieces_give_the_same_bytes(file_format):
    whole = pl.DataFrame({"n": range(1000), "s": [f"text {at % 7}" for at in range(1000)]})
    pieces = pl.concat([whole.head(1), whole.slice(1, 600), whole.slice(601)], rechunk=False)
    assert pieces.n_chunks() == 3
    assert written(file_format, pieces) == written(file_format, whole)
