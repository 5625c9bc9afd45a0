"""The ledger as the pipeline uses it: claim a delivery, advance it, record what happened.

Each change of a delivery and the event that tells of it are one transaction. A worker proves with its token that
it still holds the delivery; a stale one gets `DeliveryBusy` and changes nothing. Raises `LedgerUnavailable` when the
database cannot be used. Reads no keys, sends nothing, and knows no clock but the one that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from json import loads
from typing import Any, Unpack

from sqlalchemy import Connection, Engine

from core.canonical import sha256_hex
from core.clock import Clock, to_rfc3339
from core.database import reading, writing
from core.errors import DeliveryBusy, DeliveryStateError
from core.period import Period
from ledger import claims, deliveries, events
from ledger.deliveries import Claim, ClaimRequest, Columns, Delivery, FileReading, Pickup, lease_end
from ledger.events import Event
from ledger.states import State, can_follow, check_transition
from ledger.vocabulary import Action, Result
from schemas.spans import whole_together

_INTENT = frozenset({State.EXTRACTING, State.PUBLISHING})


@dataclass(frozen=True)
class Ledger:
    """`origin` is BIO2's "oorsprong": the program and machine that events recorded here come from."""

    engine: Engine
    clock: Clock
    origin: str

    def record(
        self,
        action: Action,
        object: str,  # noqa: A002 - BIO2's word
        result: Result,
        actor: str,
        detail: Mapping[str, Any],
        agreement_id: str | None = None,
        delivery_id: str | None = None,
        *,
        once: str | None = None,
        row_digest: str | None = None,
        connection: Connection | None = None,
    ) -> Event:
        """Append one event. `detail` is JSON without data values. `once`: a key under which it is recorded only once.
        `row_digest` binds a row of the work list: see `tell`.

        A caller that holds a transaction of `core.database.writing` passes its `connection`: both happen, or neither.
        """
        if connection is None:
            with writing(self.engine) as own:
                own_ids = (agreement_id, delivery_id)
                return self.record(
                    action, object, result, actor, detail, *own_ids, once=once, row_digest=row_digest, connection=own
                )
        return events.append(
            connection,
            at=self.now(),
            action=action,
            object=object,
            result=result,
            origin=self.origin,
            actor=actor,
            detail=detail,
            agreement_id=agreement_id,
            delivery_id=delivery_id,
            once=once,
            row_digest=row_digest,
        )

    def claim(
        self,
        agreement_id: str,
        period: Period,
        edition: int,
        *,
        worker: str,
        lease_seconds: int,
        actor: str,
        reason: str | None,
        agreement_digest: str,
        recipient: str,
        product: str,
    ) -> Claim:
        """Become the only worker of a delivery; creates it if it is new, takes it over if its lease ran out.

        An unfinished or stopped delivery starts again as `planned`, or as `sealed` where sealed bytes were recorded.
        One that is done is returned as it is: the caller decides whether to release or to reopen it. Raises
        `DeliveryBusy` while another worker holds it, `DeliveryStateError` where the edition cannot be worked on.
        """
        request = ClaimRequest(
            agreement_id,
            period,
            edition,
            agreement_digest=agreement_digest,
            recipient=recipient,
            product=product,
            worker=worker,
            lease_seconds=lease_seconds,
            actor=actor,
            reason=reason,
        )
        with writing(self.engine) as connection:
            editions = deliveries.editions(connection, agreement_id, period)
            decision = claims.decide(request, editions, self.clock())
            self._carry_out(connection, request, decision)
        if decision.refusal is not None:
            raise decision.refusal
        return Claim(decision.delivery, decision.delivery.token, lease_seconds, actor, reason)

    def heartbeat(self, claim: Claim) -> None:
        """Prolong the lease; raises `DeliveryBusy` if it was lost to another worker."""
        with writing(self.engine) as connection:
            held = self._held(connection, claim)
            _not_overtaken(connection, held)
            deliveries.save(connection, replace(held, lease_until=self._lease(claim)), held_by=claim.token)

    def advance(
        self,
        claim: Claim,
        state: State,
        action: Action,
        detail: Mapping[str, Any] | None = None,
        **columns: Unpack[Columns],
    ) -> Claim:
        """Move the delivery to `state`, with its event, and prolong the lease. Returns the claim as it is now.

        Raises `DeliveryStateError` for an illegal step, for `sealed` without the text of what was staged, and for other
        text than was recorded before; `DeliveryBusy` for a stale worker.
        """
        with writing(self.engine) as connection:
            held = self._held(connection, claim)
            editions = _not_overtaken(connection, held)
            check_transition(held.state, state)
            changed = self._advanced(held, claim, state, columns)
            result = Result.INTENDED if state in _INTENT else Result.OK
            deliveries.save(connection, changed, held_by=claim.token)
            facts = {**(detail or {}), "token": claim.token, **_told(columns)}
            self.tell(connection, changed, action, result, claim.actor, facts)
            if state is State.PUBLISHED:
                self._supersede(connection, changed, editions, claim)
        return replace(claim, delivery=changed)

    def note(self, claim: Claim, action: Action, result: Result, detail: Mapping[str, Any]) -> None:
        """Record what was found out about the delivery, which stays in its state; `DeliveryBusy` for a stale worker."""
        with writing(self.engine) as connection:
            held = self._held(connection, claim)
            self.tell(connection, held, action, result, claim.actor, {**detail, "token": claim.token})

    def fail(self, claim: Claim, error_code: str, message: str, refused: bool) -> None:
        """Record why the work stopped and give the delivery back. `message` must be one that is safe to show.

        A delivery that was already delivered stays delivered; the event tells of the failure.
        """
        state = State.REFUSED if refused else State.FAILED
        action = Action.DELIVERY_REFUSED if refused else Action.DELIVERY_FAILED
        with writing(self.engine) as connection:
            held = replace(self._held(connection, claim), worker=None, lease_until=None, updated_at=self.now())
            if can_follow(held.state, state):
                held = replace(held, state=state, error=f"{error_code}: {message}")
            deliveries.save(connection, held, held_by=claim.token)
            detail = {"error": error_code, "message": message, "token": claim.token}
            self.tell(connection, held, action, Result(state.value), claim.actor, detail)

    def release(self, claim: Claim) -> None:
        """Give the delivery back without changing its state; does nothing if it was lost already."""
        with writing(self.engine) as connection:
            held = deliveries.find_by_id(connection, claim.id)
            if held is not None and held.token == claim.token:
                deliveries.save(connection, replace(held, worker=None, lease_until=None), held_by=claim.token)

    def get(self, agreement_id: str, period: Period, edition: int) -> Delivery | None:
        with reading(self.engine) as connection:
            return deliveries.find(connection, agreement_id, period, edition)

    def latest_edition(self, agreement_id: str, period: Period) -> int | None:
        with reading(self.engine) as connection:
            editions = deliveries.editions(connection, agreement_id, period)
        return editions[0].edition if editions else None

    def newest_published(self, agreement_id: str, period: Period) -> Delivery | None:
        """The edition that the recipient has, or had until its end; a newer one may have been begun."""
        with reading(self.engine) as connection:
            editions = deliveries.editions(connection, agreement_id, period)
        return next((each for each in editions if each.published_at is not None), None)

    def events_of(self, delivery_id: str) -> list[Event]:
        """What happened to one delivery, oldest first."""
        with reading(self.engine) as connection:
            return events.of_delivery(connection, delivery_id)

    def record_pickups(self, pickups: Iterable[Pickup]) -> int:
        """Record that recipients read files, each reading once; returns how many were new.

        When every file of a published delivery was read as a whole, at once or in parts that together are the whole,
        the delivery becomes picked up. That is asked once for each delivery, after all of them, and also if nothing was
        new: whoever recorded them may have died before it asked.
        """
        new, last = 0, {}
        for pickup in pickups:
            with writing(self.engine) as connection:
                new += self._record_reading(connection, pickup)
            last[pickup.agreement_id, pickup.period, pickup.edition, pickup.recipient] = pickup
        for pickup in last.values():
            self._pick_up_if_read(pickup)
        return new

    def _carry_out(self, connection: Connection, request: ClaimRequest, decision: claims.Decision) -> None:
        delivery = decision.delivery
        if decision.refusal is not None:
            self._tell_refused(connection, request, decision)
            return
        if decision.held_by is None:
            deliveries.create(connection, delivery)
        else:
            deliveries.save(connection, delivery, held_by=decision.held_by)
        if decision.action is not None:
            detail = {
                "worker": request.worker,
                "token": delivery.token,
                "reason": request.reason,
                "agreement": delivery.agreement_digest,
                "recipient": delivery.recipient,
                "product": delivery.product,
            }
            self.tell(connection, delivery, decision.action, Result.OK, request.actor, detail)

    def _tell_refused(self, connection: Connection, request: ClaimRequest, decision: claims.Decision) -> None:
        if decision.refusal is None or decision.action is None:
            return
        delivery, refusal = decision.delivery, decision.refusal
        detail = {"worker": request.worker, "error": refusal.code, "message": str(refusal)}
        known = None if decision.held_by is None else delivery.id
        self.record(
            decision.action,
            delivery.name,
            Result.REFUSED,
            request.actor,
            detail,
            delivery.agreement_id,
            known,
            connection=connection,
        )

    def _record_reading(self, connection: Connection, pickup: Pickup) -> bool:
        if events.find_once(connection, pickup.once) is not None:
            return False
        delivery = _read_from(connection, pickup)  # a reading that fits none is kept, as failed
        self.record(
            Action.DELIVERY_READ,
            f"{deliveries.OBJECT}{pickup.agreement_id}/{pickup.period}/{pickup.edition}/{pickup.file}",
            Result.FAILED if delivery is None else Result.OK,
            pickup.recipient,
            {
                **pickup.detail,
                **vars(pickup.reading),
                "file": pickup.file,
                "whole": whole_together([pickup.reading]),
            },
            pickup.agreement_id,
            None if delivery is None else delivery.id,
            once=pickup.once,
            connection=connection,
        )
        return True

    def _advanced(self, held: Delivery, claim: Claim, state: State, columns: Columns) -> Delivery:
        sealed = columns.get("sealed", held.sealed)
        if state is State.SEALED and sealed is None:
            raise DeliveryStateError(f"{held.name} cannot be sealed without a record of what was staged")
        if held.sealed is not None and sealed != held.sealed:
            raise DeliveryStateError(f"{held.name} was sealed before as other bytes: make a new edition with 'correct'")
        expires = columns.get("expires_at")
        return replace(
            held,
            state=state,
            sealed=sealed,
            rows=columns.get("rows", held.rows),
            bytes=columns.get("bytes", held.bytes),
            expires_at=held.expires_at if expires is None else to_rfc3339(expires),
            published_at=self.now() if state is State.PUBLISHED else held.published_at,
            actor=claim.actor,
            reason=claim.reason or held.reason,
            lease_until=self._lease(claim),
            updated_at=self.now(),
        )

    def _supersede(
        self, connection: Connection, published: Delivery, editions: Sequence[Delivery], claim: Claim
    ) -> None:
        for earlier in editions:
            if earlier.edition < published.edition and can_follow(earlier.state, State.SUPERSEDED):
                changed = replace(earlier, state=State.SUPERSEDED, updated_at=self.now())
                deliveries.save(connection, changed, held_by=earlier.token)
                detail = {"by": published.id, "reason": published.reason}
                self.tell(connection, changed, Action.DELIVERY_SUPERSEDED, Result.OK, claim.actor, detail)

    def _pick_up_if_read(self, pickup: Pickup) -> None:
        """What was read is looked through without keeping others from writing; it only ever becomes more."""
        with reading(self.engine) as connection:
            delivery = _read_from(connection, pickup)
            if delivery is None or not _waits(delivery) or not _all_read(connection, delivery, pickup):
                return
        with writing(self.engine) as connection:
            delivery = _read_from(connection, pickup)
            if delivery is None or not _waits(delivery):
                return
            state = State.PICKED_UP if can_follow(delivery.state, State.PICKED_UP) else delivery.state
            changed = replace(delivery, state=state, picked_up_at=self.now(), updated_at=self.now())
            deliveries.save(connection, changed, held_by=delivery.token)
            self.tell(connection, changed, Action.DELIVERY_PICKED_UP, Result.OK, delivery.recipient, {})

    def tell(
        self,
        connection: Connection,
        delivery: Delivery,
        action: Action,
        result: Result,
        actor: str,
        detail: Mapping[str, Any],
        *,
        once: str | None = None,
    ) -> None:
        """Record an event that changed the row, for the modules of this package that do so; it binds the row as it now
        is, so that `verify` can compare.
        """
        told = {**detail, "state": delivery.state.value}
        ids, row = (delivery.agreement_id, delivery.id), delivery.history_digest()
        self.record(action, delivery.name, result, actor, told, *ids, once=once, row_digest=row, connection=connection)

    def _held(self, connection: Connection, claim: Claim) -> Delivery:
        held = deliveries.find_by_id(connection, claim.id)
        if held is None or held.token != claim.token or held.worker is None:
            raise DeliveryBusy(f"{claim.delivery.name} is no longer held by this worker")
        return held

    def _lease(self, claim: Claim) -> str:
        return lease_end(self.clock(), claim.lease_seconds)

    def now(self) -> str:
        return to_rfc3339(self.clock())


