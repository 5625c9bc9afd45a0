"""A mutation delivery between extracting and validating: which state it starts from, and which it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import polars as pl

from core.errors import DeliveryStateError, Unexpected, UnusableInput
from flows.steps.extract import Read
from flows.steps.mutations import chain
from flows.steps.mutations.chain import Place
from flows.steps.mutations.compare import RANGES, ROW, Comparison, OneFrame, States
from flows.steps.mutations.state import Head, Kept, StateWriter, kept_state, new_state
from flows.steps.order import Order
from flows.wiring import Services
from ledger.deliveries import Claim
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable
from schemas.manifest import EditionName, MutationCounts, Plan
from schemas.mutations import MutationsTerm
from schemas.scratch import Scratch


class Mutations:
    """`told` is given all rows of today and gives those of the delivery; the rest is known when it has ended."""

    def __init__(self, place: Place, comparison: Comparison, writer: StateWriter) -> None:
        self._place, self._comparison, self._writer = place, comparison, writer

    def told(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        return self._comparison.told(frames)

    @property
    def base(self) -> EditionName | None:
        """What the rows are compared with; None where all are told as new."""
        if self._place.base is None:
            return None
        compared = self._place.base.delivery
        return EditionName(period=compared.period, edition=compared.edition)

    @property
    def counts(self) -> MutationCounts:
        return self._comparison.counts

    def kept(self) -> Kept:
        """What was left behind, when its file is on disk."""
        if not self._comparison.complete:
            raise Unexpected("a delivery was sealed before all its rows were compared: it counts as not sealed")
        return Kept(self._writer.name, self._writer.sha256, self._place.after, self._place.whole)


@contextmanager
def mutations(
    services: Services,
    agreement: Agreement,
    order: Order,
    claim: Claim,
    compiled: CompiledTable,
    scratch: Scratch,
    may_end: OneFrame,
) -> Iterator[Mutations | None]:
    """None for a full delivery. `may_end` chooses the ended rows, by their key, that may be told.

    `DeliveryBusy` and `DeliveryStateError` say why the delivery cannot be made now, before anything is read.
    """
    term = agreement.mutations
    if term is None:
        if order.full:
            raise UnusableInput(f"agreement {agreement.id} has no gla.mutations: each delivery is the whole state")
        yield None
        return
    chain.require_alone(services, claim)
    chain.require_all_recorded(services, agreement, claim)
    place = chain.place_of(services, claim.delivery, full=order.full)
    columns = tuple(name for name in compiled.columns if name != term.column)
    with ExitStack() as stack:
        if place.base is None:
            head = Head.new(term, columns)
            earlier = _nothing(term, compiled)
        else:
            name = place.base.delivery.name
            past, earlier = stack.enter_context(kept_state(services, agreement.id, place.base.kept, name))
            if past.key != term.key:
                raise DeliveryStateError(
                    f"agreement {agreement.id}: the primaryKey is another one than when {name} was delivered: deliver "
                    "the whole state again with --full"
                )
            head = Head(term.key, columns, past.salt)
        writer = stack.enter_context(new_state(services, agreement.id, f"{claim.id}-{claim.token}.age", head))
        states = States(earlier, writer.keep, head.seed, may_end)
        yield Mutations(place, Comparison(term, compiled, states, scratch), writer)


def read_of(describe: Callable[..., Plan], changes: Mutations | None) -> Read:
    """What was read; of a mutation delivery also what it was compared with, and how many rows of each kind it has."""
    if changes is None:
        return Read(describe(), None)
    return Read(describe(base=changes.base), changes.counts)


def _nothing(term: MutationsTerm, compiled: CompiledTable) -> Iterator[pl.DataFrame]:
    empty = pl.DataFrame(schema={**{name: compiled.dtypes[name] for name in term.key}, ROW: pl.UInt64()})
    return (empty for _ in range(RANGES))
