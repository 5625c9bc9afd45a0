"""The closed vocabulary of the ledger: what can be done, and how it can end. A new word is a reviewed change here."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The field "actie" of BIO2 8.15.01."""

    DELIVERY_PLANNED = "delivery.planned"
    DELIVERY_RESUMED = "delivery.resumed"  # again after a refusal, a failure, a cancellation or a released lease
    DELIVERY_TAKEN_OVER = "delivery.taken_over"  # from a worker whose lease ran out
    DELIVERY_BUSY = "delivery.busy"  # a second trigger while another worker holds the delivery
    DELIVERY_EXTRACTING = "delivery.extracting"
    DELIVERY_VALIDATED = "delivery.validated"  # every row was judged; the detail is the report, without values
    DELIVERY_LIMITED = "delivery.limited"  # to the recipient's participants: the set, and how many rows it kept out
    DELIVERY_SEALED = "delivery.sealed"
    DELIVERY_PUBLISHING = "delivery.publishing"
    DELIVERY_PUBLISHED = "delivery.published"
    DELIVERY_REOPENED = "delivery.reopened"  # the same bytes will be published again
    DELIVERY_READ = "delivery.read"  # a recipient read one file, or a part of it
    DELIVERY_PICKED_UP = "delivery.picked_up"  # the recipient has read every file as a whole
    DELIVERY_CONFIRMED = "delivery.confirmed"  # by the recipient's receipt
    DELIVERY_REJECTED = "delivery.rejected"  # a negative receipt, with its reason: opens a case for an operator
    CASE_CLOSED = "case.closed"  # what was done about it
    RECEIPT_REFUSED = "receipt.refused"  # what a recipient sent as one is no receipt for a delivery to it
    DELIVERY_EXPIRING = "delivery.expiring"  # nobody fetched it, and it will soon be gone
    DELIVERY_EXPIRED = "delivery.expired"  # intent: it is being removed at the destination and from staging
    DELIVERY_REMOVED = "delivery.removed"  # it is gone there, which was looked at; or why it is not
    DELIVERY_REFUSED = "delivery.refused"  # a rule forbids it; a person must act
    DELIVERY_FAILED = "delivery.failed"  # something broke; trying again can help
    DELIVERY_CANCELLED = "delivery.cancelled"
    DELIVERY_SUPERSEDED = "delivery.superseded"  # by a newer edition
    DELIVERY_SKIPPED = "delivery.skipped"  # no rows, and by the agreement nothing to publish

    AGREEMENT_REGISTERED = "agreement.registered"
    AGREEMENT_OFFERED = "agreement.offered"
    AGREEMENT_ACCEPTED = "agreement.accepted"
    AGREEMENT_ACTIVATED = "agreement.activated"
    AGREEMENT_REVOKED = "agreement.revoked"
    AGREEMENT_ENDED = "agreement.ended"
    AGREEMENT_REFUSED = "agreement.refused"  # it did not stand up to verification

    PARTICIPANTS_ACCEPTED = "participants.accepted"  # a file made a new set; the detail is the report
    PARTICIPANTS_REFUSED = "participants.refused"  # nothing changed
    PARTICIPANTS_REPEATED = "participants.repeated"  # the same file again; nothing changed
    PARTICIPANTS_READ = "participants.read"  # the recipient read a report on a file
    PARTICIPANTS_REPORT_REMOVED = "participants.report_removed"  # its retention is over
    PARTICIPANTS_FORGOTTEN = "participants.forgotten"  # the people of a set that is past; its event stays

    SUBJECT_ASKED = "subject.asked"  # to whom one person's data was delivered; neither who nor the answer is told
    PEOPLE_FORGOTTEN = "people.forgotten"  # the set of people in a delivery; its retention is over

    RECIPIENT_ADDED = "recipient.added"
    RECIPIENT_CHANGED = "recipient.changed"
    SOURCE_ADDED = "source.added"
    DESTINATION_ADDED = "destination.added"
    KEY_CREATED = "key.created"
    KEY_CHALLENGED = "key.challenged"  # a file went out that only the key's holder can open, or a text to be signed
    KEY_PROVEN = "key.proven"  # or, as a refusal, what was returned proves nothing
    KEY_ROTATED = "key.rotated"  # the recipient signed a new key in
    KEY_REVOKED = "key.revoked"
    KEY_EXPIRING = "key.expiring"  # once each at 60, 30 and 7 days before its last day
    ACCOUNTS_WRITTEN = "accounts.written"
    EVENTS_REMOVED = "events.removed"  # names and details of earlier events, by rule; their hashes stay


class Result(StrEnum):
    """The field "resultaat" of BIO2 8.15.01."""

    INTENDED = "intended"  # written before an effect outside the database; a later event tells how it ended
    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
