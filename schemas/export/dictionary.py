"""A contract as a recipient reads it, in Dutch: what comes, in which form, by which rules, when, and at what cost.

This is the content; `schemas.export.page` and `schemas.export.text` give it a form. Everything is taken from the
document itself; nothing is looked up elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.canonical import digest
from core.dutch import grouped
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable
from schemas.contract import Contract
from schemas.export.raw import Raw, inner_raw, raw_table
from schemas.export.words import condition_words, price_words, promise_words, sla_words, table_words, type_words
from schemas.fixed_width import layout
from schemas.table import Column

Fact = tuple[str, str]  # a heading and its text
_STATUS = {"draft": "concept", "proposed": "voorstel", "active": "in werking", "retired": "vervallen"}
_CLASSES = {
    "public": "openbaar",
    "internal": "intern",
    "confidential": "vertrouwelijk",
    "restricted": "beperkt toegankelijk",
}
_CSV = "CSV (RFC 4180, UTF-8)"
_FORMATS = {
    "parquet": "Parquet",
    "csv": _CSV,
    "csv.gz": f"{_CSV}, samengeperst met gzip",
    "csv.zst": f"{_CSV}, samengeperst met zstd",
    "fixed": "vaste breedte (UTF-8, CR/LF), met voorloop- en sluitrecord",
}
_EMPTY = {
    "refuse": "wordt niet geleverd voordat iemand ernaar heeft gekeken",
    "header-only": "wordt geleverd als bestand zonder rijen",
    "skip": "wordt overgeslagen: er komt geen levering, en de geschiedenis zegt waarom",
}


@dataclass(frozen=True)
class Code:
    """One value of a code list."""

    value: str
    label: str


@dataclass(frozen=True)
class Entry:
    """One column, or a value inside one (`level` > 0); `rules` are sentences."""

    name: str
    level: int
    title: str
    description: str
    type: str
    required: bool
    key: int | None  # position in the primary key
    classification: str
    rules: tuple[str, ...]
    codes: tuple[Code, ...]
    deprecated: bool


@dataclass(frozen=True)
class Source:
    """A document that a contract refers to; `url` only if it can be followed safely."""

    type: str
    url: str
    text: str


@dataclass(frozen=True)
class Dictionary:
    """All that a recipient wants to know, in the order in which it is told."""

    title: str
    facts: tuple[Fact, ...]
    purpose: tuple[Fact, ...]
    sources: tuple[Source, ...]
    terms: tuple[Fact, ...]
    rows: tuple[str, ...]  # which rows are delivered, as conditions that all hold
    table: str
    description: str
    entries: tuple[Entry, ...]
    table_rules: tuple[str, ...]


def dictionary(contract: Contract, compiled: CompiledTable, agreement: Agreement | None = None) -> Dictionary:
    """The content for `contract`; `agreement` is the same document with its terms, if it has them."""
    document = contract.document
    raw = raw_table(document, contract.table.name)
    columns = {each["name"]: each for each in raw["properties"]}
    places = _places(contract, agreement)
    return Dictionary(
        title=contract.name,
        facts=tuple(_facts(document)),
        purpose=tuple(_purpose(document.get("description") or {})),
        sources=tuple(_sources(document)),
        terms=tuple(_terms(document, agreement)),
        rows=tuple(_rows(agreement)) if agreement else (),
        table=contract.table.name,
        description=raw.get("description") or "",
        entries=tuple(
            entry for each in contract.table.columns for entry in _entries(each, columns[each.name], 0, places)
        ),
        table_rules=tuple(table_words(compiled, raw)),
    )


def _rows(agreement: Agreement) -> Iterator[str]:
    yield from (condition_words(each) for each in agreement.filter.conditions)
    if (limit := agreement.participants) is not None:
        most = f"ten hoogste {grouped(limit.maximum)} deelnemers"
        yield f"{limit.column} staat in het deelnemersbestand van de afnemer ({most})"


def _facts(document: Raw) -> Iterator[Fact]:
    names = {"id": "Nummer", "version": "Versie", "dataProduct": "Gegevensproduct", "domain": "Domein"}
    yield from ((title, str(document[key])) for key, title in names.items() if document.get(key))
    if document.get("status"):
        yield "Status", _STATUS.get(document["status"], str(document["status"]))
    yield "Vingerafdruk (SHA-256)", digest(document)


def _purpose(description: Raw) -> Iterator[Fact]:
    titles = {"purpose": "Doel", "usage": "Gebruik", "limitations": "Beperkingen"}
    yield from ((title, description[key]) for key, title in titles.items() if description.get(key))


def _sources(document: Raw) -> Iterator[Source]:
    for each in document.get("authoritativeDefinitions") or []:
        url = str(each["url"])
        followed = url if url.lower().startswith(("https://", "http://")) else ""  # no javascript: in a link
        yield Source(each["type"], followed, each.get("description") or url)


def _terms(document: Raw, agreement: Agreement | None) -> Iterator[Fact]:
    if agreement is not None:
        yield "Afnemer", f"{agreement.recipient} (KvK {agreement.recipient_kvk})"
        yield "Geldig", f"van {agreement.valid_from:%d-%m-%Y} tot en met {agreement.valid_until:%d-%m-%Y}"
        yield "Bestand", _FORMATS[agreement.file_format]
        yield "Tijdvak zonder rijen", _EMPTY[agreement.on_empty]
        if agreement.sums:
            yield "Tellingen op de pakbon", ", ".join(agreement.sums)
        yield "Versleuteld met", ", ".join(agreement.recipient_keys)
        yield "Te ondertekenen met", agreement.recipient_signer
    yield from (sla_words(each) for each in document.get("slaProperties") or [])
    if document.get("price"):
        yield "Kosten", price_words(document["price"])


def _places(contract: Contract, agreement: Agreement | None) -> Mapping[str, str]:
    """Where a column stands in a record of fixed width."""
    if agreement is None or agreement.file_format != "fixed":
        return {}
    fields = layout(contract.table)
    return {it.column.name: f"teken {it.start} tot en met {it.start + it.width - 1} van het record" for it in fields}


def _entries(column: Column, raw: Raw, level: int, places: Mapping[str, str]) -> Iterator[Entry]:
    """The column and what stands inside it."""
    place = [places[column.name]] if column.name in places else []
    yield Entry(
        name=column.name,
        level=level,
        title=raw.get("businessName") or "",
        description=raw.get("description") or "",
        type=type_words(column),
        required=column.required,
        key=column.primary_key,
        classification=_CLASSES.get(raw.get("classification") or "", raw.get("classification") or ""),
        rules=(*promise_words(column, raw), *place),
        codes=tuple(_codes(raw)),
        deprecated=bool(raw.get("deprecated")),
    )
    inner = inner_raw(raw)
    if column.items is not None:
        yield from _entries(column.items, inner["[]"], level + 1, places)
    for name, each in column.properties.items():
        yield from _entries(each, inner[name], level + 1, places)


def _codes(raw: Mapping[str, Any]) -> Iterator[Code]:
    for each in raw.get("enum") or []:
        if each["value"] is not None:
            label, more = each.get("label") or "", each.get("description") or ""
            yield Code(str(each["value"]), f"{label}: {more}" if label and more else label or more)
