"""Contracts written again: the same document in ODCS, and a dictionary that people read and nobody can break."""

import copy
import json
import re
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.canonical import digest
from core.errors import UnusableInput
from schemas.agreement import load_agreement
from schemas.compiler import compile_table
from schemas.contract import load_contract, read_contract
from schemas.export.dictionary import dictionary
from schemas.export.odcs import as_yaml, to_json, to_yaml
from schemas.export.page import as_html
from schemas.export.text import as_markdown
from schemas.products import product_contract, product_names
from schemas.reader import read_document
from tests.agreements import a_document
from tests.soak import examples


@pytest.mark.parametrize("write", [to_yaml, to_json])
def test_every_product_and_public_example_is_the_same_document_again(shared_vectors, write):
    contracts = [product_contract(name) for name in product_names()]
    contracts += [path.read_bytes() for path in sorted((shared_vectors / "odcs").iterdir())]
    for data in contracts:
        document = read_contract(data)
        written = write(document)
        assert digest(read_contract(written)) == digest(document)
        assert write(read_contract(written)) == written


def test_one_document_is_one_text_whatever_the_order_of_its_keys():
    document = read_contract(product_contract(product_names()[0]))
    turned = dict(reversed(list(document.items())))
    assert to_yaml(turned) == to_yaml(document)
    assert to_yaml(document).startswith(b"apiVersion: v3.2.0\nkind: DataContract\nid: ")


TRICKY = st.sampled_from([
    "no", "~", "null", "1e5", "0x1f", "08", "1:30", "2026-01-01", "<<", "=", "- a", "# x", "a: b", " a", "a ", "\n",
    "\na", "a\n\n", " \n a", "\ta", "---", "%", "@", "`", "&a", "*a", "!x", "?", "|", ">", "NaN", ".inf", "1_000",
    "\u2028", "\x85", "\ufeff", "\ufffe", "\x7f", "\U0001f600", "\x00", "x" * 200,
])  # fmt: skip
TEXT = st.one_of(st.text(max_size=40), TRICKY)
NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.soak
@settings(max_examples=examples(80), deadline=None)
@given(st.dictionaries(TEXT, VALUE, min_size=1, max_size=4))
@example({"a": {"b": "\x85"}})
@example({"a": "x\n y\n"})
def test_any_document_survives_as_yaml_for_us_and_for_others(document):
    try:
        expected = digest(document)
    except UnusableInput:  # no canonical form: it cannot be signed
        with pytest.raises(UnusableInput):
            to_yaml(document)
        return
    written = to_yaml(document)
    assert digest(read_document(written, "it")) == expected
    assert digest(yaml.safe_load(written)) == expected  # YAML 1.1 reads the same


def test_a_repeated_value_is_written_out_without_anchors():
    same = {"a": 1}
    assert as_yaml({"x": same, "y": same}) == "x:\n  a: 1\ny:\n  a: 1\n"


def test_a_number_without_exact_canonical_form_is_refused_as_json():
    with pytest.raises(UnusableInput):
        to_json({"a": 9007199254740992.0})


CONTRACT = {
    "apiVersion": "v3.2.0", "kind": "DataContract", "id": "GLA-1", "version": "1.0.0", "name": "Namen",
    "status": "active",
    "description": {"purpose": "pensioen\nen toeslag", "usage": "eenmalig", "limitations": "geen"},
    "authoritativeDefinitions": [{"type": "grondslag", "url": "https://wetten.overheid.nl/x", "description": "Wet X"}],
    "price": {"priceAmount": 120.5, "priceCurrency": "EUR", "priceUnit": "levering"},
    "schema": [{"name": "namen", "description": "Een rij per naam.", "quality": [
        {"metric": "duplicateValues", "arguments": {"properties": ["a", "b"]}, "mustBeLessThan": 5, "unit": "percent",
         "severity": "warning"}], "properties": [
        {"name": "id", "logicalType": "integer", "primaryKey": True, "classification": "restricted",
         "logicalTypeOptions": {"minimum": 1}},
        {"name": "a", "businessName": "Soort", "logicalType": "string", "required": True,
         "enum": [{"value": "x", "label": "Eks"}, {"value": "y", "label": "IJ", "description": "grieks"}]},
        {"name": "b", "logicalType": "date", "logicalTypeOptions": {"minimum": "2026-01-01"}, "deprecated": True},
        {"name": "c", "logicalType": "date", "quality": [{"type": "text", "description": "in woorden"}],
         "customProperties": [{"property": "gla.rule", "value": {"rule": "not-before", "column": "b"}}]},
        {"name": "adres", "logicalType": "object", "properties": [{"name": "straat", "logicalType": "string"}]},
        {"name": "nummers", "logicalType": "array", "items": {"logicalType": "string", "customProperties":
         [{"property": "gla.rule", "value": "kvk"}]}},
    ]}],
    "slaProperties": [
        {"property": "frequency", "value": 1, "unit": "month"}, {"property": "retention", "value": 1, "unit": "d"},
        {"property": "latency", "value": 3, "unit": "d"}],
}  # fmt: skip
TERMS = [
    {"property": "gla.source", "value": "people"},
    {"property": "gla.recipient", "value": {"name": "fonds", "kvk": "90000102"}},
    {"property": "gla.recipientKeys", "value": ["SHA256:" + "A" * 43]},
    {"property": "gla.recipientSigner", "value": "SHA256:" + "B" * 43},
    {"property": "gla.senderKey", "value": "ssh-ed25519 " + "A" * 68},
    {"property": "gla.validFrom", "value": "2026-01-01"},
    {"property": "gla.validUntil", "value": "2026-12-31"},
    {"property": "gla.filter", "value": [
        {"column": "b", "operator": "greaterOrEqualTo", "bound": "period.start"},
        {"column": "a", "operator": "in", "value": ["x", "y"]}, {"column": "c", "operator": "isNotNull"}]},
]  # fmt: skip


