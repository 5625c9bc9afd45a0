"""What an operator registers about a source, as `sources.json` keeps it. It holds no secret, only where one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from core.endpoint import BUCKET, REGION, SECRET_REFERENCE, checked_endpoint
from core.errors import UnusableInput

Form = Literal["files", "s3", "postgresql", "duckdb", "sqlite"]
_SUFFIXES: dict[str, Form] = {
    ".parquet": "files",
    ".csv": "files",
    ".duckdb": "duckdb",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}
_ONE_TABLE = ("files", "s3")
OWNER_LENGTH = 200  # characters


@dataclass(frozen=True)
class Registration:
    """`place` is a path, or for PostgreSQL where the secret with the connection string is (`env:NAME`, `file:PATH`).

    Of S3 it is bucket and prefix; `endpoint`, `region` and `secret` (where its key is) belong to it. `owner` is who
    answers for the data. An agreement may name a table of `tables` and no other.
    """

    form: Form
    place: str
    owner: str = ""
    tables: tuple[str, ...] = ()
    endpoint: str = ""
    region: str = ""
    secret: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `sources.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Registration | None:
        """Read an entry of `sources.json` again; a bare path is one of an older version. None if it is neither."""
        if isinstance(value, str):
            return cls("files", value)
        names = set(cls.__dataclass_fields__)
        if not isinstance(value, dict) or not {"form", "place"} <= value.keys() <= names:
            return None
        tables, texts = value.get("tables", []), {name: value.get(name, "") for name in names - {"tables"}}
        if not isinstance(tables, list) or not all(isinstance(each, str) for each in (*tables, *texts.values())):
            return None
        if value["form"] not in get_args(Form):
            return None
        return cls(**texts, tables=tuple(tables))


def registration(
    uri: str,
    form: Form | None = None,
    owner: str = "",
    tables: tuple[str, ...] = (),
    endpoint: str = "",
    region: str = "",
    secret: str = "",
) -> Registration:
    """What `gla source add` was told; `UnusableInput` says what does not fit together."""
    if len(owner) > OWNER_LENGTH or not owner.isprintable():
        raise UnusableInput(f"the owner of a source has at most {OWNER_LENGTH} printable characters")
    if len(set(tables)) != len(tables) or not all(each and each.isprintable() for each in tables):
        raise UnusableInput("a table of a source is named once, in printable characters")
    if form == "postgresql":
        if not SECRET_REFERENCE.fullmatch(uri):
            raise UnusableInput("a postgresql source is named by where its connection is: env:NAME or file:PATH")
        return _offering(Registration(form, uri, owner, tables))
    if form == "s3" or (form is None and uri.startswith("s3://")):
        return _offering(_bucket(uri, owner, tables, endpoint, region or "us-east-1", secret))
    path = _local_path(uri).resolve()
    return _offering(Registration(form or _SUFFIXES.get(path.suffix.lower(), "files"), str(path), owner, tables))


def _bucket(uri: str, owner: str, tables: tuple[str, ...], endpoint: str, region: str, secret: str) -> Registration:
    found = BUCKET.fullmatch(uri)
    if not found or not REGION.fullmatch(region):
        raise UnusableInput("an S3 source is s3://BUCKET/PREFIX, with a --region of small letters, digits and -")
    if not SECRET_REFERENCE.fullmatch(secret):
        raise UnusableInput("an S3 source needs --secret, which says where its key is: env:NAME or file:PATH")
    place = found[1].strip("/")
    return Registration("s3", place, owner, tables, checked_endpoint(endpoint), region, secret)


def _offering(told: Registration) -> Registration:
    if told.form in _ONE_TABLE and told.tables:
        raise UnusableInput("a source of files is one table: register each of several by an id of its own")
    if told.form not in _ONE_TABLE and not told.tables:
        raise UnusableInput("name the tables that a database offers, each with --table")
    return told


def chosen_table(source_id: str, told: Registration, wanted: str | None) -> str:
    """The table that a contract wants, or, if none is wanted, the only one; `UnusableInput` if it is not offered."""
    if wanted is None and len(told.tables) == 1:
        return told.tables[0]
    if wanted is None:
        raise UnusableInput(f"source {source_id} has several tables ({', '.join(told.tables)}): name one")
    if wanted not in told.tables:
        raise UnusableInput(
            f"source {source_id} does not offer the table of the contract: its physicalName, else its name, must be "
            f"one of {', '.join(told.tables)}"
        )
    return wanted


def _local_path(uri: str) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets that are no address
        parts = urlsplit("")
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in uri:
        raise UnusableInput("a source must be a local path or a file:// URI")
    return Path(uri)


def as_file(registrations: Mapping[str, Registration]) -> dict[str, Any]:
    """The whole of `sources.json`."""
    return {"sources": {source_id: each.to_json() for source_id, each in sorted(registrations.items())}}
