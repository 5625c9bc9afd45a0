"""The one place that knows the concrete classes: settings in, services out."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from core.clock import Clock, utc_now
from core.database import migrate, open_engine, require_database
from core.errors import DestinationRefused, GlaError, KeyUnusable, SourceUnavailable
from core.settings import Settings
from flows.sources.registry import Sources
from keys.private.custody import Custody, open_custody
from keys.private.uri import TokenUri, parse_key_uri
from keys.roles import SSH_ROLES, Role
from keys.scratch import SealedScratch
from ledger.checkpoints import write_checkpoint
from ledger.store import Ledger
from schemas import pakbon_page
from schemas.accounts import INCOMING
from schemas.agreement import Agreement
from schemas.receipts import RECEIPTS
from transports.base import Destination
from transports.directory import DirectoryTransport
from transports.registry import DROPZONE, Destinations

_WHERE_SECRETS_ARE = "set the variable, or keep it in a file of mode 0600"


@dataclass(frozen=True)
class Services:
    """What the steps use. Built by `open_services`, or by a test with other parts."""

    settings: Settings
    engine: Engine
    ledger: Ledger
    custody: Custody
    sources: Sources
    destinations: Destinations
    clock: Clock = utc_now

    @cached_property
    def worker(self) -> str:
        """Who holds a lease: host and process, for the operator who looks for it."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def recipient_folder(self, recipient: str) -> Path:
        """The recipient's own folder in our drop zone."""
        return self.settings.dropzone_dir / "deliveries" / recipient

    @property
    def incoming_folder(self) -> Path:
        """Where recipients put files for us: a folder for each recipient, and in it one for each agreement."""
        return self.settings.dropzone_dir / INCOMING

    @property
    def receipts_folder(self) -> Path:
        """Where recipients put their receipts: a folder for each recipient."""
        return self.settings.dropzone_dir / RECEIPTS

    def open_destination(self, agreement: Agreement) -> Destination:
        """A transport to where the agreement says: our drop zone, or a registered destination."""
        if agreement.destination == DROPZONE:
            return DirectoryTransport(self.recipient_folder(agreement.recipient))
        return self.destinations.open(agreement.destination, self.settings.delivery.connect_seconds)

    def prepare_what_follows(self, agreement: Agreement) -> None:
        """Import what the end of a delivery needs in a thread, beside its rows: nobody waits for it later."""

        def prepare() -> None:
            pakbon_page.template()
            if agreement.destination != DROPZONE:
                with suppress(GlaError):  # what is wrong with a destination is said when it is opened
                    self.destinations.prepared(agreement.destination, self.settings.delivery.connect_seconds)

        threading.Thread(target=prepare, name="prepare", daemon=True).start()

    def open_scratch(self) -> SealedScratch:
        """Room on the staging disk for what a validation cannot keep in memory; sealed, and gone when it is closed."""
        return SealedScratch(self.settings.staging_dir)

    def checkpoint(self) -> None:
        """Sign the ledger's head into the second place."""
        write_checkpoint(self.engine, self.settings.checkpoints_path, self.custody.signer(Role.LEDGER), self.clock)


def open_services(settings: Settings, clock: Clock = utc_now) -> Services:
    """Open (and on first use create) everything below `GLA_HOME`: folders, keys, database."""
    os.umask(0o077)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = open_engine(settings.resolved_database_url)
    migrate(engine)
    custody = open_custody(settings, clock)
    for role in SSH_ROLES:
        if not custody.exists(role):
            with suppress(KeyUnusable):  # another process made it at the same moment
                custody.create(role)
    return Services(
        settings=settings,
        engine=engine,
        ledger=Ledger(engine, clock, origin=socket.gethostname()),
        custody=custody,
        sources=open_sources(settings),
        destinations=open_destinations(settings),
        clock=clock,
    )


def open_existing(settings: Settings) -> Services:
    """What `open_services` opens, for who asks or goes on: in a folder without a ledger, which may be the wrong one,
    that is `UnusableInput`.
    """
    require_database(settings.resolved_database_url)
    return open_services(settings)


def open_sources(settings: Settings) -> Sources:
    """The registered sources, whose secrets are read by the one handler of them when they are needed."""
    reveal = _revealing(settings, "the secret of a source", SourceUnavailable)
    return Sources(settings.config_dir, reveal, settings.sources)


def open_destinations(settings: Settings) -> Destinations:
    """The registered destinations; their secrets as those of sources."""
    return Destinations(settings.config_dir, _revealing(settings, "the key of a destination", DestinationRefused))


def _revealing(settings: Settings, what: str, failure: type[GlaError]) -> Callable[[str], str]:
    """What reads the secret that a reference names, or raises `failure`."""

    def reveal(reference: str) -> str:
        with suppress(KeyUnusable):
            uri = parse_key_uri(reference, settings.config_dir)
            if not isinstance(uri, TokenUri):
                return uri.read().text()
        raise failure(f"{what} cannot be read at {reference}: {_WHERE_SECRETS_ARE}")

    return reveal
