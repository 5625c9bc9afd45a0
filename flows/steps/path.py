"""The main path: one order, six steps, one delivery. `gla deliver` and the Prefect flow both run this.

1. agree     the agreement, verified and in force, decides everything that follows
2. extract   its columns and rows from the registered source, in batches
3. validate  every batch, and the whole
4. seal      written, encrypted and staged as it streams by (2 to 4 are one stream)
5. publish   the staged bytes appear at the destination as a whole
6. record    the ledger knows, before and after each step

What may go wrong has a name in `core.errors`. A permanent error refuses the delivery, a transient one fails it; both
are recorded with their reason, and `resume` goes on from the last recorded step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

import polars as pl

from agreements import store
from core.clock import dutch_date, from_rfc3339
from core.database import reading
from core.errors import DeliveryEmpty, DeliveryStateError, GlaError, LedgerUnavailable, unexpected
from flows.steps.agree import agree, unaltered
from flows.steps.appeared import require_recorded
from flows.steps.extract import extract, plan, plan_document
from flows.steps.lease import kept_alive
from flows.steps.mutations.chain import forget_states, require_last
from flows.steps.mutations.compare import everything
from flows.steps.mutations.delivering import mutations, read_of
from flows.steps.order import Mode, Order, Outcome
from flows.steps.participants import digest_of, keep, only_participants, participants_of
from flows.steps.publish import publish, require_publishable
from flows.steps.record import record, record_skipped
from flows.steps.report import record_report
from flows.steps.retention import require_time_left, withdraw_if_revoked
from flows.steps.seal import Sealed, seal
from flows.steps.seal_rows import Progress
from flows.steps.validate import Checked, NothingToDeliver
from flows.wiring import Services
from ledger.deliveries import Claim, Columns
from ledger.states import DELIVERED, DONE, STOPPED, State
from ledger.vocabulary import Action
from schemas.agreement import Agreement
from schemas.compiler import compile_table
from schemas.validation import Validator


class StepRunner(Protocol):
    """Runs one named step. Prefect's runs it as a task, so that the operator sees it."""

    def __call__(self, name: str, function: Callable[..., Any], *args: Any) -> Any: ...


def run_plainly(name: str, function: Callable[..., Any], *args: Any) -> Any:  # noqa: ARG001 - the protocol has it
    return function(*args)


def no_progress(rows: int, size: int) -> None:
    """Nobody watches."""


def run(services: Services, order: Order, step: StepRunner = run_plainly, progress: Progress = no_progress) -> Outcome:
    """Deliver what `order` asks, once. Raises a `GlaError` that is recorded and safe to show."""
    claim = _claim(services, order)
    if claim.state in DONE and order.mode is not Mode.REDELIVER:
        services.ledger.release(claim)
        services.checkpoint()  # the worker that published it may have died before it could do this
        forget_states(services, order.agreement_id)  # or this
        return _outcome(claim, done_before=True)
    try:
        with kept_alive(services, claim):
            claim = guard("deliver", _six_steps)(services, order, claim, _guarded(step), progress)
    except GlaError as error:
        _record_failure(services, claim, error)
        raise
    except BaseException:
        services.ledger.fail(claim, "Cancelled", "the run was stopped: resume it", refused=False)
        raise
    withdraw_if_revoked(services, order.agreement_id)  # between the last look and the moment that it appeared
    return _outcome(claim, done_before=False)


def _six_steps(services: Services, order: Order, claim: Claim, step: StepRunner, progress: Progress) -> Claim:
    advance = services.ledger.advance
    agreement: Agreement = step("agree", agree, services, order.agreement_id)  # 1
    order.require_before(agreement.valid_until)
    if claim.state in DELIVERED and claim.sealed is not None:  # one that the recipient has stays delivered if refused
        require_publishable(services, agreement, order, claim, Sealed.from_json(claim.sealed))
        claim = advance(claim, State.SEALED, Action.DELIVERY_REOPENED, {"reason": order.reason})
    if claim.sealed is None:
        asked = (services, agreement, order, claim, progress)
        found: Sealed | None = step("extract, validate, seal", _unless_empty, *asked)  # 2 3 4
        agree(services, agreement.id)  # a revocation since the start counts
        if found is None:
            return cast("Claim", step("record", record_skipped, services, agreement, claim))  # 6
        sealed = found
        staged: Columns = {"sealed": sealed.to_json(), "rows": sealed.rows, "bytes": sealed.size}
        claim = advance(claim, State.SEALED, Action.DELIVERY_SEALED, sealed.told, **staged)
    else:
        sealed = Sealed.from_json(claim.sealed)  # sealed before: the same bytes, no second extraction
    agree(services, agreement.id)  # and `publish` asks again just before the delivery appears
    claim = advance(claim, State.PUBLISHING, Action.DELIVERY_PUBLISHING, {"destination": agreement.destination})
    receipts = step("publish", publish, services, agreement, order, claim, sealed)  # 5
    return cast("Claim", step("record", record, services, agreement, claim, sealed, receipts))  # 6


def _unless_empty(
    services: Services, agreement: Agreement, order: Order, claim: Claim, progress: Progress
) -> Sealed | None:
    """Steps 2 to 4; None where there are no rows, and the agreement says that nothing is published then.

    `DeliveryEmpty` if the period was not over when it began: its rows may still come, so it is not done.
    """
    early = order.early(dutch_date(services.clock()))
    try:
        return _stream(services, agreement, order, claim, early, progress)
    except NothingToDeliver:
        if early is None:
            return None
    raise DeliveryEmpty(f"{order.name}: no row yet, and the period is not over: run it again after its last day")


