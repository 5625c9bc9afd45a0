"""The page of a pakbon: it says what the pakbon says, to people, and lets nobody's text do anything."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from core.canonical import canonical_json, sha256_hex
from schemas.manifest import Manifest, Pakbon
from schemas.pakbon_page import as_html
from tests.unit.schemas.test_manifest import CONTACT, FILE, PAKBON, PLAN

HOSTILE = "<script>alert(1)</script>\u202e\" onload='x'"
LISTED = {"files": [FILE, FILE | {"filename": "pakbon.json.age"}]}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def page(manifest: dict[str, Any] | None = None, pakbon: dict[str, Any] | None = None) -> _Page:
    listed = Manifest.from_bytes(canonical_json(CONTACT | LISTED | (manifest or {})))
    return _Page(as_html(listed, Pakbon.from_bytes(canonical_json(PAKBON | (pakbon or {})))))


def test_it_says_what_was_delivered_and_whom_to_ask() -> None:
    text = page({"supersedes": 1, "edition": 2}).text
    for word in ("fonds", "GLA-1", "maart 2026", "2, vervangt editie 1", "05-04-2026 14:00", "05-05-2026 14:00"):
        assert word in text
    for word in (
        "Servicedesk, mailto:gla@example.org",
        "Som van amount",
        "12",
        "people.parquet",
        PAKBON["files"][0]["checksum"],
    ):
        assert word in text


def test_it_says_why_it_replaces_another_one() -> None:
    assert (
        "bedragen <b>hersteld</b>" in page({"supersedes": 1, "edition": 2}, {"reason": "bedragen <b>hersteld</b>"}).text
    )
    assert "Waarom" not in page({"supersedes": 1, "edition": 2}).text


def test_a_mutation_delivery_says_since_when() -> None:
    counts = {"mutations": {"new": 1, "changed": 3, "ended": 1}}
    plan = {"plan": PLAN, "planDigest": sha256_hex(canonical_json(PLAN))}
    text = page(pakbon=counts | plan).text
    assert "februari 2026, editie 2" in text
    assert "de hele stand" in page(pakbon=counts).text


def test_what_people_typed_is_text() -> None:
    shown = page({"product": HOSTILE, "contact": {"name": HOSTILE, "url": HOSTILE}}, {"sums": {HOSTILE: "1"}})
    assert "script" not in shown.tags
    assert "onload" not in shown.attributes
    assert "\u202e" not in shown.text
    assert "<script>alert(1)" in shown.text


def test_it_needs_nothing_from_elsewhere() -> None:
    shown = page()
    assert not shown.tags & {"script", "link", "img", "iframe", "object"}
    assert not shown.attributes & {"src", "href", "style"}
