"""docs/formats.md says what is written: its example comes out byte for byte, and no format or word is left out."""

from __future__ import annotations

import io
import re
from datetime import date
from pathlib import Path
from typing import get_args

import polars as pl

from core.period import Period
from flows.steps.formats import row_format
from flows.steps.staging import DigestingWriter
from schemas.agreement import FileFormat, OnEmpty
from schemas.fixed_width import MOST_CHARACTERS, MOST_DIGITS
from schemas.reader import read_document
from schemas.rules import TEXT_RULES
from tests.agreements import an_agreement
from tests.fixed_reader import read

PAGE = (Path(__file__).resolve().parents[2] / "docs/formats.md").read_text(encoding="utf-8")
COLUMNS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
RECORDS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]


def shown() -> bytes:
    text = RECORDS.replace("…", "·" * 190).replace("·", " ")
    return text.replace("\n", "\r\n").encode()


def example_columns() -> list[dict]:
    return read_document(f"columns:\n{COLUMNS}".encode(), "the example")["columns"]


def test_the_example_of_fixed_width_is_what_is_written():
    rows = pl.DataFrame(
        {
            "bsn": ["999990019", "999993653"],
            "naam": ["Daniëlle", None],
            "bedrag": [-125, 1000],
            "uren": [36.5, None],
            "dag": [date(2026, 3, 1), date(2026, 3, 31)],
        }
    )
    target = io.BytesIO()
    agreement = an_agreement(example_columns(), format="fixed", sums=["bedrag"])
    form = row_format(agreement, Period.parse("2026-03"), rows.clear())
    with form.open(DigestingWriter(target)) as writer:
        writer.write(form.encode(rows))
    assert target.getvalue() == shown()


def test_the_example_of_fixed_width_is_read_by_the_reader_of_the_tests():
    found = read(shown(), example_columns())
    assert (found.agreement, len(found.rows), found.sums) == ("GLA-1", 2, [875])


def test_every_format_has_a_row():
    assert re.findall(r"^\| `([a-z.]+)`", PAGE.split("\n## CSV\n")[0], re.MULTILINE)[1:] == list(get_args(FileFormat))


def test_every_word_for_no_rows_has_a_row():
    told = re.findall(r"^\| `([a-z-]+)`", PAGE.split("\n## A period without rows\n", 1)[1], re.MULTILINE)
    assert told == list(get_args(OnEmpty))


def test_every_rule_that_fixes_a_width_and_every_limit_is_told():
    fixed = PAGE.split("\n## Fixed width\n", 1)[1]
    assert all(f"`{rule}`" in fixed for rule in TEXT_RULES)
    assert f"{MOST_CHARACTERS:,} characters" in fixed
    assert f"{MOST_DIGITS} digits" in fixed
