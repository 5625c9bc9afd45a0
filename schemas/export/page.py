"""The data dictionary as one Dutch page that needs nothing else: no script, no font, no picture; to read and print."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from core.text import printable
from schemas.export.dictionary import Dictionary


def as_html(content: Dictionary) -> str:
    """The page, complete. Everything that the contract's writer typed is escaped by the template."""
    environment = Environment(
        loader=PackageLoader("schemas"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = _printable_lines
    coded = [entry for entry in content.entries if entry.codes]
    return environment.get_template("dictionary.html.j2").render(it=content, coded=coded)


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.splitlines())
