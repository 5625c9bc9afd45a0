"""The rows of an opened file are counted in the file itself, in every format."""

from __future__ import annotations

import io
from typing import get_args

import polars as pl
import pytest

from apps.cli.row_count import row_count
from core.period import Period
from flows.steps.formats import row_format
from flows.steps.staging import DigestingWriter
from schemas.agreement import FileFormat
from tests.agreements import an_agreement

COLUMNS = [
    {"name": "n", "logicalType": "integer", "logicalTypeOptions": {"minimum": 0, "maximum": 999}},
    {"name": "s", "logicalType": "string", "logicalTypeOptions": {"maxLength": 10}},
]
ROWS = pl.DataFrame({"n": [1, None, 3, 4], "s": ["é", None, 'a "b",c', None]})


@pytest.mark.parametrize("file_format", get_args(FileFormat))
@pytest.mark.parametrize("height", [0, 1, 4])
def test_all_rows_are_counted_and_only_rows(tmp_path, file_format, height):
    target = io.BytesIO()
    agreement = an_agreement(COLUMNS, format=file_format)
    form = row_format(agreement, Period.parse("2026-03"), ROWS.clear())
    with form.open(DigestingWriter(target)) as writer:
        writer.write(form.encode(ROWS.head(height)))
    path = tmp_path / f"people.{file_format}"
    path.write_bytes(target.getvalue())
    assert row_count(path) == height


def test_a_fixed_width_file_that_was_cut_off_has_fewer_rows(tmp_path, monkeypatch):
    target = io.BytesIO()
    agreement = an_agreement(COLUMNS, format="fixed")
    form = row_format(agreement, Period.parse("2026-03"), ROWS.clear())
    with form.open(DigestingWriter(target)) as writer:
        writer.write(form.encode(ROWS))
    monkeypatch.setattr("apps.cli.row_count._BLOCK_BYTES", 7)
    path = tmp_path / "people.fixed"
    path.write_bytes(target.getvalue())
    assert row_count(path) == 4
    path.write_bytes(target.getvalue()[:-1])
    assert row_count(path) == 3
