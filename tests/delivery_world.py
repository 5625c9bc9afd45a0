"""A sender and a recipient with real parts: keys, database, source, drop zone folder. Each test has its own."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.clock import Clock
from core.period import Period
from core.settings import Settings
from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from flows.steps.order import Mode, Order
from flows.steps.possession import prove
from flows.steps.recipients import Registered, register
from flows.wiring import Services, open_services
from keys.private.custody import open_custody
from keys.private.identities import Identity, generate_identity
from keys.private.opening import open_envelope
from keys.private.signing import Signer
from keys.sshsig import Namespace

NOW = datetime(2026, 4, 5, 12, tzinfo=UTC)
AGREEMENT = "GLA-2026-0007"
VALID_UNTIL = "2099-12-31"  # for tests whose clock is the real one
RECIPIENT = "fonds"
MARCH = Period.parse("2026-03")
AMOUNT = 8_880_000_000_000  # the first amount; no other number in a home looks like these


def people(rows: int = 1000) -> pl.DataFrame:
    """Ten rows a day from 1 January 2026; amounts that are recognisable, a column that is never agreed."""
    days = [date(2026, 1, 1) + timedelta(days=number // 10) for number in range(rows)]
    return pl.DataFrame(
        {
            "id": pl.Series(range(1, rows + 1), dtype=pl.Int64),
            "day": days,
            "amount": pl.Series([AMOUNT + number for number in range(rows)], dtype=pl.Int64),
            "note": [f"nota-{number:06d}" for number in range(rows)],
            "secret": [f"geheim-{number:06d}" for number in range(rows)],
        }
    )


@dataclass
class World:
    """What a test needs: services, both sides' keys, and short words for what people do."""

    services: Services
    source: Path
    identity: Identity
    signer: Signer
    home: Path

    def at(self, moment: datetime) -> None:
        """Set the clock."""
        ledger = replace(self.services.ledger, clock=lambda: moment)
        custody = open_custody(self.services.settings, lambda: moment)
        self.services = replace(self.services, clock=lambda: moment, ledger=ledger, custody=custody)

    def set_keys(self, **uris: str) -> None:
        """Name our own keys in the settings; the others stay where they are."""
        before = self.services.settings
        settings = before.model_copy(update={"own_keys": before.own_keys.model_copy(update=uris)})
        custody = open_custody(settings, self.services.clock)
        self.services = replace(self.services, settings=settings, custody=custody)

    def document(self, **custom: Any) -> dict[str, Any]:
        """The default contract; keyword `x=value` sets gla.x, None removes it."""
        document = draft(self.services, AGREEMENT, "people", RECIPIENT, ("id", "day", "amount", "note"), "day")
        properties = {item["property"]: item["value"] for item in document["customProperties"]}
        properties |= {"gla.validFrom": "2026-01-01", "gla.validUntil": VALID_UNTIL}
        properties |= {f"gla.{name}": value for name, value in custom.items()}
        document["customProperties"] = [
            {"property": name, "value": value} for name, value in properties.items() if value is not None
        ]
        return document

    def offer(self, document: dict[str, Any] | None = None) -> bytes:
        agreement, _ = lifecycle.offer(self.services, as_yaml(document or self.document()).encode(), "tester")
        return agreement.canonical

    def conclude(self, document: dict[str, Any] | None = None) -> None:
        """Offer, accept, activate."""
        canonical = self.offer(document)
        lifecycle.accept(self.services, AGREEMENT, self.signer.sign(canonical, Namespace.AGREEMENT), "tester")
        lifecycle.activate(self.services, AGREEMENT, "tester")

    def order(self, mode: Mode = Mode.RESUME, reason: str = "", period: Period = MARCH) -> Order:
        return Order(AGREEMENT, period, "tester", mode, reason)

    def published(self, edition: int = 1, period: Period = MARCH) -> Path:
        """The folder that the recipient sees."""
        return self.services.recipient_folder(RECIPIENT) / AGREEMENT / str(period) / f"edition-{edition}"

    def visible_files(self) -> list[str]:
        """Everything in the recipient's folder, hidden names too."""
        folder = self.services.recipient_folder(RECIPIENT)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def events(self) -> list[dict[str, Any]]:
        from sqlalchemy import select

        from ledger.tables import events

        with self.services.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(select(events).order_by(events.c.seq))]


def register_proven(services: Services, name: str, kvk: str, identity: Identity, signer: Signer) -> list[Registered]:
    """Register both keys of a recipient, who opens its challenge and returns what is in it."""
    added = register(services, name, kvk, [str(identity.recipient)], [signer.public_key.line])
    prove(services, name, returned(services, added[0], identity))
    return added


def returned(services: Services, registered: Registered, *identities: Identity) -> str:
    """What the holder of these keys finds in a challenge, opened with each in turn."""
    assert registered.challenge is not None
    content = registered.challenge.path(services).read_bytes()
    for identity in identities:
        content = open_envelope(io.BytesIO(content), [identity]).read()
    return content.decode()


def make_world_in(folder: Path, clock: Clock = lambda: NOW) -> Callable[..., World]:
    """A maker of worlds below `folder`."""

    def make(rows: int = 1000, kind: str = "hybrid", database_url: str | None = None) -> World:
        services = open_services(Settings(home=folder / "home", database_url=database_url), clock)
        identity, signer = generate_identity(kind), Signer.generate()
        register_proven(services, RECIPIENT, "90000102", identity, signer)
        return _with_people(services, identity, signer, rows)

    return make


def _with_people(services: Services, identity: Identity, signer: Signer, rows: int) -> World:
    home = services.settings.home
    source = home.with_name("people.parquet")
    people(rows).write_parquet(source)
    services.sources.add("people", str(source))
    return World(services, source, identity, signer, home)


@cache
def _prepared(folder: Path, kind: str) -> World:
    """A world that no test changes: each has a copy of it, which costs a fifth of a new one."""
    folder.mkdir()
    world = make_world_in(folder)(0, kind)
    world.services.engine.dispose()
    (world.home / "config" / "sources.json").unlink()  # it has the place of this one's source
    return world


@pytest.fixture
def make_world(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., World]:
    def make(rows: int = 1000, kind: str = "hybrid", database_url: str | None = None) -> World:
        if database_url is not None:
            return make_world_in(tmp_path)(rows, kind, database_url)
        prepared = _prepared(tmp_path_factory.getbasetemp() / f"prepared-{kind}", kind)
        home = shutil.copytree(prepared.home, tmp_path / "home")
        services = open_services(Settings(home=home), lambda: NOW)
        return _with_people(services, prepared.identity, prepared.signer, rows)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