def _stream(
    services: Services, agreement: Agreement, order: Order, claim: Claim, early: str | None, progress: Progress
) -> Sealed:
    begun = {"source": agreement.source}
    if early is not None:
        begun["early"] = early
    services.ledger.advance(claim, State.EXTRACTING, Action.DELIVERY_EXTRACTING, begun)
    compiled = compile_table(agreement.contract.table)
    extraction = plan(agreement, compiled, order.period)
    participants = participants_of(services, agreement)
    may_end = everything if participants is None else partial(keep, participants=participants)
    with (
        services.open_scratch() as scratch,
        mutations(services, agreement, order, claim, compiled, scratch, may_end) as changes,
    ):
        validator = Validator(compiled, order.period, scratch, agreement.sums)
        source, states = services.sources.get(agreement.source, agreement.contract.table.source_name), list[str]()
        frames = extract(source, extraction, validator.unreadable, states.append)  # 2
        frames = only_participants(services, claim, frames, participants)
        frames = frames if changes is None else changes.told(frames)
        tell = partial(record_report, services, agreement, order, claim)
        checked = Checked(frames, validator, agreement, tell, replaces=claim.delivery.supersedes is not None)  # 3
        describe = partial(plan_document, agreement, extraction, digest_of(participants), states)
        read = partial(read_of, describe, changes)
        services.prepare_what_follows(agreement)
        empty = pl.DataFrame(schema=dict(compiled.dtypes))
        sealed = seal(services, agreement, order, claim, checked, empty, read, progress)  # 4
    return sealed if changes is None else replace(sealed, state=vars(changes.kept()))


def _claim(services: Services, order: Order) -> Claim:
    with reading(services.engine) as connection:
        stored = store.get(connection, order.agreement_id)  # not verified yet: it only names the delivery
    return services.ledger.claim(
        order.agreement_id,
        order.period,
        _edition(services, order),
        worker=services.worker,
        lease_seconds=services.settings.delivery.lease_seconds,
        actor=order.requested_by,
        reason=order.reason or None,
        agreement_digest=stored.digest,
        recipient=stored.recipient,
        product=stored.product,
    )


def _edition(services: Services, order: Order) -> int:
    """Which edition an order means; refuses a rerun that does not fit what is there."""
    latest = services.ledger.latest_edition(order.agreement_id, order.period)
    if order.mode is Mode.RESUME:
        return latest or 1
    delivery = services.ledger.get(order.agreement_id, order.period, latest) if latest else None
    if latest and delivery and delivery.state is State.SKIPPED:
        if order.mode is Mode.CORRECT:
            return latest + 1
        raise DeliveryStateError(f"delivery {order.name} had no rows and was skipped as agreed: use mode correct")
    if order.mode is Mode.REDELIVER:
        return _published_edition(services, order)
    if latest and delivery and delivery.state in STOPPED and delivery.sealed:
        with reading(services.engine) as connection:
            agreement = unaltered(store.get(connection, order.agreement_id))
        require_recorded(services, agreement, [delivery])  # or the recipient would have two that both count
        return latest + 1  # sealed bytes that can not be published any more would otherwise be the end
    if latest is None or delivery is None or delivery.state not in DELIVERED:
        raise _not_delivered(order)
    require_last(services, delivery)
    return latest + 1


def _published_edition(services: Services, order: Order) -> int:
    """The newest that was published; the ledger refuses it while a newer one is begun and not stopped."""
    delivery = services.ledger.newest_published(order.agreement_id, order.period)
    if delivery is None:
        raise _not_delivered(order)
    if delivery.expires_at is not None:  # asked before anything changes: one that expired stays so
        require_time_left(services, order.name, from_rfc3339(delivery.expires_at))
    return delivery.edition


def _not_delivered(order: Order) -> DeliveryStateError:
    return DeliveryStateError(f"delivery {order.name} is not delivered yet: use mode resume")


def _guarded(step: StepRunner) -> StepRunner:
    """Let nothing but our own errors out of a step: a foreign exception may hold rows, and schedulers store it."""

    def run_step(name: str, function: Callable[..., Any], *args: Any) -> Any:
        return step(name, guard(name, function), *args)

    return run_step


def guard(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, raising only `GlaError`s without a chain."""

    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except GlaError as error:
            failure: GlaError = error
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - where foreign exceptions end
            failure = unexpected(f"step {name!r}", error)
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    return call


def _record_failure(services: Services, claim: Claim, error: GlaError) -> None:
    if isinstance(error, LedgerUnavailable):
        return  # nothing can be recorded, so nothing was delivered; the lease runs out by itself
    services.ledger.fail(claim, error.code, str(error), refused=not error.transient)


def _outcome(claim: Claim, *, done_before: bool) -> Outcome:
    it = claim.delivery
    same_as = None if it.sealed is None else Sealed.from_json(it.sealed).same_as
    skipped, rows, size = it.state is State.SKIPPED, it.rows or 0, it.bytes or 0
    return Outcome(it.id, it.agreement_id, it.period, it.edition, rows, size, done_before, same_as, skipped)
