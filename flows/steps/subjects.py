"""Whose data went where: to whom the data of one person was delivered, when, and under which agreement.

Answers articles 15(1)(c) and 19 of the GDPR from the sets of `flows.steps.people`, of which one bucket is opened for
each delivery. The number is in memory only. That a question was asked, by whom and why, is in the ledger before anybody
sees an answer; the number and the answer are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Literal

import polars as pl
from sqlalchemy import Connection

from agreements import store
from core.database import reading
from core.discreet import discreet
from core.errors import (
    DeliveryStateError,
    EnvelopeError,
    GlaError,
    KeyUnusable,
    LedgerUnavailable,
    Unexpected,
    UnusableInput,
    unexpected,
)
from flows.steps.agree import unaltered
from flows.steps.appeared import may_have_appeared
from flows.steps.people import forgotten_once, people_of, set_name, set_path
from flows.steps.seal import Sealed
from flows.wiring import Services
from keys.private.people import PeopleKey, context, is_in
from keys.private.secret import Secret
from ledger import deliveries, events
from ledger.deliveries import Delivery
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement
from schemas.bsn import is_bsn
from schemas.people import PeopleKept

Purpose = Literal["access", "correction"]

_AT_ONCE = 5000  # deliveries whose keys a token derives in one session
_NINE_DIGITS = re.compile(r"[0-9]{9}")
_NINE_ALONE = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
_BEFORE = "it was made before the people in deliveries were kept: look in the source"
_NO_KEY = "the person-digests key that its people were kept with is not among ours: put it back behind the one of today"
_UNREADABLE = "what is recorded of it cannot be read: run gla ledger verify, and restore the database from its backup"
_UNUSABLE = (
    "what is recorded of its people cannot be used: run gla ledger verify, and restore the database from its backup"
)
_NOT_RECORDED = (
    "the person is in it, and it may have appeared without being recorded: resume it and ask again, or count it as "
    "delivered"
)
_DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)  # of what was recorded
_GONE = "its people are no longer kept, and nothing says why: restore GLA_HOME/people"


@dataclass(frozen=True)
class Terms:
    """What an agreement says of why its data is delivered. `legal_basis` and `activity` are as the document names them,
    which is by URL; `activity` is the processing activity in the register of article 30.
    """

    purpose: str | None = None
    legal_basis: tuple[str, ...] = ()
    activity: str | None = None
    recipient_kvk: str | None = None


@dataclass(frozen=True)
class Found:
    """A delivery with data of the person. `pseudonym` is the number encrypted for this delivery alone, hexadecimal."""

    delivery: Delivery
    terms: Terms
    pseudonym: str


@dataclass
class Answer:
    """`found` by moment of publication. `searched` deliveries have a set, `nobody` tell of no people.

    `unanswered` are deliveries that may hold the person, each with its name and why nobody can say.
    """

    found: list[Found] = field(default_factory=list)
    searched: int = 0
    nobody: int = 0
    unanswered: list[tuple[str, str]] = field(default_factory=list)


@discreet
def checked_number(text: str) -> Secret:
    """A citizen number as somebody typed it, in a form that nothing shows; `UnusableInput` if it is none."""
    if _NINE_DIGITS.fullmatch(text) and pl.select(is_bsn(pl.lit(text))).item():
        return Secret(text.encode())
    raise UnusableInput("this is no citizen number: nine digits are needed, and they must pass the 11-proef")


@discreet
def ask(services: Services, number: Secret, purpose: Purpose, actor: str, reason: str) -> Answer:
    """Where the data of a person was delivered; recorded in the ledger, which must be possible.

    `KeyUnusable` if we have no key for sets; what is wrong with single sets is told in the answer.
    """
    _check_reason(reason)
    answer, search = Answer(), _Search(services, number)
    with reading(services.engine) as connection:
        for some in _batches(deliveries.all_by_id(connection)):
            search.look(connection, some, answer)
    answer.found.sort(key=lambda each: (str(each.delivery.published_at), each.delivery.name))
    told = {"for": purpose, "reason": reason, "searched": answer.searched, "unanswered": len(answer.unanswered)}
    services.ledger.record(Action.SUBJECT_ASKED, "subject", Result.OK, actor, told)
    return answer


def terms_of(agreement: Agreement) -> Terms:
    document = agreement.contract.document
    named_by: dict[str, list[str]] = {}
    for each in document.get("authoritativeDefinitions") or []:
        named_by.setdefault(str(each.get("type")), []).append(str(each.get("url")))
    purpose = (document.get("description") or {}).get("purpose")
    activity = next(iter(named_by.get("processingActivity", ())), None)
    basis = tuple(named_by.get("legalBasis", ()))
    return Terms(None if purpose is None else str(purpose), basis, activity, agreement.recipient_kvk)


class _Search:
    """Looks for one person, delivery by delivery."""

    def __init__(self, services: Services, number: Secret) -> None:
        self._services, self._number = services, number
        self._keys = services.custody.person_digest_keys()
        self._agreements: dict[str, Agreement | None] = {}

    def look(self, connection: Connection, some: list[Delivery], answer: Answer) -> None:
        """Add to the answer what these deliveries give, of which those count that were published, or may have been."""
        published = [each for each in some if each.published_at is not None or may_have_appeared(connection, each)]
        sets: dict[str, _Set | None] = {}
        for delivery in published:
            with _told(delivery, answer):
                sets[delivery.id] = _set_of(delivery)
        secrets = self._secrets({name: each for name, each in sets.items() if each is not None})
        for delivery in published:
            if delivery.id in sets:
                with _told(delivery, answer):
                    self._look_into(connection, delivery, sets[delivery.id], secrets.get(delivery.id), answer)

    def _secrets(self, sets: dict[str, _Set]) -> dict[str, Secret]:
        """The keys of their sets, of which a token makes all in one go. What has no key of ours is not among them."""
        found: dict[str, Secret] = {}
        left = sets
        for key in self._keys:
            if not left:  # so that an earlier key is only asked for what was made with it
                break
            own = {name: each for name, each in left.items() if key.answers_to(each.kept.key)}
            contexts = [context(set_name(name, each.token), each.kept.salt) for name, each in own.items()]
            found |= dict(zip(own, key.derive(contexts), strict=True))
            left = {name: each for name, each in left.items() if name not in own}
        return found

    def _look_into(
        self, connection: Connection, delivery: Delivery, kept: _Set | None, secret: Secret | None, answer: Answer
    ) -> None:
        if kept is None:
            agreement = self._agreement(connection, delivery.agreement_id)
            if agreement is None or people_of(agreement) is not None:
                raise EnvelopeError(_BEFORE)
            answer.nobody += 1
            return
        number = int(self._number.text())
        with self._opened(connection, delivery, kept.token) as file:
            if secret is None:
                raise KeyUnusable(_NO_KEY)
            own = PeopleKey(secret)
            held = is_in(file.fileno(), own, set_name(delivery.id, kept.token), kept.kept, number // 10)
        if held and delivery.published_at is None:
            raise DeliveryStateError(_NOT_RECORDED)
        if held:
            agreement = self._agreement(connection, delivery.agreement_id)
            terms = Terms() if agreement is None else terms_of(agreement)
            answer.found.append(Found(delivery, terms, own.pseudonym(number)))
        answer.searched += 1

    def _opened(self, connection: Connection, delivery: Delivery, token: int) -> BinaryIO:
        """The file of the set; an error says whether it was forgotten by rule."""
        with suppress(OSError):
            return set_path(self._services, delivery.id, token).open("rb", buffering=0)
        forgotten = events.find_once(connection, forgotten_once(delivery))
        if forgotten is not None:
            raise EnvelopeError(f"who was in it was removed on {forgotten.body.at[:10]}, when its retention was over")
        raise EnvelopeError(_GONE)

    def _agreement(self, connection: Connection, agreement_id: str) -> Agreement | None:
        """The agreement as it was signed; None if that is not what is stored any more."""
        if agreement_id not in self._agreements:
            try:
                self._agreements[agreement_id] = unaltered(store.get(connection, agreement_id))
            except LedgerUnavailable:
                raise
            except GlaError:
                self._agreements[agreement_id] = None
        return self._agreements[agreement_id]


@dataclass(frozen=True)
class _Set:
    token: int
    kept: PeopleKept


def _set_of(delivery: Delivery) -> _Set | None:
    """What is recorded of the people in a delivery; None if nothing is, an error if it cannot be read."""
    if delivery.sealed is None:
        return None
    try:
        sealed: Sealed | None = Sealed.from_json(delivery.sealed)
    except (GlaError, *_DAMAGE):
        sealed = None
    if sealed is None:
        raise Unexpected(_UNREADABLE)
    return None if sealed.people is None else _Set(sealed.token, PeopleKept.parse(sealed.people))


@contextmanager
def _told(delivery: Delivery, answer: Answer) -> Iterator[None]:
    """What goes wrong with one delivery is told in the answer, and stops no other; but the ledger is needed for all."""
    try:
        yield
    except LedgerUnavailable:
        raise
    except GlaError as error:
        answer.unanswered.append((delivery.short_name, str(error)))
    except _DAMAGE as error:
        unexpected(f"searching {delivery.name}", error)  # for the log
        answer.unanswered.append((delivery.short_name, _UNUSABLE))


def _batches(some: Iterator[Delivery]) -> Iterator[list[Delivery]]:
    while batch := list(islice(some, _AT_ONCE)):
        yield batch


def _check_reason(reason: str) -> None:
    """The reason is kept in the ledger, which never forgets, so it may name nobody."""
    if not reason.strip():
        raise UnusableInput("say why it is asked: a case number, for example; it is kept in the ledger")
    for found in _NINE_ALONE.findall(re.sub(r"(?<=[0-9])[ .](?=[0-9])", "", reason)):
        if pl.select(is_bsn(pl.lit(found))).item():
            raise UnusableInput(
                "the reason holds what may be a citizen number, and is kept in the ledger: leave it out"
            )
