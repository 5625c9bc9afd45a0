"""One tree of errors: what went wrong, who must act, and whether trying again can help.

A message names an id and the next step, never a value from the data. Foreign exceptions are translated where
they cross our border and never chained to ours (they may carry rows). Each class has one exit code::

    GlaError                                     exit  acts       retry
    ├── UnusableInput                               2  sender     no     arguments, files and documents we cannot read
    ├── AgreementError
    │   ├── AgreementAltered                       10  operator   no     the bytes are not the bytes that were signed
    │   ├── SignerUnknown                          11  operator   no     a signature is absent, wrong or by another key
    │   ├── AgreementExpired                       12  operator   no
    │   ├── AgreementNotYetValid                   13  operator   no
    │   ├── AgreementRevoked                       14  operator   no
    │   └── AgreementStateError                    15  operator   no     the step is not allowed in this state
    ├── DataError
    │   ├── SourceColumnMissing                    20  operator   no
    │   ├── ColumnNotAgreed                        21  sender     no     a batch holds a column that was not agreed
    │   ├── RowsInvalid                            22  sender     no
    │   ├── DeliveryEmpty                          23  operator   no
    │   ├── SourceUnavailable                      24  operator   yes
    │   └── ParticipantsUnusable                   25  recipient  no     no participants in force, or not as recorded
    ├── KeyUnusable                                30  recipient  no     no valid key to seal to, or not ours to use
    │   └── KeyNotProven                           38  recipient  no     nobody has shown yet that they hold the key
    ├── EnvelopeError (see keys.envelope)          31  recipient  no
    ├── ManifestInvalid                            32  recipient  no
    ├── DestinationError
    │   ├── HostKeyMismatch                        40  operator   no
    │   ├── DestinationUnreachable                 41  operator   yes
    │   ├── DestinationRefused                     42  operator   no     authentication or permission
    │   └── ReadBackMismatch                       43  operator   yes    what landed is not what was sent
    ├── StorageFull                                50  operator   yes
    ├── DeliveryBusy                               51  nobody     yes    another worker holds this delivery
    ├── DeliveryStateError                         52  operator   no     the rerun mode does not fit the state
    ├── LedgerUnavailable                          53  operator   yes
    ├── LedgerTampered                              1  operator   no
    ├── Cancelled                                 130  nobody     no
    └── Unexpected                                 70  operator   no     a defect of ours; the log has a trace
"""

from __future__ import annotations

import logging
import traceback
from typing import ClassVar, Literal

logger = logging.getLogger(__name__)

Actor = Literal["operator", "recipient", "sender", "nobody"]


class GlaError(Exception):
    """Base of every error that we raise on purpose. `str()` is one sentence that is safe to show and to store."""

    exit_code: ClassVar[int] = 70
    acts: ClassVar[Actor] = "operator"
    transient: ClassVar[bool] = False

    @property
    def code(self) -> str:
        """The stable name of the class, as recorded in the ledger."""
        return type(self).__name__


class UnusableInput(GlaError):
    exit_code = 2
    acts: ClassVar[Actor] = "sender"


class AgreementError(GlaError):
    exit_code = 10


class AgreementAltered(AgreementError):
    exit_code = 10


class SignerUnknown(AgreementError):
    exit_code = 11


class AgreementExpired(AgreementError):
    exit_code = 12


class AgreementNotYetValid(AgreementError):
    exit_code = 13


class AgreementRevoked(AgreementError):
    exit_code = 14


class AgreementStateError(AgreementError):
    exit_code = 15


class DataError(GlaError):
    exit_code = 22


class SourceColumnMissing(DataError):
    exit_code = 20


class ColumnNotAgreed(DataError):
    exit_code = 21
    acts: ClassVar[Actor] = "sender"


class RowsInvalid(DataError):
    exit_code = 22
    acts: ClassVar[Actor] = "sender"


class DeliveryEmpty(DataError):
    exit_code = 23


class SourceUnavailable(DataError):
    exit_code = 24
    transient = True


class ParticipantsUnusable(DataError):
    exit_code = 25
    acts: ClassVar[Actor] = "recipient"


class KeyUnusable(GlaError):
    exit_code = 30
    acts: ClassVar[Actor] = "recipient"


class KeyNotProven(KeyUnusable):
    exit_code = 38


class EnvelopeError(GlaError):
    """An encrypted file that cannot be made or opened; the subclasses live with the format, in `keys.envelope`."""

    exit_code = 31
    acts: ClassVar[Actor] = "recipient"


class ManifestInvalid(GlaError):
    exit_code = 32
    acts: ClassVar[Actor] = "recipient"


class DestinationError(GlaError):
    exit_code = 41


class HostKeyMismatch(DestinationError):
    exit_code = 40


class DestinationUnreachable(DestinationError):
    exit_code = 41
    transient = True


class DestinationRefused(DestinationError):
    exit_code = 42


class ReadBackMismatch(DestinationError):
    exit_code = 43
    transient = True


class StorageFull(GlaError):
    exit_code = 50
    transient = True


class DeliveryBusy(GlaError):
    exit_code = 51
    acts: ClassVar[Actor] = "nobody"
    transient = True


class DeliveryStateError(GlaError):
    exit_code = 52


class LedgerUnavailable(GlaError):
    exit_code = 53
    transient = True


class LedgerTampered(GlaError):
    exit_code = 1


class Cancelled(GlaError):
    exit_code = 130
    acts: ClassVar[Actor] = "nobody"


class Unexpected(GlaError):
    exit_code = 70


def unexpected(where: str, error: BaseException) -> Unexpected:
    """What a foreign exception becomes at a border: its type and places only, since its message may hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames[-6:]))
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    logger.error("%s: %s at %s", where, kind, places)
    return Unexpected(f"{where} failed with {kind} (at {places}): report this to the operators of the system")
