"""A report holds counts and names of the contract, in three forms; what is mailed shows no one person's sum."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from core.canonical import canonical_json
from core.errors import UnusableInput
from schemas.report import LEAST_NONZERO, MOST_LISTED, Bar, Report, Subject
from schemas.report_markdown import as_markdown, code
from schemas.report_page import as_html
from schemas.rule_words import in_dutch, threshold_in_dutch
from schemas.verdict import Result, Sum, Verdict

AT = "2026-04-05T22:30:00.000Z"
SUBJECT = Subject("GLA-2026-0007", "1.0.0", "ab" * 32, "inkomstenverhoudingen", "fonds", "2026-03", 2)
HOSTILE = "<script>alert(1)</script>|`x`[a](b)\\|*{{ 7*7 }}\" onload='x'"
RESULTS = (
    Result("bsn", "required", 0),
    Result("aard", "invalidValues", 120, "warning", "mustBeLessThan 5 percent", holds=False),
    Result("bsn", "bsn", 41234, holds=False, rows=(7, 12, 1_000_001)),
    Result("loon", "minimum", 3, holds=False, rows=(1,)),
    Result("*", "rowCount", 1_200_000, "error", "mustBeBetween 1 and 10", holds=False),
)
VERDICT = Verdict(1_200_000, RESULTS, {"bsn": 1_199_997, "loon": 0}, {"loon": Sum(2**70, 900_000), "los": Sum(5, 9)})
REPORT = Report.of(VERDICT, SUBJECT, AT)
FORMS = {"json": lambda it: json.dumps(it.as_json(), ensure_ascii=False), "md": as_markdown, "html": as_html}


class Page(HTMLParser):
    """What a browser would find: tags with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "every element is closed in its place"

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def of(results=(), sums=None, **subject):
    return Report.of(Verdict(5, tuple(results), {}, sums or {}), replace(SUBJECT, **subject), AT)


def test_broken_promises_come_first_and_keep_the_contracts_order():
    assert [each.rule for each in REPORT.results] == ["bsn", "minimum", "rowCount", "invalidValues", "required"]
    assert not REPORT.valid


def test_only_a_warning_is_still_valid():
    assert of([RESULTS[1]]).valid


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("nonzero", "shown"), [(0, False), (1, False), (LEAST_NONZERO - 1, False), (LEAST_NONZERO, True)]
)
def test_a_sum_of_few_people_is_in_no_form(form, nonzero, shown):
    report = of(sums={"loon": Sum(987_654_321, nonzero)})
    digits = re.sub(r"[.,]", "", FORMS[form](report) + repr(report))
    assert ("987654321" in digits) is shown


def test_a_report_of_one_row_tells_counts_only():
    report = Report.of(
        Verdict(1, (Result("loon", "minimum", 1, holds=False, rows=(1,)),), {"loon": 1}, {"loon": Sum(-5_000, 1)}),
        SUBJECT,
        AT,
    )
    assert report.sums == {"loon": None}
    for form in FORMS.values():
        assert "5000" not in re.sub(r"[.,]", "", form(report))


def test_json_is_read_back_as_the_same_report():
    document = json.loads(canonical_json(REPORT.as_json()))
    assert Report.from_json(document) == REPORT
    assert document["verdict"] == "invalid"
    assert document["agreement"] == document["contract"]["id"] == "GLA-2026-0007"
    assert (document["period"], document["edition"], document["rows"]) == ("2026-03", 2, 1_200_000)
    assert document["promises"][0] == {
        "column": "bsn", "rule": "bsn", "count": 41234, "severity": "error", "threshold": None, "holds": False,
        "rows": [7, 12, 1_000_001],
    }  # fmt: skip
    assert document["sums"] == [{"column": "loon", "sum": str(2**70)}, {"column": "los", "sum": None}]


def test_a_contract_without_a_recipient_is_no_agreement():
    assert of(recipient=None, period=None, edition=None).as_json()["agreement"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"form": "gla-report/9"},
        {"verdict": "maybe"},
        {"rows": "5"},
        {"rows": True},
        {"contract": None},
        {"promises": [{"column": 1}]},
        {"present": {"bsn": 1}},
        {"sums": [{"column": "loon", "sum": "much"}]},
        {"promises": [{**REPORT.as_json()["promises"][0], "severity": "<b>"}]},
    ],
)
def test_what_is_no_report_is_refused(change):
    with pytest.raises(UnusableInput):
        Report.from_json({**REPORT.as_json(), **change})
    with pytest.raises(UnusableInput):
        Report.from_json(None)


def test_a_shortened_report_is_bounded_and_keeps_what_is_broken():
    many = [Result("k" * 200, f"rule{number}", 0) for number in range(5_000)]
    broken = Result(",".join(["column"] * 5_000), "primaryKey", 1, holds=False)
    verdict = Verdict(9, (*many, broken), {f"c{number}": 1 for number in range(5_000)})
    short = Report.of(verdict, SUBJECT, AT).shortened()
    assert len(canonical_json(short.as_json())) < 200_000
    assert short.results[0].rule == "primaryKey"
    assert not short.valid
    assert short.left_out == 5_001 - MOST_LISTED + 5_000 - MOST_LISTED
    assert f"{short.left_out:,} more lines" in as_markdown(short)
    assert "9.401 regels zijn hier weggelaten" in as_html(short)
    assert REPORT.shortened() == REPORT


