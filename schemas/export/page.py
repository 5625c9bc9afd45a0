"""The data dictionary as one Dutch page that needs nothing else: no script, no font, no picture; to read and print."""

from __future__ import annotations

from core.text import printable
from schemas.export.dictionary import Dictionary
from schemas.pages import template


def as_html(content: Dictionary) -> str:
    """The page, complete. Everything that the contract's writer typed is escaped by the template."""
    coded = [entry for entry in content.entries if entry.codes]
    return template("dictionary.html.j2", printable=_printable_lines).render(it=content, coded=coded)


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())