def content(document):
    data = json.dumps(document).encode()
    contract = load_contract(data)
    agreement = load_agreement(data) if "customProperties" in document else None
    return dictionary(contract, compile_table(contract.table), agreement)


def words(page):
    """What a reader of the page sees, and the tags that the page has."""

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.text, self.tags, self.attributes = [], [], []

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)
            self.attributes += attrs

        def handle_data(self, data):
            self.text.append(data)

    reader = Reader()
    reader.feed(page)
    return reader


TOLD = [
    "pensioen", "eenmalig", "Wet X", "120,50 EUR per levering", "elke maand", "1 dag", "3 dagen na het tijdvak",
    "Een rij per naam.", "beperkt toegankelijk", "minimaal 1", "Eks", "IJ: grieks", "niet voor 2026-01-01",
    "niet eerder dan b", "in woorden", "adres.straat", "een KVK-nummer van acht cijfers", "vervalt", "in werking",
    "De sleutel is id: elke combinatie komt één keer voor.", "minder dan 5 procent (alleen een waarschuwing)",
]  # fmt: skip
TERMS_TOLD = [
    "fonds (KvK 90000102)", "van 01-01-2026 tot en met 31-12-2026", "b ten minste de eerste dag van het tijdvak",
    "a een van “x”, “y”", "c is ingevuld", "wordt niet geleverd", "SHA256:" + "A" * 43,
]  # fmt: skip


def test_the_page_tells_all_that_the_contract_says():
    seen = "".join(words(as_html(content(CONTRACT | {"customProperties": TERMS}))).text)
    assert [each for each in [*TOLD, *TERMS_TOLD] if each not in seen] == []


def test_markdown_tells_the_same():
    seen = as_markdown(content(CONTRACT | {"customProperties": TERMS})).replace("\\", "")
    assert [each for each in [*TOLD, *TERMS_TOLD] if each not in seen] == []


def test_the_page_needs_nothing_else_and_its_links_lead_somewhere():
    page = words(as_html(content(CONTRACT)))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    ids = {value for name, value in page.attributes if name == "id"}
    anchors = {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    assert anchors
    assert anchors <= ids
    assert ("lang", "nl") in page.attributes


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y> [a](javascript:b) | `c` \u202e\x1b[2J {{ 7*7 }}"


def hostile():
    document = copy.deepcopy(CONTRACT)
    document["name"] = document["status"] = HOSTILE
    document["description"] |= {"purpose": HOSTILE, "usage": "# " + HOSTILE}
    document["authoritativeDefinitions"] = [{"type": HOSTILE, "url": "javascript:alert(1)", "description": HOSTILE}]
    table = document["schema"][0]
    table["description"] = "- " + HOSTILE
    table["properties"][1] |= {"businessName": HOSTILE, "description": HOSTILE, "classification": HOSTILE}
    table["properties"][1]["enum"] = [{"value": HOSTILE, "label": HOSTILE}]
    document["price"]["priceUnit"] = HOSTILE
    return content(document)


def test_what_a_writer_typed_is_never_a_tag_or_a_link_on_the_page():
    html = as_html(hostile())
    page = words(html)
    assert not {"script", "img"} & set(page.tags)
    assert all("javascript" not in value for name, value in page.attributes if name == "href")
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "{{ 7*7 }}" in html


def test_what_a_writer_typed_is_never_markup_in_markdown():
    from markdown_it import MarkdownIt

    page = words(MarkdownIt("commonmark", {"html": True}).enable("table").render(as_markdown(hostile())))
    assert not {"script", "img", "a"} & set(page.tags)
    rows = re.findall(r"^\| .*$", as_markdown(hostile()), re.MULTILINE)
    assert {row.count(" | ") for row in rows} == {5, 1}


def test_the_dictionary_of_every_product_is_whole():
    for name in product_names():
        contract = load_contract(product_contract(name))
        told = dictionary(contract, compile_table(contract.table))
        assert [entry.name for entry in told.entries if not entry.level] == [
            each.name for each in contract.table.columns
        ]
        assert all(entry.title or entry.description for entry in told.entries)
        assert as_markdown(told).count("\n### ") == sum(bool(entry.codes) for entry in told.entries)
        assert "None" not in as_html(told)


def test_of_fixed_width_it_says_where_a_column_stands():
    columns = [
        {"name": "bsn", "logicalType": "string", "customProperties": [{"property": "gla.rule", "value": "bsn"}]},
        {"name": "uren", "logicalType": "integer", "logicalTypeOptions": {"minimum": -99, "maximum": 99}},
    ]
    told = content(a_document(columns, format="fixed"))
    places = [entry.rules[-1] for entry in told.entries]
    assert places == ["teken 2 tot en met 10 van het record", "teken 11 tot en met 13 van het record"]
    assert all(place in as_markdown(told) and place in as_html(told) for place in places)
    assert not any("record" in rule for entry in content(a_document(columns)).entries for rule in entry.rules)


@pytest.mark.parametrize(
    ("word", "told"), [("refuse", "niet"), ("header-only", "zonder rijen"), ("skip", "overgeslagen")]
)
def test_it_says_what_becomes_of_a_period_without_rows(word, told):
    terms = dict(content(a_document([{"name": "a", "logicalType": "string"}], empty=word)).terms)
    assert told in terms["Tijdvak zonder rijen"]
