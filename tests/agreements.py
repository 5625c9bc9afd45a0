"""An agreement as a value, for what needs its terms and columns and no keys, database or files."""

from __future__ import annotations

import base64
from typing import Any

from core.canonical import canonical_json
from schemas.agreement import Agreement, load_agreement

_FINGERPRINT = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")


def a_document(columns: list[dict[str, Any]], **custom: Any) -> dict[str, Any]:
    """The document of an agreement over `columns`; keyword `x=value` sets gla.x."""
    terms = {
        "source": "people",
        "recipient": {"name": "fonds", "kvk": "90000102"},
        "recipientKeys": [_FINGERPRINT],
        "recipientSigner": _FINGERPRINT,
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
        "schema": [{"name": "people", "properties": columns}],
        "customProperties": [{"property": f"gla.{name}", "value": value} for name, value in terms.items()],
    }


def an_agreement(columns: list[dict[str, Any]], **custom: Any) -> Agreement:
    """The agreement that `a_document` describes; `UnusableInput` where its terms do not fit its columns."""
    return load_agreement(canonical_json(a_document(columns, **custom)))
