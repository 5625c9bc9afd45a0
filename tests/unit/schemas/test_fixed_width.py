"""A contract fixes the width of every column, or the agreement is refused before there is one."""

from __future__ import annotations

from typing import Any

import pytest

from core.canonical import canonical_json
from core.errors import UnusableInput
from core.period import Period
from schemas.fixed_width import COUNT_WIDTH, MOST_CHARACTERS, header, layout, trailer
from schemas.lint.findings import lint
from schemas.rules import TEXT_RULES
from tests.agreements import a_document, an_agreement


def fields(*columns: dict[str, Any]) -> list[tuple[int, int]]:
    table = an_agreement(list(columns)).contract.table
    return [(field.start, field.width) for field in layout(table)]


def column(kind: str, /, **options: Any) -> dict[str, Any]:
    own = {key: options.pop(key) for key in ("enum", "customProperties", "required") if key in options}
    return {"name": "c", "logicalType": kind, "logicalTypeOptions": options, **own}


def rule(value: Any) -> list[dict[str, Any]]:
    return [{"property": "gla.rule", "value": value}]


WITHIN = {"rule": "within-period", "format": "yyyy-MM-dd"}
WIDTHS = {
    "maxLength": (column("string", maxLength=35), 35),
    "codes": (column("string", enum=[{"value": "1"}, {"value": "011"}]), 3),
    "the shortest of several limits": (column("string", maxLength=35, enum=[{"value": "11"}]), 2),
    "uuid": (column("string", format="uuid"), 36),
    "text of no length": (column("string", maxLength=0), 1),
    "text that is a date": (column("string", customProperties=rule(WITHIN)), 10),
    "whole numbers": (column("integer", minimum=0, maximum=9999), 4),
    "whole numbers with a sign": (column("integer", minimum=-5, maximum=999), 4),
    "more digits below zero": (column("integer", minimum=-10000, maximum=999), 6),
    "bounds that are not reached": (column("integer", exclusiveMinimum=-1, exclusiveMaximum=100), 4),
    "bits": (column("integer", format="i16"), 6),
    "bits without sign": (column("integer", format="u64"), 20),
    "bits, but not all of them": (column("integer", format="i32", minimum=0, maximum=99), 2),
    "codes that are numbers": (column("integer", enum=[{"value": 1}, {"value": 83}]), 2),
    "cents": (column("number", minimum=0, maximum=99.99, multipleOf=0.01), 5),
    "quarters with a sign": (column("number", minimum=-10, maximum=10, multipleOf=0.25), 6),
    "whole steps": (column("number", minimum=0, maximum=500, multipleOf=5), 3),
    "boolean": (column("boolean"), 1),
    "date": (column("date"), 8),
    "date in a form": (column("date", format="dd-MM-yyyy"), 10),
    "date with words": (column("date", format="'op' yyyy-MM-dd"), 13),
    "time": (column("time", format="HH:mm:ss.SSS"), 12),
    "timestamp": (column("timestamp", format="yyyyMMddHHmmssSSSSSS"), 20),
    "timestamp with offset": (column("timestamp", timezone=True, format="yyyy-MM-dd HH:mmXXX"), 22),
}  # fmt: skip


@pytest.mark.parametrize("name", WIDTHS)
def test_the_width_follows_from_the_contract(name):
    promise, width = WIDTHS[name]
    assert fields(promise) == [(2, width)]


@pytest.mark.parametrize("name", TEXT_RULES)
def test_every_rule_on_text_fixes_a_width(name):
    assert fields(column("string", customProperties=rule(name)))[0][1] in (8, 9, 12)


def test_fields_follow_each_other_after_the_letter_of_the_record():
    names = [column("boolean") | {"name": name} for name in "ab"]
    assert fields(names[0], column("string", maxLength=3), names[1]) == [(2, 1), (3, 3), (6, 1)]


REFUSED = {
    "free text": (column("string"), "a maxLength or an enum"),
    "text with a pattern only": (column("string", pattern="^a+$"), "a maxLength"),
    "integer without bounds": (column("integer"), "a minimum and a maximum"),
    "integer without minimum": (column("integer", maximum=9), "a minimum and a maximum"),
    "integer without maximum": (column("integer", minimum=0), "a minimum and a maximum"),
    "more bits than a number may have": (column("integer", format="i128"), "38 digits"),
    "number without step": (column("number", minimum=0, maximum=1), "a multipleOf such as 0.01"),
    "number without bounds": (column("number", multipleOf=0.01), "a minimum and a maximum"),
    "timestamp without form": (column("timestamp"), "a format"),
    "time without form": (column("time"), "a format"),
    "date whose form has no day": (column("date", format="yyyy-MM"), "would be lost"),
    "date whose form has an hour": (column("date", format="yyyy-MM-dd HH:mm"), "no date together"),
    "time whose form has a day": (column("time", format="dd HH:mm"), "no time together"),
    "time whose form has an hour only": (column("time", format="HH"), "no time together"),
    "timestamp whose form has an hour only": (column("timestamp", format="yyyy-MM-dd HH"), "no timestamp together"),
    "timestamp whose form has no hour": (column("timestamp", format="yyyy-MM-dd mm:ss"), "no timestamp together"),
    "timestamp whose form has no minutes": (column("timestamp", format="yyyyMMdd HH ss"), "no timestamp together"),
    "date whose form has an offset": (column("date", format="yyyy-MM-ddXXX"), "has an offset"),
    "time whose form has an offset": (column("time", format="HH:mmXXX"), "has an offset"),
    "longer than a record may be": (column("string", maxLength=MOST_CHARACTERS), "another gla.format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_column_without_fixed_width_is_refused_by_name_when_it_is_offered_and_linted(name):
    promise, told = REFUSED[name]
    with pytest.raises(UnusableInput, match=f"column c .*{told}") as caught:
        an_agreement([promise], format="fixed")
    assert "gla.format" in str(caught.value)
    found = lint(canonical_json(a_document([promise], format="fixed")))
    errors = [each.message for each in found if each.severity == "error"]
    assert any("column c " in message and told in message for message in errors)


@pytest.mark.parametrize("file_format", ["csv", "csv.gz", "csv.zst"])
@pytest.mark.parametrize(
    "name",
    ["date whose form has no day", "date whose form has an offset", "timestamp whose form has an hour only"],
)
def test_csv_refuses_a_form_that_loses_a_part_of_the_date_or_that_has_more_than_it(name, file_format):
    promise, told = REFUSED[name]
    with pytest.raises(UnusableInput, match=f"gla.format: {file_format}: column c .*{told}"):
        an_agreement([promise], format=file_format)
    assert an_agreement([promise], format="parquet").file_format == "parquet"


def test_a_record_may_have_just_as_many_characters_as_the_limit():
    assert fields(column("string", maxLength=MOST_CHARACTERS - 1)) == [(2, MOST_CHARACTERS - 1)]


def test_the_header_tells_agreement_and_period_and_nothing_that_changes():
    text = header("GLA-1", Period.parse("2026-Q1"))
    assert text == f"V01{'GLA-1':<200}2026010120260331\r\n"
    assert header("G" * 200, Period.parse("0987-01"))[203:] == "0987010109870131\r\n"


def test_the_trailer_counts_the_rows_and_tells_the_sums_with_their_signs():
    assert trailer(12, {}) == f"S{'12'.zfill(COUNT_WIDTH)}\r\n"
    assert trailer(0, {"a": -5, "b": 0}) == f"S{'0' * 15}-{'5'.zfill(31)}+{'0' * 31}\r\n"
