"""What appeared although that was not recorded: the answer was lost, or the worker died before it could tell.

The recipient has it then, and nothing may be made as if it had not. `resume` records it.
"""

from __future__ import annotations

from collections.abc import Iterable
from json import loads

from sqlalchemy import Connection

from core.errors import DeliveryStateError
from flows.steps.order import delivery_folder
from flows.wiring import Services
from ledger import events
from ledger.deliveries import Delivery
from ledger.states import State
from ledger.vocabulary import Action
from schemas.agreement import Agreement
from schemas.manifest import MANIFEST_NAME
from transports.publishing import has_appeared


def may_have_appeared(connection: Connection, delivery: Delivery) -> bool:
    """Whether the recipient may have, or have had, one that is not recorded as published: it was to be sent, and was
    not corrected (before that the destination is asked) or removed where nothing stood.
    """
    if delivery.sealed is None or delivery.published_at is not None or delivery.state is State.SUPERSEDED:
        return False
    told = events.of_delivery(connection, delivery.id)
    removed = [loads(each.body.detail) for each in told if each.body.action == Action.DELIVERY_REMOVED]
    gone = any(each.get("was_there") is False for each in removed)
    return not gone and any(each.body.action == Action.DELIVERY_PUBLISHING for each in told)


def require_recorded(services: Services, agreement: Agreement, some: Iterable[Delivery]) -> None:
    """`DeliveryStateError` if one of these deliveries under the agreement appeared, and that was not recorded.

    The destination is asked only if one was sealed and never recorded as published.
    """
    waiting = [each for each in some if each.sealed is not None and each.published_at is None]
    if not waiting:
        return
    with services.open_destination(agreement) as transport:
        for each in waiting:
            if has_appeared(transport, delivery_folder(agreement.id, each.period, each.edition), MANIFEST_NAME):
                raise DeliveryStateError(f"{each.name} appeared, and that was not recorded yet: resume it first")
