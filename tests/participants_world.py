"""A recipient with participants: a source of clients by citizen number, an agreement with the term, and its lists."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from flows.steps.intake import Incoming, receive
from keys.envelope.seal import Sealer
from keys.private.opening import open_envelope
from keys.sshsig import Namespace
from schemas.bsn import complete
from schemas.participants import ParticipantsReport, signing_namespace
from tests.delivery_world import AGREEMENT, RECIPIENT, VALID_UNTIL, World

MAXIMUM = 1000


def numbers_for_tests(count: int) -> list[str]:
    """Valid citizen numbers from the range for testing, in ascending order; at most 9,000."""
    return complete(pl.Series(range(99_990_000, 100_000_000), dtype=pl.UInt32)).cast(pl.String).head(count).to_list()


PEOPLE = numbers_for_tests(300)


def clients(numbers: Sequence[str | None]) -> pl.DataFrame:
    """One row for each number, all in March 2026."""
    return pl.DataFrame(
        {
            "bsn": pl.Series(numbers, dtype=pl.String),
            "day": [date(2026, 3, 1) + timedelta(days=at % 31) for at in range(len(numbers))],
            "amount": pl.Series(range(len(numbers)), dtype=pl.Int64),
        }
    )


def with_participants(world: World, numbers: Sequence[str | None] = PEOPLE, **terms: Any) -> World:
    """The world with an active agreement over clients with these numbers, limited to participants."""
    set_clients(world, numbers)
    world.services.sources.add("clients", str(world.home / "clients.parquet"))
    conclude(world, AGREEMENT, **terms)
    return world


def conclude(world: World, agreement_id: str, **terms: Any) -> None:
    document = draft(world.services, agreement_id, "clients", RECIPIENT, ("bsn", "day", "amount"), "day")
    properties = {item["property"]: item["value"] for item in document["customProperties"]}
    properties |= {"gla.recipientSigner": world.signer.public_key.fingerprint}
    properties |= {"gla.validFrom": "2026-01-01", "gla.validUntil": VALID_UNTIL}
    properties |= {"gla.participants": {"column": "bsn", "maximum": MAXIMUM}}
    properties |= {f"gla.{name}": value for name, value in terms.items()}
    document["customProperties"] = [{"property": n, "value": v} for n, v in properties.items() if v is not None]
    agreement, _ = lifecycle.offer(world.services, as_yaml(document).encode(), "tester")
    lifecycle.accept(
        world.services, agreement_id, world.signer.sign(agreement.canonical, Namespace.AGREEMENT), "tester"
    )
    lifecycle.activate(world.services, agreement_id, "tester")


def set_clients(world: World, numbers: Sequence[str | None]) -> None:
    clients(numbers).write_parquet(world.home / "clients.parquet")


def as_csv(numbers: Iterable[str], header: str = "bsn", end: str = "\n") -> bytes:
    return "".join(f"{line}{end}" for line in (header, *numbers)).encode()


def as_parquet(numbers: Sequence[str | None], **options: Any) -> bytes:
    target = io.BytesIO()
    pl.DataFrame({"bsn": pl.Series(numbers, dtype=pl.String)}).write_parquet(target, **options)
    return target.getvalue()


def sealed_for_us(world: World, content: bytes) -> bytes:
    """As a recipient seals it, to our intake key."""
    target = io.BytesIO()
    with Sealer(target, [world.services.custody.identities()[0].recipient]) as sealer:
        sealer.write(content)
    return target.getvalue()


def send(
    world: World,
    content: Iterable[str] | bytes,
    name: str = "deelnemers.csv.age",
    *,
    recipient: str = RECIPIENT,
    agreement: str = AGREEMENT,
) -> ParticipantsReport:
    """Hand in a list (CSV, unless it is bytes already), sealed."""
    plain = content if isinstance(content, bytes) else as_csv(content)
    return hand_in(world, sealed_for_us(world, plain), name, recipient=recipient, agreement=agreement)


def hand_in(
    world: World,
    sealed: bytes,
    name: str = "deelnemers.csv.age",
    *,
    recipient: str = RECIPIENT,
    agreement: str = AGREEMENT,
) -> ParticipantsReport:
    """Hand in bytes as they are, signed by the recipient."""
    signature = world.signer.sign(sealed, signing_namespace(agreement, name))
    return receive(world.services, Incoming(agreement, recipient, name, io.BytesIO(sealed), recipient, signature))


def delivered(world: World, folder: Path) -> pl.DataFrame:
    """The rows of a published delivery, opened by the recipient."""
    with next(folder.glob("clients.*.age")).open("rb") as file:
        return pl.read_parquet(io.BytesIO(open_envelope(file, [world.identity]).read()))
