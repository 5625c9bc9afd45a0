"""Every way in which a document is no agreement, and what an agreement says when it is one."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from typing import Any

import pytest

from core.canonical import canonical_json
from core.errors import UnusableInput
from schemas.agreement import Agreement, Planning, load_agreement
from schemas.participants import ParticipantsTerm

FINGERPRINT = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")
MISSING = object()


def document(sla: list[dict[str, Any]] | None = None, **custom: Any) -> dict[str, Any]:
    terms: dict[str, Any] = {
        "source": "people",
        "recipient": {"name": "fonds", "kvk": "09000108"},
        "recipientKeys": [FINGERPRINT],
        "recipientSigner": FINGERPRINT,
        "senderKey": "ssh-ed25519 " + "A" * 68,
        "validFrom": "2026-01-01",
        "validUntil": "2026-12-31",
    } | custom
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": "GLA-1",
        "version": "1.0.0",
        "status": "proposed",
        "schema": [
            {
                "name": "people",
                "properties": [
                    {"name": "id", "logicalType": "integer"},
                    {"name": "ratio", "logicalType": "number"},
                ],
            }
        ],
        "slaProperties": sla or [],
        "customProperties": [
            {"property": f"gla.{name}", "value": value} for name, value in terms.items() if value is not MISSING
        ],
    }


def load(value: dict[str, Any]) -> Agreement:
    return load_agreement(canonical_json(value))


def refusal(value: dict[str, Any]) -> str:
    with pytest.raises(UnusableInput) as caught:
        load(value)
    assert caught.value.__context__ is None
    return str(caught.value)


def sla(name: str, value: Any, unit: Any = "d") -> dict[str, Any]:
    return {"property": name, "value": value, "unit": unit}


def test_an_agreement_with_defaults():
    it = load(document())
    assert (it.id, it.product, it.source, it.destination) == ("GLA-1", "people", "people", "dropzone")
    assert (it.recipient, it.recipient_kvk) == ("fonds", "09000108")
    assert (it.valid_from, it.valid_until) == (date(2026, 1, 1), date(2026, 12, 31))
    assert (it.file_format, it.on_empty, it.sums) == ("parquet", "refuse", ())
    assert (it.planning, it.retention_days, it.filter.conditions) == (None, None, ())
    assert it.digest == hashlib.sha256(it.canonical).hexdigest()


def test_whom_it_is_about_may_be_limited_to_participants():
    assert load(document()).participants is None
    limit = load(document(participants={"column": "id", "maximum": 9_000_000})).participants
    assert limit == ParticipantsTerm("id", 9_000_000)
    assert limit.file_columns == {"bsn", "id"}


def test_a_document_and_its_canonical_form_are_one_agreement():
    it = load_agreement(json.dumps(document(), indent=2).encode())
    again = load_agreement(it.canonical)
    assert (again.canonical, again.digest) == (it.canonical, it.digest)


def test_the_product_is_what_the_document_calls_it():
    assert load(document() | {"dataProduct": "loon"}).product == "loon"


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "source": [MISSING, 5, "", "../people", "a/b", ["people"], "a" * 201],
        "destination": [5, "", "../x", ".x"],
        "recipient": [
            MISSING, "fonds", [], {}, {"name": "fonds"}, {"kvk": "90000102"},
            {"name": "fonds", "kvk": "90000102", "more": 1},
            {"name": "../x", "kvk": "90000102"}, {"name": 5, "kvk": "90000102"}, {"name": None, "kvk": "90000102"},
            {"name": "fonds", "kvk": 90000102}, {"name": "fonds", "kvk": "9000010"},
            {"name": "fonds", "kvk": "900001020"}, {"name": "fonds", "kvk": "9000010a"},
            {"name": "fonds", "kvk": "\u06690000102"}, {"name": "fonds", "kvk": "90000102\n"},
        ],
        "recipientKeys": [MISSING, [], FINGERPRINT, {}, [5], [FINGERPRINT, "SHA256:x"], ["MD5:" + "0" * 43]],
        "recipientSigner": [MISSING, "", 5, FINGERPRINT + "=", FINGERPRINT + "\n", [FINGERPRINT]],
        "senderKey": [MISSING, "", 5, "ssh-ed25519 x", "ssh-rsa " + "A" * 68, "ssh-ed25519 " + "A" * 68 + " comment"],
        "validFrom": [
            MISSING, 2026, "", "2026", "2026-13-01", "2026-02-30", "01-01-2026", "2026-01-01T00:00:00Z",
            "\u0662026-01-01",
        ],
        "validUntil": [MISSING, 2026, "2026-02-30", "2025-12-31"],
        "filter": ["", 0, False, {}, "id > 5", [[]], [{"column": "id"}], {"column": "id", "operator": "isNull"}],
        "format": ["", 5, "CSV", "csv.xz", "PARQUET", ["parquet"]],
        "empty": ["", True, "allow"],
        "sums": ["", False, 0, {}, "id", ["ratio"], ["nothing"], [5], [["id"]]],
        "participants": [
            "", False, 0, [], {}, "id", {"column": "id"}, {"maximum": 5}, {"column": "id", "maximum": 5, "more": 1},
            {"column": "ratio", "maximum": 5}, {"column": "nothing", "maximum": 5}, {"column": ["id"], "maximum": 5},
            {"column": "id", "maximum": 0}, {"column": "id", "maximum": 100_000_001}, {"column": "id", "maximum": "5"},
            {"column": "id", "maximum": True}, {"column": "id", "maximum": 5.5}, {"column": None, "maximum": 5},
        ],
    }.items(),
)  # fmt: skip
def test_terms_that_are_wrong_are_refused_by_name(name, values):
    for value in values:
        assert f"gla.{name}" in refusal(document(**{name: value})), value


@pytest.mark.parametrize(
    "name",
    ["destination", "filter", "participants", "format", "empty", "sums", "source", "recipientKeys", "recipientSigner"],
)
def test_a_term_left_blank_is_refused_and_never_the_default(name):
    assert f"gla.{name}" in refusal(document(**{name: None}))


@pytest.mark.parametrize("name", ["gla.filters", "GLA.filter", "Gla.Filter", " gla.filter", "gla.", "gla.FILTER"])
def test_a_misspelt_term_is_refused_and_never_means_all_rows(name):
    value = document()
    value["customProperties"].append({"property": name, "value": [{"column": "id", "operator": "isNull"}]})
    assert "unknown" in refusal(value)


def test_properties_of_others_are_left_alone():
    value = document()
    value["customProperties"].append({"property": "dpia", "value": "2026-17"})
    assert load(value).id == "GLA-1"


def test_a_term_given_twice_is_refused():
    value = document()
    value["customProperties"].append({"property": "gla.source", "value": "other"})
    assert "gla.source more than once" in refusal(value)


def test_it_may_not_end_before_it_begins():
    assert "lies after" in refusal(document(validFrom="2027-01-01"))
    one_day = document(validFrom="2026-12-31")
    assert load(one_day).valid_from == date(2026, 12, 31)


@pytest.mark.parametrize("name", ["..", "a/b", ".x", "a b", "a" * 201, "é"])
def test_an_id_that_could_become_a_path_is_refused(name):
    assert "the id of an agreement" in refusal(document() | {"id": name})


@pytest.mark.parametrize("unit", ["day", "month", "quarter", "year"])
def test_planning(unit):
    planned = document([sla("frequency", 1, unit), sla("latency", 3)])
    assert load(planned).planning == Planning(unit, 3)


def test_planning_without_latency_is_due_at_once():
    planned = document([sla("Frequency", 1, "month")])
    assert load(planned).planning == Planning("month", 0)


@pytest.mark.parametrize(
    ("value", "unit"), [(2, "month"), (True, "month"), ("1", "month"), (1, "week"), (1, ""), (0, "day")]
)
def test_a_frequency_that_we_cannot_plan_is_refused(value, unit):
    assert "frequency" in refusal(document([sla("frequency", value, unit)]))


@pytest.mark.parametrize("name", ["latency", "retention"])
@pytest.mark.parametrize(
    ("value", "unit"), [(-1, "d"), (1.5, "d"), (True, "d"), ("3", "d"), (3, "month"), (3, ""), (36501, "d")]
)
def test_days_that_are_none_are_refused(name, value, unit):
    assert name in refusal(document([sla("frequency", 1, "month"), sla(name, value, unit)]))


def test_keeping_a_delivery_for_no_day_is_refused():
    assert "retention" in refusal(document([sla("retention", 0)]))


@pytest.mark.parametrize("name", ["frequency", "latency", "retention"])
def test_a_promise_made_twice_is_refused(name):
    twice = [sla("frequency", 1, "month"), sla(name, 1, "month"), sla(name, 1, "month")]
    assert "may be given once" in refusal(document(twice))
