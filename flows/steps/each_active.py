"""What is asked of every active agreement: trouble with one is told, and the others are asked all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from agreements import store
from agreements.rules import AgreementState
from core.database import reading
from core.errors import GlaError, LedgerUnavailable
from flows.wiring import Services

_T = TypeVar("_T")


def of_each_active(
    services: Services,
    find: Callable[[str], Iterable[_T]],
    chosen: Callable[[store.StoredAgreement], bool] = lambda _: True,
) -> Iterator[tuple[str, list[_T] | GlaError]]:
    """The id of each active agreement that is chosen, with what `find` gives for it, or the error that it raises.

    `LedgerUnavailable` is raised: it is trouble with all of them.
    """
    with reading(services.engine) as connection:
        active = store.list_agreements(connection, AgreementState.ACTIVE)
    for stored in active:
        if not chosen(stored):
            continue
        try:
            found: list[_T] | GlaError = list(find(stored.id))
        except LedgerUnavailable:
            raise
        except GlaError as error:
            found = error
        yield stored.id, found
