"""Which sources exist: ids that agreements may name, and what is behind them, in one JSON file.

Only an operator on this machine writes it. An agreement can name an id and, of a database, a table that is offered; no
host, path, credential or SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from core.canonical import parse_json
from core.errors import UnusableInput
from core.files import write_file
from core.ids import checked_name
from core.settings import SourceSettings
from flows.sources.base import Source
from flows.sources.dataset import DatasetSource, LocalPlace
from flows.sources.duckdb_file import duckdb_source
from flows.sources.files import FileSource
from flows.sources.registration import Form, Registration, as_file, chosen_table, registration
from flows.sources.sqlite_file import sqlite_source

Reveal = Callable[[str], str]  # the content of the secret that an `env:` or `file:` URI names


def no_secrets(reference: str) -> str:  # noqa: ARG001 - the type has it
    """The default: nothing here may read secrets."""
    raise UnusableInput("this source needs a secret, which cannot be read here")


class Sources:
    """The registry in `config_dir/sources.json`, see `flows.sources.registration`."""

    def __init__(self, config_dir: Path, reveal: Reveal = no_secrets, limits: SourceSettings | None = None) -> None:
        self._path = config_dir / "sources.json"
        self._reveal = reveal
        self._limits = limits or SourceSettings()

    def add(
        self,
        source_id: str,
        uri: str,
        form: Form | None = None,
        owner: str = "",
        tables: tuple[str, ...] = (),
        **s3: str,
    ) -> Registration:
        """Register what is at `uri` under `source_id`; every table must be readable now. An id is given once.

        `s3` has the endpoint, region and secret of a bucket. To change what else is registered, register it again.
        """
        told = registration(uri, form, owner, tables, **s3)
        checked_name(source_id, "the id of a source")
        for table in told.tables or (None,):
            self._open(source_id, told, table).schema()
        known = self._load()
        earlier = known.get(source_id, told)
        if (earlier.form, earlier.place, earlier.endpoint) != (told.form, told.place, told.endpoint):
            raise UnusableInput(f"source {source_id} is registered already for another place: choose another id")
        self._save(known | {source_id: told})
        return told

    def get(self, source_id: str, table: str | None = None) -> Source:
        """The source registered as `source_id`, of a database its `table`, or the only one if that is None.

        Raises `UnusableInput` for what is not offered. Files are one table, whatever a contract calls it.
        """
        return self._open(source_id, self.registration(source_id), table)

    def registration(self, source_id: str) -> Registration:
        """What was registered as `source_id`; `UnusableInput` if nothing was."""
        known = self._load()
        if source_id not in known:
            raise UnusableInput(f"source {source_id} is not registered: use gla source add")
        return known[source_id]

    def list(self) -> list[str]:
        """The registered ids, sorted."""
        return sorted(self._load())

    def _open(self, source_id: str, told: Registration, table: str | None) -> Source:
        match told.form:
            case "files":
                path = Path(told.place)
                nested = path.is_dir() and any("=" in each.name and each.is_dir() for each in path.iterdir())
                return DatasetSource(source_id, LocalPlace(path)) if nested else FileSource(source_id, path)
            case "s3":
                from flows.sources.s3 import S3Place  # noqa: PLC0415 - its client, when needed

                key = partial(self._reveal, told.secret)
                return DatasetSource(source_id, S3Place(told.place, told.endpoint, told.region, key, self._limits))
            case "postgresql":
                from flows.sources.postgres.source import postgres_source  # noqa: PLC0415 - its driver, when needed

                chosen = chosen_table(source_id, told, table)
                return postgres_source(source_id, chosen, partial(self._reveal, told.place), self._limits)
            case "duckdb":
                return duckdb_source(source_id, Path(told.place), chosen_table(source_id, told, table), self._limits)
            case "sqlite":
                return sqlite_source(source_id, Path(told.place), chosen_table(source_id, told, table), self._limits)

    def _load(self) -> dict[str, Registration]:
        if not self._path.exists():
            return {}
        value = parse_json(self._path.read_bytes(), "sources.json")
        known = value.get("sources") if isinstance(value, dict) else None
        read = {name: Registration.from_json(each) for name, each in known.items()} if isinstance(known, dict) else {}
        entries = {name: each for name, each in read.items() if each is not None}
        if not isinstance(known, dict) or entries.keys() != known.keys():
            raise UnusableInput("sources.json is not a list of sources: restore it or register the sources again")
        return entries

    def _save(self, known: dict[str, Registration]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, json.dumps(as_file(known), indent=2).encode(), mode=0o600)
