"""What happens to recipients' keys, as the ledger tells it; never a key's text, a token or a signature."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from flows.wiring import Services
from ledger.vocabulary import Action, Result


def tell(
    services: Services,
    connection: Connection,
    action: Action,
    recipient: str,
    actor: str,
    detail: dict[str, Any],
    result: Result = Result.OK,
    once: str | None = None,
) -> None:
    """Record it in the transaction that did it."""
    services.ledger.record(
        action, f"recipient:{recipient}", result, actor or services.worker, detail, once=once, connection=connection
    )
