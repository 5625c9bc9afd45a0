"""The data dictionary as Markdown (GitHub's tables), for a wiki or a repository. Names and words stay what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from core.text import printable
from schemas.export.dictionary import Dictionary, Entry, Fact
from schemas.report_markdown import code

_ESCAPES = str.maketrans(
    {each: f"&#{ord(each)};" for each in "\\`|"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    | {each: f"\\{each}" for each in "*_[]~"}
)
_BEGINS_A_BLOCK = re.compile(
    r"^(\s*(?:[0-9]+(?=[.)](?:\s|$)))?)([-+#=:.)])"
)  # a list, heading or table line; 1. and 1) are lists too


def as_markdown(content: Dictionary) -> str:
    """The document, complete, with the headings of the page."""
    parts = [f"# {plain(content.title)}", _facts(content.facts)]
    if content.purpose or content.sources:
        sources = [f"- {plain(each.type)}: {plain(each.text)}{_linked(each.url)}" for each in content.sources]
        parts += ["## Doel en grondslag", _facts(content.purpose), "\n".join(sources)]
    if content.terms:
        parts += ["## Levering, planning en kosten", _facts(content.terms)]
    if content.rows:
        parts += ["## Welke rijen", "Alleen rijen waarvoor dit alles geldt:", _list(content.rows)]
    headings = ("Kolom", "Betekenis", "Soort", "Altijd ingevuld", "Regels", "Vertrouwelijkheid")
    parts += ["## Gegevens", plain(content.description), _table(headings, map(_row, content.entries))]
    if content.table_rules:
        parts += ["## Regels over de hele levering", _list(content.table_rules)]
    parts += list(_codes(content.entries))
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    r"""`text` in a form that Markdown and HTML leave alone, also inside a table; several lines stay several lines.

    >>> plain("a|b <c> _d_ - e")
    'a&#124;b &lt;c&gt; \\_d\\_ - e'
    """
    lines = (_BEGINS_A_BLOCK.sub(_entity, line.translate(_ESCAPES)) for line in text.strip().splitlines())
    return "<br>".join(printable(line) for line in lines)


def _entity(found: re.Match[str]) -> str:
    return f"{found[1]}&#{ord(found[2])};"


def _linked(url: str) -> str:
    return f" (<{url}>)" if url and not any(each in "<> \\" or not each.isprintable() for each in url) else ""


def _facts(facts: Iterable[Fact]) -> str:
    return "\n".join(f"- **{plain(name)}**: {plain(text)}" for name, text in facts)


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {plain(each)}" for each in sentences)


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(entry: Entry) -> tuple[str, ...]:
    marks = "".join(f" ({word})" for word, holds in (("sleutel", entry.key is not None), ("vervalt", entry.deprecated))
                    if holds)  # fmt: skip
    rules = [*entry.rules, *([f"{len(entry.codes)} codes, zie onder"] if entry.codes else [])]
    meaning = "<br>".join(plain(each) for each in (entry.title, entry.description) if each)
    required = "ja" if entry.required else "nee"
    told = "<br>".join(plain(each) for each in rules)
    return f"{code(entry.name)}{marks}", meaning, plain(entry.type), required, told, plain(entry.classification)


def _codes(entries: Iterable[Entry]) -> Iterator[str]:
    coded = [entry for entry in entries if entry.codes]
    if coded:
        yield "## Codelijsten"
    for entry in coded:
        yield f"### {plain(entry.title)} {code(entry.name)}"
        yield _table(("Code", "Betekenis"), ((plain(each.value), plain(each.label)) for each in entry.codes))
