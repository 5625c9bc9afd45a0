"""Participants files (deelnemersbestanden): what an agreement says of them, how one is named, and our report on one.

The name of a file says what it is, in parts with dots between them::

    deelnemers[-LABEL][.full|.additions|.removals][.YYYY-MM-DD].csv|parquet.age

Without a kind it is the full list, without a date it takes effect when it is processed; `participants` may stand for
`deelnemers`. Anything else is refused: a misspelt kind must not become a full list. The recipient signs the sealed file
with the SSH key that signed the agreement; the signature's namespace (`signing_namespace`) binds agreement and name.

>>> FileName.parse("deelnemers-q3.additions.2026-12-01.csv.age")
FileName(kind='additions', effective=datetime.date(2026, 12, 1), form='csv')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from core.canonical import MOST_EXACT, canonical_json, parse_json
from core.clock import from_rfc3339, to_rfc3339
from core.errors import UnusableInput
from schemas.documents import CAMEL_CASE
from schemas.invalid import places

Kind = Literal["full", "additions", "removals"]
ListForm = Literal["csv", "parquet"]
Rule = Literal["bsn", "duplicate", "maximum", "empty"]
MOST_PEOPLE = 100_000_000  # more than there are valid numbers
SHOWN_LINES = 10  # line numbers that a report names for each rule
AREA = "participants"  # below the agreement's folder in the drop zone: where reports stand
NAMING = "deelnemers[-LABEL][.full|.additions|.removals][.YYYY-MM-DD].csv.age or .parquet.age"

_NAME = re.compile(
    r"(?:deelnemers|participants)(?:-[A-Za-z0-9_-]{1,100})?(?:\.(full|additions|removals))?"
    r"(?:\.([0-9]{4}-[0-9]{2}-[0-9]{2}))?\.(csv|parquet)\.age"
)
_RULES: dict[Rule, str] = {
    "bsn": "no valid BSN of nine digits",
    "duplicate": "the same BSN again",
    "maximum": "more than the agreement's maximum",
    "empty": "no line but the header",
}


@dataclass(frozen=True)
class ParticipantsTerm:
    """`gla.participants`: rows leave only if `column` holds one of at most `maximum` people that it named."""

    column: str
    maximum: int

    @property
    def file_columns(self) -> frozenset[str]:
        """What the only column of a file may be called."""
        return frozenset({"bsn", self.column})


@dataclass(frozen=True)
class FileName:
    """What the name of a file says. `effective` is None for: when it is processed."""

    kind: Kind
    effective: date | None
    form: ListForm

    @classmethod
    def parse(cls, name: str) -> Self:
        """`UnusableInput` for a name that says something else."""
        match = _NAME.fullmatch(name)
        try:
            if match is not None:
                effective = date.fromisoformat(match[2]) if match[2] else None
                return cls(cast("Kind", match[1] or "full"), effective, cast("ListForm", match[3]))
        except ValueError:  # 31 February
            pass
        raise UnusableInput(f"the name of a participants file must be {NAMING}")


def signing_namespace(agreement_id: str, name: str) -> str:
    """What the recipient signs its file for, so that it counts under no other agreement or name.

    >>> signing_namespace("GLA-1", "deelnemers.csv.age")
    'gla-participants:GLA-1:deelnemers.csv.age'
    """
    return f"gla-participants:{agreement_id}:{name}"


_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, le=MOST_EXACT)]
_Moment = Annotated[str, AfterValidator(lambda text: to_rfc3339(from_rfc3339(text)))]
_Day = Annotated[str, AfterValidator(lambda text: date.fromisoformat(text).isoformat())]


class _Document(BaseModel):
    model_config = ConfigDict(**CAMEL_CASE, defer_build=True)  # most commands need none of it

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785), the bytes that are signed."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse and check; `UnusableInput` names the fields that are wrong, never their values."""
        value = canonical_json(parse_json(data, "the participants document"))
        try:
            return cls.model_validate_json(value, by_alias=True, by_name=False)
        except ValidationError as error:
            fields = places(error)
        raise UnusableInput(f"the participants document is not valid ({fields})")


class Finding(_Document):
    """How many lines break a rule, and the numbers of the first of them; the header is line 1."""

    rule: Rule
    count: _Count
    lines: tuple[_Count, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines)) + (", ..." if self.count > len(self.lines) else "")
        where = f" (line {shown})" if self.lines else ""
        return f"{_RULES[self.rule]}: {self.count}{where}"


class ParticipantSet(_Document):
    """A set as the ledger knows it. `digest` is keyed: it says nothing to whoever does not have our key.

    `kind` and `checksum` (SHA-256 of the sealed file) are of the file that made it. `base` is the set that additions or
    removals were applied to. Sets that were to take effect no earlier than a full list that came later are `withdrawn`.
    """

    number: Annotated[int, Field(ge=1, le=MOST_EXACT)]
    kind: Kind
    effective: _Day
    people: _Count
    added: _Count
    removed: _Count
    unchanged: _Count  # on the list, and for nothing: additions that were there, removals that were not
    base: _Count
    withdrawn: tuple[_Count, ...]
    digest: _Digest
    checksum: _Digest

    @property
    def first_day(self) -> date:
        return date.fromisoformat(self.effective)


class ParticipantsReport(_Document):
    """What became of one file, for the recipient and the ledger. No values: counts, line numbers, a sentence."""

    version: Literal[1] = 1
    agreement: str
    agreement_digest: _Digest
    recipient: str
    file: str
    size: _Count  # bytes of the sealed file
    checksum: _Digest  # SHA-256 of the sealed file
    signer: str | None  # fingerprint of the SSH key that signed the file; None if an operator handed it in
    received: _Moment
    outcome: Literal["accepted", "refused", "repeated"]
    reason: str  # why nothing changed, and what to do; empty if it was accepted
    lines: _Count | None
    findings: tuple[Finding, ...]
    participants: ParticipantSet | None  # the set that the file made, now or when it came before
