"""`gla history` as an operator, a program and a recipient see it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apps.cli.history import history
from apps.cli.history_export import as_csv
from apps.cli.history_page import REASONS, STATE_LABELS, render
from core.database import opened
from core.dutch import dutch_period
from core.errors import UnusableInput
from core.period import Period
from core.settings import Settings
from core.text import printable
from ledger.history import HistoryRow
from ledger.history import Page as HistoryPage
from ledger.states import State
from schemas.receipts import Rejection
from tests.ledger_world import AGREEMENT, claim, deliver, extract, new_ledger

HOSTILE = "<script>alert(1)</script> [red]\x1b[31m\u202e\" onload='x' {{ 7*7 }}"
ROW = HistoryRow(
    product="inkomstenverhoudingen",
    agreement=AGREEMENT,
    recipient="gemeente-voorbeeld",
    period="2026-01",
    edition=1,
    state=State.PUBLISHED,
    rows=1234567,
    bytes=8_123_456,
    published="2026-07-01T22:30:00.000Z",
    expires="2026-12-31T23:30:00.000Z",
    picked_up=None,
    reason=None,
    error=None,
)
NOW = datetime(2026, 2, 1, 6, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home with three deliveries: corrected, refused, and to another recipient."""
    settings = Settings(home=tmp_path / "home")
    with opened(settings.resolved_database_url) as engine:
        ledger = new_ledger(engine)
        deliver(ledger)
        deliver(ledger, edition=2, reason=HOSTILE)
        ledger.fail(extract(ledger, claim(ledger, Period.parse("2026-02"))), "RowsInvalid", "3 rows", refused=True)
        deliver(ledger, agreement_id="gla-2026-002", recipient="pensioenfonds-voorbeeld")
    return settings


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(history, arguments, obj=settings, catch_exceptions=False)


