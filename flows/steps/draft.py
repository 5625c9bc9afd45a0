"""Draft an agreement, from a source's schema or from the catalogue: a YAML document to be read, edited and offered.

A source says which columns and types there are; a product of the catalogue also has descriptions, rules and code lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from agreements import registry
from agreements.standing import KeyPurpose, Standing
from core.clock import dutch_date
from core.database import reading
from core.errors import UnusableInput
from core.ids import checked_name
from flows.wiring import Services
from keys.kinds import parse_sealing_key, preferred
from keys.private.custody import Role
from schemas.envelopes import OPENPGP, form_of_fingerprint
from schemas.export import odcs
from schemas.products import product_document, product_table
from schemas.table import checked_delivered_name

_HEADER = """\
# Draft of agreement {id}. Edit it: remove the columns and rows that are not needed, state purpose and legal basis,
# then run: gla agreement offer {id}.odcs.yaml
# Rows: gla.filter is a list of column, operator (equals, notEquals, lessThan, lessOrEqualTo, greaterThan,
# greaterOrEqualTo, in, isNull, isNotNull) and either a value or a bound (period.start, period.end). A bound on a
# column of text has its format, yyyy-MM-dd or yyyyMMdd. Dates that a CSV file writes in another form: make the column
# a date with logicalTypeOptions: {{format: dd-MM-yyyy}}, and drop the format of the bounds.
# People: gla.participants, {{column: bsn, maximum: 100000}}, delivers only rows about people whom the recipient sends
# as its participants; docs/participants.md says how.
"""

_SLA = [
    {"property": "retention", "value": 30, "unit": "d"},
    {"property": "frequency", "value": 1, "unit": "month"},
    {"property": "latency", "value": 3, "unit": "d"},
]


def draft(
    services: Services,
    agreement_id: str,
    source_id: str,
    recipient: str,
    columns: Sequence[str],
    period_column: str | None,
    product: str | None = None,
    source_table: str | None = None,
) -> dict[str, Any]:
    """A draft over `source_id` for `recipient` as an ODCS document; all columns unless some are named.

    Of a database with several tables `source_table` is the one that is meant. The draft names it also if it is the
    only one: what is registered later may not change which rows are agreed.

    With a `product` of the catalogue its columns are taken as they are there, and the source must have them.
    """
    checked_name(agreement_id, "the id of an agreement")
    schema = services.sources.get(source_id, source_table).draft_schema()
    table = product_table(product, columns) if product else _table(source_id, schema, columns)
    if offered := source_table or next(iter(services.sources.registration(source_id).tables), None):
        table = {**table, "physicalName": offered}
    named = {*columns, *(each["name"] for each in table["properties"]), *([period_column] if period_column else [])}
    if missing := named - set(schema):
        raise UnusableInput(f"source {source_id} has no column {', '.join(sorted(missing))}: run gla source list")
    kvk, seal_keys, signer = _keys(services, recipient)
    second = services.custody.mldsa_signer()
    today = dutch_date(services.clock())
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": agreement_id,
        "name": f"{product or source_id} for {recipient}",
        "version": "1.0.0",
        "status": "proposed",
        "dataProduct": product or source_id,
        "tenant": recipient,
        "description": {"purpose": "TODO: what the data is for", "usage": "TODO: how it may be used"},
        "schema": [table],
        "slaProperties": product_document(product)["slaProperties"] if product else _SLA,
        "customProperties": [
            {"property": "gla.source", "value": source_id},
            {"property": "gla.destination", "value": "dropzone"},
            {"property": "gla.recipient", "value": {"name": recipient, "kvk": kvk}},
            {"property": "gla.recipientKeys", "value": seal_keys},
            {"property": "gla.recipientSigner", "value": signer},
            {"property": "gla.senderKey", "value": services.custody.public_key(Role.MANIFEST).line},
            *([{"property": "gla.senderKeyPq", "value": second.public_key.line}] if second else []),
            *_openpgp_terms(services, seal_keys),
            {"property": "gla.validFrom", "value": f"{today:%Y-%m-%d}"},
            {"property": "gla.validUntil", "value": f"{_a_year_after(today):%Y-%m-%d}"},
            {"property": "gla.format", "value": "parquet"},
            {"property": "gla.empty", "value": "refuse"},
            {"property": "gla.filter", "value": _period_filter(period_column, schema)},
        ],
    }


def as_yaml(document: dict[str, Any]) -> str:
    """The draft as a person edits it, with a header that says what to do."""
    return _HEADER.format(id=document["id"]) + odcs.as_yaml(document)


def _keys(services: Services, recipient: str) -> tuple[str, list[str], str]:
    with reading(services.engine) as connection:
        kvk = dict(registry.list_recipients(connection)).get(recipient)
        keys = registry.keys_of(connection, recipient)
    over = (Standing.REVOKED, Standing.EXPIRED)
    keys = [key for key in keys if key.standing(services.clock()) not in over]
    seals = [parse_sealing_key(key.public_key) for key in keys if key.purpose is KeyPurpose.SEAL]
    seal_keys = [key.fingerprint for key in preferred(seals)]
    signers = [key.fingerprint for key in keys if key.purpose is KeyPurpose.SIGN]
    if kvk is None or not seal_keys or not signers:
        raise UnusableInput(f"recipient {recipient} has no valid keys: run gla recipient add {recipient}")
    return kvk, seal_keys, signers[0]


def _openpgp_terms(services: Services, seal_keys: Sequence[str]) -> list[dict[str, str]]:
    """Our key that signs inside OpenPGP messages, for recipients of those."""
    if form_of_fingerprint(seal_keys[0]) is not OPENPGP:
        return []
    return [{"property": "gla.senderOpenpgp", "value": services.custody.openpgp_signers().signers[0].fingerprint}]


def _table(source_id: str, schema: dict[str, pl.DataType], columns: Sequence[str]) -> dict[str, Any]:
    """What the source itself says; a name that it lacks is found by the caller."""
    chosen = [name for name in columns or schema if name in schema]
    return {
        "name": source_id,
        "logicalType": "object",
        "properties": [_column(name, schema[name]) for name in chosen],
    }


def _column(name: str, dtype: pl.DataType) -> dict[str, Any]:
    try:
        checked_delivered_name(name)
        refused = False
    except UnusableInput:
        refused = True
    if refused:
        raise UnusableInput(
            f"column {name[:50]!r} of the source has a name that no contract can hold: rename it there, "
            "or leave it out by naming the others with --column"
        )
    return {"name": name, "logicalType": _logical_type(name, dtype), **_options(dtype), "required": False}


def _options(dtype: pl.DataType) -> dict[str, Any]:
    """Days begin in the zone in which the source stores its moments, as far as it tells: else in UTC."""
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        return {}
    zone = {} if dtype.time_zone == "UTC" else {"defaultTimezone": dtype.time_zone}
    return {"logicalTypeOptions": {"timezone": True, **zone}}


def _logical_type(name: str, dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Datetime):
        return "timestamp"
    names: dict[type[pl.DataType], str] = {pl.Boolean: "boolean", pl.Date: "date", pl.Time: "time", pl.String: "string"}
    found = names.get(type(dtype))
    if found is None:
        raise UnusableInput(
            f"column {name} has the type {dtype}, which no agreement can deliver yet: "
            "leave it out by naming the others with --column"
        )
    return found


def _period_filter(column: str | None, schema: dict[str, pl.DataType]) -> list[dict[str, str]]:
    if column is None:
        return []
    if not isinstance(schema[column], pl.Date | pl.Datetime | pl.String):
        raise UnusableInput(f"column {column} holds no dates: name another --period-column")
    form = {"format": "yyyy-MM-dd"} if isinstance(schema[column], pl.String) else {}
    return [
        {"column": column, "operator": "greaterOrEqualTo", "bound": "period.start", **form},
        {"column": column, "operator": "lessThan", "bound": "period.end", **form},
    ]


def _a_year_after(day: date) -> date:
    return date(day.year + 1, day.month, min(day.day, 28))
