"""A migrated database and a document to offer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from core.canonical import canonical_json
from core.database import opened
from schemas.agreement import Agreement, load_agreement

FINGERPRINT = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(f"sqlite:///{tmp_path / 'gla.db'}") as engine:
        yield engine


@pytest.fixture
def agreement() -> Callable[..., Agreement]:
    """Makes an agreement; `retention=31` makes another version of the same."""

    def make(name: str = "GLA-1", recipient: str = "fonds", retention: int = 30, **custom: Any) -> Agreement:
        terms = {
            "source": "people",
            "recipient": {"name": recipient, "kvk": "90000102"},
            "recipientKeys": [FINGERPRINT],
            "recipientSigner": FINGERPRINT,
            "senderKey": "ssh-ed25519 " + "A" * 68,
            "validFrom": "2026-01-01",
            "validUntil": "2026-12-31",
        } | custom
        document = {
            "apiVersion": "v3.2.0",
            "kind": "DataContract",
            "id": name,
            "version": "1.0.0",
            "status": "proposed",
            "schema": [{"name": "people", "properties": [{"name": "id", "logicalType": "integer"}]}],
            "slaProperties": [{"property": "retention", "value": retention, "unit": "d"}],
            "customProperties": [{"property": f"gla.{key}", "value": value} for key, value in terms.items()],
        }
        return load_agreement(canonical_json(document))

    return make