def test_bars_are_failures_by_column_and_never_a_row_count():
    assert REPORT.bars == (Bar("bsn", 41234, 0), Bar("aard", 0, 120), Bar("loon", 3, 0))


def test_names_that_hold_html_or_markdown_stay_text():
    report = of(
        [Result(HOSTILE, "minimum", 1, holds=False)],
        sums={HOSTILE: Sum(1, 20)},
        contract=HOSTILE,
        version=HOSTILE + "\n# heading\u202e",
        product=HOSTILE,
        recipient=HOSTILE,
        period=HOSTILE,
        digest=HOSTILE,
    )
    page = as_html(report)
    assert "<script" not in page
    assert HOSTILE in Page(page).text
    assert not [value for _, attributes in Page(page).tags for name, value in attributes.items() if name == "onload"]
    markdown = as_markdown(report)
    assert "<script" not in markdown
    assert "\u202e" not in page + markdown
    assert "\n# heading" not in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.count("|") in (3, 8), "a name added a cell"


@pytest.mark.parametrize(
    ("text", "shown"), [("bsn", "`bsn`"), ("<b>", "`<b>`"), ("a|b", "a&#124;b"), ("a`b", "a&#96;b"), ("", "")]
)
def test_names_in_markdown_are_code(text, shown):
    assert code(text) == shown


def test_markdown_has_every_promise_with_its_outcome():
    markdown = as_markdown(REPORT)
    assert markdown.startswith("# Validation report: INVALID\n")
    assert "| `bsn` | `bsn` | error | none may break it | 41,234 | **BROKEN** | 7, 12, 1000001 |" in markdown
    assert "| `aard` | `invalidValues` | warning | `mustBeLessThan 5 percent` | 120 | broken (warning) |  |" in markdown
    assert "| `bsn` | 1,199,997 | 3 |" in markdown
    assert "| `los` | withheld: fewer than 10 values are not zero |" in markdown


def test_the_page_needs_nothing_else_and_runs_nothing():
    page = as_html(REPORT)
    parsed = Page(page)
    assert parsed.open == []
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & {tag for tag, _ in parsed.tags}
    names = {name for _, attributes in parsed.tags for name in attributes}
    assert not {"src", "href", "style"} & names
    assert not [name for name in names if name.startswith("on")]
    assert not re.search(r"url\((?!#)|@import|https?:", page)
    assert "default-src 'none'" in page


def test_the_page_is_dutch_and_made_for_screen_readers_and_paper():
    parsed = Page(as_html(REPORT))
    tags = parsed.tags
    assert ("html", {"lang": "nl"}) in tags
    headers = [attributes for tag, attributes in tags if tag == "th"]
    assert headers
    assert all(attributes.get("scope") in ("col", "row") for attributes in headers)
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert [picture["role"] for picture in pictures] == ["img"]
    assert pictures[0]["aria-label"]
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [attributes["aria-labelledby"] for _, attributes in tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(ids)
    assert "@media print" in parsed.text
    for words in (
        "✗ Voldoet niet: 3 afspraken zijn niet nagekomen", "maart 2026", "1.200.000", "06-04-2026 00:30", "41.234",
        "✗ niet nagekomen", "! niet nagekomen", "✓ nagekomen", "minder dan 5 procent", "strikt tussen 1 en 10",
        "niet getoond: minder dan 10 waarden zijn niet nul", "alle kolommen", "een geldig burgerservicenummer",
    ):  # fmt: skip
        assert words in parsed.text


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ([RESULTS[0]], "✓ Voldoet aan de afspraken"),
        ([RESULTS[1]], "! Voldoet aan de afspraken, met 1 aandachtspunt"),
        ([RESULTS[2]], "✗ Voldoet niet: 1 afspraak is niet nagekomen"),
        ([], "✓ Voldoet aan de afspraken"),
    ],
)
def test_the_outcome_is_told_in_words_and_signs(results, words):
    assert words in Page(as_html(of(results))).text


def test_colours_have_contrast_on_their_background():
    page = as_html(REPORT)
    pairs = re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", page)
    colours = {name: (light, dark) for name, light, dark in pairs}
    for name in ("ink", "soft", "held", "stopped", "warned"):
        for ground in ("paper", "head"):
            for mode in (0, 1):
                assert contrast(colours[name][mode], colours[ground][mode]) >= 4.5, (name, ground, mode)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, 1.4.3."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("threshold", "dutch"),
    [
        (None, "geen uitzonderingen"),
        ("mustBe 0", "precies 0"),
        ("mustBeLessThan 0.5 percent", "minder dan 0,5 procent"),
        ("mustBeBetween 1 and 10", "strikt tussen 1 en 10"),
        ("something else", "something else"),
    ],
)
def test_thresholds_are_told_in_dutch(threshold, dutch):
    assert threshold_in_dutch(threshold) == dutch


def test_rules_with_arguments_are_told_in_dutch_and_unknown_ones_by_their_name_alone():
    assert in_dutch("not-before(begindatum)") == "niet eerder dan de andere datum"
    assert in_dutch("unheard-of") == ""