def _not_overtaken(connection: Connection, held: Delivery) -> list[Delivery]:
    """All editions, newest first; `DeliveryBusy` if the lease had run out and somebody began to work on a newer one."""
    editions = deliveries.editions(connection, held.agreement_id, Period.parse(held.period))
    if not claims.may_be_worked_on(held, editions):
        raise DeliveryBusy(f"{held.name} has a newer edition: this worker came too late")
    return editions


def _told(columns: Columns) -> dict[str, Any]:
    """What an event says of the new columns; of the sealed text only its digest, which is enough to prove it."""
    told: dict[str, Any] = {name: columns[name] for name in ("rows", "bytes") if name in columns}
    if "sealed" in columns:
        told["sealed"] = sha256_hex(columns["sealed"].encode())
    if "expires_at" in columns:
        told["expires_at"] = to_rfc3339(columns["expires_at"])
    return told


def _read_from(connection: Connection, pickup: Pickup) -> Delivery | None:
    """The delivery of the file, if it is this recipient's."""
    delivery = deliveries.find(connection, pickup.agreement_id, pickup.period, pickup.edition)
    return delivery if delivery is not None and delivery.recipient == pickup.recipient else None


def _waits(delivery: Delivery) -> bool:
    return delivery.published_at is not None and delivery.picked_up_at is None


def _all_read(connection: Connection, delivery: Delivery, pickup: Pickup) -> bool:
    readings: dict[str, list[FileReading]] = {file: [] for file in pickup.files}
    for event in events.of_delivery(connection, delivery.id):
        if event.body.action == Action.DELIVERY_READ:
            detail = loads(event.body.detail)
            reading = FileReading(detail["size"], detail["spans"], detail["closed"], detail["ended"])
            readings.setdefault(detail["file"], []).append(reading)
    return all(whole_together(readings[file]) for file in pickup.files)
