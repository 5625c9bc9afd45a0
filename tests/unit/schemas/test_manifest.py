"""Manifest and pakbon: exactly what they should be, or `ManifestInvalid` in our words, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import canonical_json, sha256_hex
from core.errors import ManifestInvalid
from schemas.manifest import Manifest, Pakbon

DIGEST = "a" * 64
FILE = {
    "filename": "people.parquet.age",
    "size": 10,
    "checksum": DIGEST,
    "contentType": "application/age",
    "chunkSize": 4,
    "chunks": [DIGEST] * 3,
}
MANIFEST = {
    "version": 1,
    "contextId": "0" * 32,
    "agreement": "GLA-1",
    "agreementDigest": DIGEST,
    "recipient": "fonds",
    "product": "people",
    "period": "2026-03",
    "edition": 1,
    "supersedes": None,
    "creationTime": "2026-04-05T12:00:00.000Z",
    "expirationTime": "2026-05-05T12:00:00.000Z",
    "files": [FILE],
}
PAKBON = {
    "version": 1,
    "contextId": "0" * 32,
    "agreementDigest": DIGEST,
    "period": "2026-03",
    "edition": 1,
    "rows": 5,
    "sums": {"amount": "12"},
    "planDigest": DIGEST,
    "files": [{"filename": "people.parquet", "size": 10, "checksum": DIGEST, "rows": 5}],
}
PLAN = {
    "agreement": "GLA-1",
    "agreementDigest": DIGEST,
    "source": "people",
    "snapshot": "parquet:1",
    "columns": [{"name": "id", "sourceName": "ID", "type": "Int64"}],
    "filter": [{"column": "id", "operator": "in", "value": [1, 2.5, "a", True]}],
    "period": "2026-03",
    "base": {"period": "2026-02", "edition": 2},
    "mutations": "code",
    "participants": DIGEST,
}
PLANNED = MANIFEST | {"planDigest": DIGEST}
PAKBON_WITH_PLAN = PAKBON | {"plan": PLAN, "planDigest": sha256_hex(canonical_json(PLAN))}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
    max_leaves=10,
)


def refusal(value: Any, kind: type[Manifest | Pakbon] = Manifest) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        kind.from_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Manifest, MANIFEST), (Manifest, PLANNED), (Pakbon, PAKBON), (Pakbon, PAKBON_WITH_PLAN)],
)
def test_it_survives_its_bytes_to_the_byte(kind, value):
    content = canonical_json(value)
    assert kind.from_bytes(content).to_bytes() == content


@pytest.mark.parametrize("name", sorted(set(MANIFEST) - {"version"}))
def test_a_missing_field_is_named(name):
    assert name in refusal({key: value for key, value in MANIFEST.items() if key != name})


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "version": [0, 2, "1", None],
        "contextId": [5, None],
        "agreement": ["", "../x", "a/b", ".x", "a\n", 5, "a" * 201],
        "agreementDigest": ["a" * 63, "A" * 64, "a" * 64 + "\n", "g" * 64, 5],
        "recipient": ["..", 5],
        "period": ["", "2026-13", "../2026", "2026-3", 2026],
        "edition": [0, -1, 1.5, "1", True, None, 2.0**53],
        "supersedes": ["1", 1.5, True],
        "creationTime": ["", "2026-04-05", "2026-04-05T12:00:00", 5, "0001-01-01T00:00:00+23:59"],
        "files": [None, {}, "x", [5], [FILE, FILE], [FILE, FILE | {"filename": "PEOPLE.parquet.age"}]],
    }.items(),
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name, values):
    for value in values:
        assert name in refusal(MANIFEST | {name: value}), value


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1}, {"size": 2.0**53}, {"size": "10"}, {"size": 10.5}, {"size": True}, {"size": 13}, {"size": 8},
        {"chunkSize": 0}, {"chunkSize": -4}, {"chunks": []}, {"chunks": [DIGEST] * 4}, {"chunks": ["x"] * 3},
        {"checksum": ""}, {"filename": "../x"}, {"more": 1}, {"content_type": "x"},
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(change):
    assert "files.0" in refusal(MANIFEST | {"files": [FILE | change]})


@pytest.mark.parametrize("name", ["more", "context_id", "chunk_size", "Version"])
def test_an_unknown_field_is_refused_also_our_own_name_for_one(name):
    assert name in refusal(MANIFEST | {name: 1})


@pytest.mark.parametrize("name", ["\x1b[31m", "é", "a b", "x" * 1000, "", "\u202e"])
def test_a_made_up_name_is_not_repeated(name):
    message = refusal(MANIFEST | {name: 1})
    assert "(*)" in message
    assert message.isascii()
    assert message.isprintable()


def test_a_value_is_never_repeated():
    assert "geheim" not in refusal(MANIFEST | {"edition": "geheim", "period": "geheim", "agreement": "geheim/"})


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{", b"[]", b"null", b"5", b"NaN", b'{"version":1,"version":1}', b"[" * 100_000, b'{"\\ud800":1}'],
)  # fmt: skip
def test_what_is_no_document_is_refused(content):
    refusal(content)
    refusal(content, Pakbon)


@pytest.mark.parametrize("change", [{"rows": 4}, {"files": []}, {"rows": -1}, {"sums": {"a": 5}}, {"sums": []}])
def test_a_pakbon_whose_counts_do_not_agree_is_refused(change):
    refusal(PAKBON | change, Pakbon)


@given(JSON, st.sampled_from([Manifest, Pakbon]))
def test_any_json_is_refused_in_our_words(value, kind):
    refusal(json.dumps(value).encode(), kind)


@given(st.data())
def test_any_value_in_any_place_is_accepted_or_refused_in_our_words(data):
    kind, whole = data.draw(st.sampled_from([(Manifest, PLANNED), (Pakbon, PAKBON_WITH_PLAN)]))
    changed = json.loads(json.dumps(whole))
    place = data.draw(st.sampled_from([changed, changed["files"][0]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    try:
        accepted = kind.from_bytes(json.dumps(changed).encode())
    except ManifestInvalid:
        return
    assert kind.from_bytes(accepted.to_bytes()) == accepted


@given(st.binary())
def test_any_bytes_are_refused_in_our_words(content):
    refusal(content)


CONTACT = MANIFEST | {"contact": {"name": "Servicedesk", "url": "mailto:gla@example.org"}}


@pytest.mark.parametrize("value", [CONTACT, MANIFEST | {"contact": {"name": "Servicedesk", "url": None}}])
def test_a_contact_survives_its_bytes(value):
    content = canonical_json(value)
    assert Manifest.from_bytes(content).to_bytes() == content


@pytest.mark.parametrize("contact", [{}, {"name": ""}, {"name": 5}, "x", {"name": "x", "more": 1}])
def test_a_wrong_contact_is_refused_by_its_name(contact):
    assert "contact" in refusal(MANIFEST | {"contact": contact})


@pytest.mark.parametrize(("names", "page"), [((), None), (("pakbon.html.age",), "pakbon.html.age")])
def test_the_page_for_people_is_found_where_there_is_one(names, page):
    files = [FILE | {"filename": name} for name in ("people.parquet.age", "pakbon.json.age", *names)]
    found = Manifest.from_bytes(canonical_json(MANIFEST | {"files": files})).page
    assert (found and found.filename) == page