class Page(HTMLParser):
    """What a browser would find: tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_terminal_shows_every_delivery_with_its_reason(settings: Settings) -> None:
    output = run(settings).output
    assert output.count(AGREEMENT) == 3
    for word in ("superseded", "published", "refused", "RowsInvalid: 3 rows", "200 rows", "4,096 bytes"):
        assert word in output


def test_what_people_typed_controls_no_terminal(settings: Settings) -> None:
    output = run(settings).output
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "[red]" in output


def test_an_empty_history_says_so(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with opened(settings.resolved_database_url):
        """It is made."""
    assert "nothing was delivered yet" in run(settings).output


def test_json_is_for_programs(settings: Settings) -> None:
    rows = json.loads(run(settings, "--json").output)
    assert [row["edition"] for row in rows if row["agreement"] == AGREEMENT] == [1, 2, 1]
    assert set(rows[0]) == set(HistoryRow.__dataclass_fields__)
    corrected = next(row for row in rows if row["edition"] == 2)
    assert corrected["state"] == "published"
    assert corrected["reason"] == HOSTILE
    assert corrected["published"] == "2026-02-01T06:00:00.000Z"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--recipient", "gemeente-voorbeeld"], 3),
        (["--agreement", "gla-2026-002"], 1),
        (["--recipient", "gemeente-voorbeeld", "--agreement", "gla-2026-002"], 0),
        (["--recipient", "%"], 0),
    ],
)
def test_a_reader_sees_only_what_was_asked_for(settings: Settings, arguments: list[str], count: int) -> None:
    assert len(json.loads(run(settings, "--json", *arguments).output)) == count


def test_a_recipients_page_tells_of_no_other_recipient(settings: Settings, tmp_path: Path) -> None:
    run(settings, "--recipient", "gemeente-voorbeeld", "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gemeente-voorbeeld" in page
    assert "pensioenfonds" not in page


def test_the_page_needs_nothing_else(settings: Settings, tmp_path: Path) -> None:
    run(settings, "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(parsed.tags)
    assert not {"src", "href", "onload", "style"} & {name for name, _ in parsed.attributes}
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in page


def test_what_people_typed_stays_text_on_the_page(settings: Settings, tmp_path: Path) -> None:
    run(settings, "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)</script> [red]" in Page(page).text
    assert "<script" not in page
    assert "{{ 7*7 }}" in Page(page).text
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_page_is_dutch_and_made_for_screen_readers_and_paper() -> None:
    page = render([ROW], NOW)
    assert '<html lang="nl">' in page
    assert page.count('scope="col"') == 11
    assert 'scope="row"' in page
    assert "<caption>1 levering, de nieuwste eerst</caption>" in page
    assert "@media print" in page
    text = Page(page).text
    for word in ("januari 2026", "klaar om op te halen", "1.234.567", "8,1 MB", "02-07-2026", "00:30", "01-01-2027"):
        assert word in text


def test_the_page_says_why() -> None:
    row = HistoryRow(
        **{**ROW.__dict__, "state": State.REFUSED, "reason": "vraag van de afnemer", "error": "RowsInvalid: 3 rows"}
    )
    text = Page(render([row], NOW)).text
    assert "geweigerd" in text
    assert "Reden: vraag van de afnemer" in text
    assert "Fout: RowsInvalid: 3 rows" in text


TOLD = HistoryRow(
    **{
        **ROW.__dict__,
        "confirmed": "2026-07-02T10:00:00.000Z",
        "signed": True,
        "partly": 2_000_000,
        "case": "cannot-open",
        "mutations": {"new": 1, "changed": 2000, "ended": 3},
        "same_data_as": 4,
        "kept_out": 98765,
        "reminded": "2026-12-24T23:30:00.000Z",
        "removed": "2026-12-31T23:31:00.000Z",
    }
)


def test_the_page_says_what_became_of_it_and_not_how_many_others_there_are() -> None:
    text = Page(render([TOLD], NOW)).text
    for word in (
        "1 nieuw, 2.000 veranderd, 3 beëindigd", "dezelfde gegevens als editie 4", "voor een deel opgehaald: 2,0 MB",
        "niet te openen", "verwijderd op 01-01-2027", "02-07-2026", "ondertekend",
    ):  # fmt: skip
        assert word in text
    assert "98.765" not in text


def test_the_terminal_says_what_became_of_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.history.page", lambda *_: HistoryPage((TOLD,), None))
    output = run(settings).output
    for word in (
        "1 new, 2,000 changed, 3 ended", "the same data as edition 4", "98,765 rows of others kept out",
        "fetched in part: 2,000,000 of 8,123,456 bytes", "not accepted: cannot-open", "confirmed, signed, 2026-07-02",
        "removed 2026-12-31 23:31", "nobody fetched it yet",
    ):  # fmt: skip
        assert word in output
    assert "\n".join(word for word in output.splitlines() if "expires" in word) == ""


def test_every_reason_not_to_accept_has_a_dutch_name() -> None:
    assert set(REASONS) == set(Rejection)


def test_an_empty_page_says_so() -> None:
    assert "Er zijn nog geen leveringen." in render([], NOW, recipient="gemeente-voorbeeld")


def test_every_state_has_a_dutch_name() -> None:
    assert set(STATE_LABELS) == set(State)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("2026", ("2026",)),
        ("2026-Q2", ("2e kwartaal 2026",)),
        ("2026-12", ("december 2026",)),
        ("2026-05-09", ("9 mei 2026",)),
        ("2025-12-30--2026-01-02", ("30 december 2025 t/m", "2 januari 2026")),
        ("something else", ("something else",)),
    ],
)
def test_periods_are_told_in_dutch(text: str, lines: tuple[str, ...]) -> None:
    assert dutch_period(text) == lines


def test_printable_keeps_every_visible_letter() -> None:
    assert printable("Zoë 😀 é [a] <b>") == "Zoë 😀 é [a] <b>"
    assert (
        printable("a\nb\x00c\u200bd")
        == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"
    )


def test_a_page_that_cannot_be_written_is_a_clear_error(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="page cannot be written"):
        run(settings, "--html", str(tmp_path / "absent" / "page.html"))


def test_json_and_html_exclude_each_other(settings: Settings, tmp_path: Path) -> None:
    assert run(settings, "--json", "--html", str(tmp_path / "page.html")).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--product", "inkomstenverhoudingen"], 4),
        (["--product", "other"], 0),
        (["--period", "2026-01"], 3),
        (["--period", "2026-02-01--2026-02-28"], 1),
        (["--state", "published"], 2),
        (["--state", "published", "--state", "refused"], 3),
        (["--since", "2026-02-01", "--until", "2026-02-01"], 4),
        (["--since", "2026-02-02"], 0),
        (["--until", "2026-01-31"], 0),
        (["--as-recipient", "gemeente-voorbeeld"], 3),
        (["--limit", "2"], 2),
        (["--after", f"{AGREEMENT}/2026-01/2"], 1),
    ],
)
def test_deliveries_are_chosen(settings: Settings, arguments: list[str], count: int) -> None:
    assert len(json.loads(run(settings, "--json", *arguments).output)) == count


def test_the_terminal_shows_a_page_and_how_to_go_on(settings: Settings) -> None:
    first = run(settings, "--limit", "3").output
    assert f"--after {AGREEMENT}/2026-01/2" in first
    rest = run(settings, "--limit", "3", "--after", f"{AGREEMENT}/2026-01/2").output
    assert "superseded" in rest
    assert "There is more" not in rest


@pytest.mark.parametrize(
    "name", ["", "x", f"{AGREEMENT}/2026-01", f"{AGREEMENT}/2026-01/9", f"{AGREEMENT}/2026-01/9{'9' * 30}"]
)
def test_a_page_after_nothing_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(UnusableInput, match="no delivery of that name"):
        run(settings, "--after", name)


def test_csv_has_a_line_for_each_delivery_and_its_header_always(settings: Settings) -> None:
    lines = list(csv.DictReader(io.StringIO(run(settings, "--csv").output)))
    assert [line["edition"] for line in lines if line["agreement"] == AGREEMENT] == ["1", "2", "1"]
    assert next(line for line in lines if line["edition"] == "2")["reason"].startswith(
        "<script>alert(1)</script> [red]"
    )
    assert lines[0]["signed"] == "false"
    assert {"new", "changed", "ended"} < set(lines[0])
    (header,) = run(settings, "--csv", "--recipient", "nobody").output.splitlines()
    assert header.startswith("product,agreement,recipient,period,edition,state,")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_what_people_typed_is_no_formula_in_csv(text: str) -> None:
    row = HistoryRow(**{**ROW.__dict__, "reason": text})
    (line,) = csv.DictReader(io.StringIO("".join(as_csv([row], HistoryRow))))
    assert line["reason"] == f"'{text}"


def test_mutations_are_columns_in_csv() -> None:
    (line,) = csv.DictReader(io.StringIO("".join(as_csv([TOLD], HistoryRow))))
    assert (line["new"], line["changed"], line["ended"], line["kept_out"]) == ("1", "2000", "3", "98765")


def test_a_recipient_is_not_told_what_is_for_operators() -> None:
    told = TOLD.for_recipient()
    assert (told.kept_out, told.reminded, told.rows) == (None, None, TOLD.rows)


def test_an_empty_list_is_json_too(settings: Settings) -> None:
    assert json.loads(run(settings, "--json", "--recipient", "nobody").output) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--csv"],
        ["--recipient", "a", "--as-recipient", "b"],
        ["--due", "--state", "failed"],
        ["--due", "--after", "a/2026/1"],
        ["--delivery", f"{AGREEMENT}/2026-01", "--csv"],
        ["--delivery", f"{AGREEMENT}/2026-01", "--limit", "1"],
        ["--limit", "0"],
        ["--state", "lost"],
    ],
)
def test_what_does_not_go_together_is_refused(settings: Settings, arguments: list[str]) -> None:
    assert run(settings, *arguments).exit_code == 2
