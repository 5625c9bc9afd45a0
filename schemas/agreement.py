"""The agreement (GLA) as the pipeline sees it: an ODCS document with the terms that decide a delivery.

What ODCS has no field for stands in ``customProperties``; what it has (``slaProperties``: frequency, latency,
retention; ``support``: whom to ask) stands there. The agreement names registered sources and destinations, never hosts,
paths or SQL.

================== ============================================ =========================================
custom property    value                                        meaning
================== ============================================ =========================================
gla.source         id                                           the registered source
gla.destination    id, default ``dropzone``                     the registered destination
gla.recipient      {name, kvk}                                  who receives; `name` is the drop zone account
gla.recipientKeys  [fingerprint, ...]                           keys of one kind, that may be sealed to
gla.recipientSigner fingerprint                                 SSH key that assents and signs receipts
gla.senderKey      ``ssh-ed25519 ...`` or P-256                 our key that signs manifests, or an earlier one of it
gla.senderKeyPq    ``ml-dsa-65 ...``, optional                  our key that signs them too, against quantum computers
gla.senderOpenpgp  fingerprint, optional                        our key that signs inside OpenPGP messages
gla.validFrom      date                                         first day of the agreement
gla.validUntil     date                                         last day
gla.filter         see `schemas.filters`                        which rows
gla.participants   {column, maximum}, optional                  only rows about people whom the recipient registered
gla.mutations      see `schemas.mutations`, optional            only what changed since the delivery before it
gla.format         parquet (default), csv, csv.gz, csv.zst, fixed  how rows are written: docs/formats.md
gla.empty          refuse (default), header-only or skip        what an empty result means: docs/formats.md
gla.sums           [column, ...]                                columns whose sums go into the sealed pakbon
gla.parts          {rows: N} or {bytes: N}, default one file    how large the files are, see `schemas.part_sizes`
================== ============================================ =========================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, cast, get_args

from core.canonical import canonical_json, sha256_hex
from core.errors import UnusableInput
from core.ids import checked_name
from schemas.contract import Contract, load_contract
from schemas.envelopes import OPENPGP, form_of_fingerprint
from schemas.filters import Filter, parse_filter
from schemas.fixed_width import layout
from schemas.mutations import MutationsTerm, mutations_term
from schemas.part_sizes import PartSize, parse_part_size
from schemas.participants import MOST_PEOPLE, ParticipantsTerm
from schemas.written import written_form

FileFormat = Literal["parquet", "csv", "csv.gz", "csv.zst", "fixed"]
OnEmpty = Literal["refuse", "header-only", "skip"]
Frequency = Literal["day", "month", "quarter", "year"]

_SSH_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_SSH_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/=]{40,200}")
_MLDSA_KEY = re.compile(r"ml-dsa-65 [A-Za-z0-9+/=]{2604}")  # base64 of 1952 bytes
_KVK = re.compile(r"[0-9]{8}")
_KNOWN = frozenset({
    "gla.source", "gla.destination", "gla.recipient", "gla.recipientKeys", "gla.recipientSigner", "gla.senderKey",
    "gla.senderKeyPq", "gla.senderOpenpgp", "gla.validFrom", "gla.validUntil", "gla.filter", "gla.format", "gla.empty",
    "gla.sums", "gla.participants", "gla.mutations", "gla.parts",
})  # fmt: skip


@dataclass(frozen=True)
class Planning:
    """Deliveries fall due `latency_days` after the end of every `frequency`."""

    frequency: Frequency
    latency_days: int


@dataclass(frozen=True)
class Agreement:
    """An offered or signed agreement. `canonical` are the bytes that both sides sign; `digest` is their SHA-256."""

    contract: Contract
    canonical: bytes
    digest: str
    source: str
    destination: str
    recipient: str
    recipient_kvk: str
    recipient_keys: tuple[str, ...]
    recipient_signer: str
    sender_key: str
    sender_key_pq: str | None
    sender_openpgp: str | None
    valid_from: date
    valid_until: date
    filter: Filter
    file_format: FileFormat
    on_empty: OnEmpty
    sums: tuple[str, ...]
    participants: ParticipantsTerm | None
    mutations: MutationsTerm | None
    planning: Planning | None
    retention_days: int | None
    part_size: PartSize | None

    @property
    def id(self) -> str:
        return self.contract.id

    @property
    def product(self) -> str:
        """The data product's name, or the table's where the document names none."""
        return str(self.contract.document.get("dataProduct") or self.contract.table.name)

    @property
    def contact(self) -> tuple[str, str | None] | None:
        """Name and URL of the first support channel; None where the document has none."""
        for each in self.contract.document.get("support") or []:
            return str(each["channel"]), each.get("url")
        return None


def load_agreement(data: bytes, *, obeys: bool = False) -> Agreement:
    """Read an agreement from YAML or JSON bytes; `UnusableInput` names the property that is missing or wrong.

    `obeys`: these bytes were found to obey ODCS before (`schemas.contract`).
    """
    return _read(load_contract(data, obeys=obeys))


def is_agreement(document: Mapping[str, Any]) -> bool:
    """Whether a document, which need not obey ODCS, has terms of ours at the contract level."""
    properties = document.get("customProperties")
    items = properties if isinstance(properties, list) else []
    return any(_is_own(item.get("property")) for item in items if isinstance(item, dict))


def term_problems(contract: Contract) -> list[tuple[str, str]]:
    """All that `load_agreement` would refuse, each with the name of the property; empty if it would load."""
    terms = _Terms(contract)
    reads: dict[str, Callable[[], object]] = {
        "id and names": terms.check_names,
        "gla.source": lambda: terms.name("gla.source"),
        "gla.destination": lambda: terms.name("gla.destination", "dropzone"),
        "gla.recipient": lambda: (terms.recipient_name(), terms.recipient_kvk()),
        "gla.recipientKeys": lambda: terms.fingerprints("gla.recipientKeys"),
        "gla.recipientSigner": lambda: terms.text("gla.recipientSigner", _SSH_FINGERPRINT),
        "gla.senderKey": lambda: terms.text("gla.senderKey", _SSH_KEY),
        "gla.senderKeyPq": lambda: terms.optional_text("gla.senderKeyPq", _MLDSA_KEY),
        "gla.senderOpenpgp": lambda: terms.optional_text("gla.senderOpenpgp", OPENPGP.fingerprint),
        "gla.validFrom": lambda: terms.day("gla.validFrom"),
        "gla.validUntil": lambda: terms.day("gla.validUntil"),
        "gla.filter": lambda: parse_filter(contract.custom("gla.filter")),
        "gla.format": terms.file_format,
        "gla.empty": terms.on_empty,
        "gla.sums": terms.sums,
        "gla.participants": terms.participants,
        "gla.mutations": terms.mutations,
        "gla.parts": lambda: parse_part_size(contract.custom("gla.parts")),
        "slaProperties frequency": terms.planning,
        "slaProperties retention": lambda: terms.days("retention", least=1),
    }
    problems = [(name, sentence) for name, read in reads.items() if (sentence := _refusal(read)) is not None]
    whole = None if problems else _refusal(lambda: _read(contract))
    return problems if whole is None else [("", whole)]


def _refusal(read: Callable[[], object]) -> str | None:
    try:
        read()
    except UnusableInput as error:
        return str(error)
    return None


def _is_own(name: object) -> bool:
    return isinstance(name, str) and name.strip().lower().startswith("gla.")  # a misspelt gla.filter is not "all rows"


def _read(contract: Contract) -> Agreement:
    terms = _Terms(contract)
    terms.check_names()
    canonical = canonical_json(contract.document)
    agreement = Agreement(
        contract=contract,
        canonical=canonical,
        digest=sha256_hex(canonical),
        source=terms.name("gla.source"),
        destination=terms.name("gla.destination", "dropzone"),
        recipient=terms.recipient_name(),
        recipient_kvk=terms.recipient_kvk(),
        recipient_keys=terms.fingerprints("gla.recipientKeys"),
        recipient_signer=terms.text("gla.recipientSigner", _SSH_FINGERPRINT),
        sender_key=terms.text("gla.senderKey", _SSH_KEY),
        sender_key_pq=terms.optional_text("gla.senderKeyPq", _MLDSA_KEY),
        sender_openpgp=terms.optional_text("gla.senderOpenpgp", OPENPGP.fingerprint),
        valid_from=terms.day("gla.validFrom"),
        valid_until=terms.day("gla.validUntil"),
        filter=parse_filter(contract.custom("gla.filter")),
        file_format=terms.file_format(),
        on_empty=terms.on_empty(),
        sums=terms.sums(),
        participants=terms.participants(),
        mutations=terms.mutations(),
        planning=terms.planning(),
        retention_days=terms.days("retention", least=1),
        part_size=parse_part_size(contract.custom("gla.parts")),
    )
    if agreement.valid_from > agreement.valid_until:
        raise UnusableInput(f"agreement {contract.id}: gla.validFrom lies after gla.validUntil")
    return agreement


def summed_columns(contract: Contract) -> tuple[str, ...]:
    """The columns of `gla.sums`, also of a contract that is no agreement yet; none where it does not say."""
    return () if contract.custom("gla.sums") is None else _Terms(contract).sums()


class _Terms:
    """Typed access to the custom and SLA properties of one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract

    def check_names(self) -> None:
        """The agreement's own id is a name, and every property of ours is known and has a value."""
        checked_name(self.contract.id, "the id of an agreement")
        properties = self.contract.document.get("customProperties") or []
        own = {item["property"]: item["value"] for item in properties if _is_own(item["property"])}
        if unknown := own.keys() - _KNOWN:
            raise self._wrong("customProperties", f"unknown: {', '.join(sorted(unknown))}")
        if empty := [name for name, value in own.items() if value is None]:
            raise self._wrong(", ".join(empty), "has no value: give one, or remove the property")

    def _wrong(self, name: str, reason: str) -> UnusableInput:
        return UnusableInput(f"agreement {self.contract.id}: {name}: {reason}")

    def name(self, name: str, default: str | None = None) -> str:
        value = self.contract.custom(name)
        if value is None:
            value = default
        if not isinstance(value, str):
            raise self._wrong(name, "a name is required")
        return checked_name(value, name)

    def text(self, name: str, form: re.Pattern[str]) -> str:
        value = self.contract.custom(name)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise self._wrong(name, f"text of the form {form.pattern} is required")
        return value

    def file_format(self) -> FileFormat:
        chosen = cast("FileFormat", self.choice("gla.format", get_args(FileFormat)))
        nested = [column.name for column in self.contract.table.columns if column.is_nested]
        if chosen != "parquet" and nested:
            raise self._wrong("gla.format", f"column {nested[0]} is an array or object, which only parquet can hold")
        if chosen != "parquet":
            self._require_text(chosen)
        return chosen

    def _require_text(self, chosen: FileFormat) -> None:
        """Every column can be written as text; for fixed width in a number of characters that is known."""
        try:
            if chosen == "fixed":
                layout(self.contract.table)
            for column in self.contract.table.columns:
                written_form(column)
            return
        except UnusableInput as error:
            reason = str(error)
        raise self._wrong("gla.format", f"{chosen}: {reason}")

    def on_empty(self) -> OnEmpty:
        if self.contract.custom("gla.empty") == "deliver":  # the older word, in agreements that were signed with it
            return "header-only"
        return cast("OnEmpty", self.choice("gla.empty", get_args(OnEmpty)))

    def fingerprints(self, name: str) -> tuple[str, ...]:
        value = self.contract.custom(name)
        if not isinstance(value, list) or not value:
            raise self._wrong(name, "a list of at least one fingerprint is required")
        forms = {form_of_fingerprint(item) if isinstance(item, str) else None for item in value}
        if None in forms:
            raise self._wrong(name, "every item must be a fingerprint SHA256:..., OPENPGP:... or X509:...")
        if len(forms) > 1:
            raise self._wrong(name, "age, OpenPGP and X.509 keys may not share a delivery: keep one kind")
        return tuple(value)

    def optional_text(self, name: str, form: re.Pattern[str]) -> str | None:
        return None if self.contract.custom(name) is None else self.text(name, form)

    def _recipient(self) -> dict[str, Any]:
        value = self.contract.custom("gla.recipient")
        if not isinstance(value, dict) or set(value) != {"name", "kvk"}:
            raise self._wrong("gla.recipient", "name and kvk are required")
        return value

    def recipient_name(self) -> str:
        name = self._recipient()["name"]
        if not isinstance(name, str):
            raise self._wrong("gla.recipient.name", "a name is required")
        return checked_name(name, "gla.recipient.name")

    def recipient_kvk(self) -> str:
        value = self._recipient()["kvk"]
        if not isinstance(value, str) or not _KVK.fullmatch(value):
            raise self._wrong("gla.recipient.kvk", "8 digits between quotes are required")
        return value

    def day(self, name: str) -> date:
        value = self.contract.custom(name)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        raise self._wrong(name, "a date YYYY-MM-DD is required")

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.contract.custom(name)
        if value is None:
            return choices[0]
        if value not in choices:
            raise self._wrong(name, f"one of {', '.join(choices)} is required")
        return str(value)

    def sums(self) -> tuple[str, ...]:
        value = self.contract.custom("gla.sums")
        if value is None:
            return ()
        whole = {column.name for column in self.contract.table.columns if column.logical_type == "integer"}
        if not isinstance(value, list) or not all(isinstance(item, str) and item in whole for item in value):
            raise self._wrong("gla.sums", "only delivered columns of type integer can be summed")
        return tuple(value)

    def participants(self) -> ParticipantsTerm | None:
        value = self.contract.custom("gla.participants")
        if value is None:
            return None
        if not isinstance(value, dict) or set(value) != {"column", "maximum"}:
            raise self._wrong("gla.participants", "column and maximum are required")
        kinds = {column.name: column.logical_type for column in self.contract.table.columns}
        column, maximum = value["column"], value["maximum"]
        if not isinstance(column, str) or kinds.get(column) not in ("string", "integer"):
            raise self._wrong("gla.participants.column", "a delivered column of type string or integer is required")
        if type(maximum) is not int or not 1 <= maximum <= MOST_PEOPLE:
            raise self._wrong("gla.participants.maximum", f"a whole number from 1 to {MOST_PEOPLE} is required")
        return ParticipantsTerm(column, maximum)

    def mutations(self) -> MutationsTerm | None:
        value = self.contract.custom("gla.mutations")
        if value is None:
            return None
        try:
            term, reason = mutations_term(self.contract.table, value), ""
        except UnusableInput as error:
            term, reason = None, str(error)
        if term is None:
            raise self._wrong("gla.mutations", reason)
        if term.column in parse_filter(self.contract.custom("gla.filter")).columns:
            raise self._wrong("gla.filter", f"column {term.column} is none of the source, so no row is chosen by it")
        people = self.participants()
        if people is not None and people.column not in term.key:
            raise self._wrong("gla.participants.column", "with gla.mutations a column of the primaryKey is required")
        return term

    def _sla(self, name: str) -> dict[str, Any] | None:
        found = [
            item
            for item in self.contract.document.get("slaProperties") or []
            if str(item.get("property")).lower() == name
        ]
        if len(found) > 1:
            raise self._wrong(f"slaProperties {name}", "may be given once")
        return found[0] if found else None

    def days(self, name: str, least: int = 0) -> int | None:
        item = self._sla(name)
        if item is None:
            return None
        value = item.get("value")
        if item.get("unit") not in ("d", "day", "days") or type(value) is not int or not least <= value <= 36500:
            raise self._wrong(f"slaProperties {name}", f"a whole number of days (unit d) from {least} is required")
        return value

    def planning(self) -> Planning | None:
        item = self._sla("frequency")
        if item is None:
            return None
        if type(item.get("value")) is not int or item["value"] != 1 or item.get("unit") not in get_args(Frequency):
            raise self._wrong("slaProperties frequency", f"value 1 and a unit of {', '.join(get_args(Frequency))}")
        return Planning(cast("Frequency", item["unit"]), self.days("latency") or 0)
