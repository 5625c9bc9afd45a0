"""For each kind of source a small world in which a test makes a table, changes it unseen, and takes it away."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import boto3
import duckdb
import polars as pl
import psycopg

from core.ids import new_id
from core.settings import SourceSettings
from flows.sources.base import Source
from flows.sources.dataset import DatasetSource, LocalPlace
from flows.sources.duckdb_file import duckdb_source
from flows.sources.files import FileSource
from flows.sources.postgres.source import postgres_source
from flows.sources.s3 import S3Place
from flows.sources.sqlite_file import sqlite_source
from tests.servers.ceph import S3Server
from tests.servers.postgres import READER, PostgresServer

TABLE = "people"
LIMITS = SourceSettings(connect_seconds=5, idle_seconds=20, statement_seconds=60)
POSTGRES_TYPES = {
    pl.Int16: "int2", pl.Int32: "int4", pl.Int64: "int8", pl.Float32: "float4", pl.Float64: "float8",
    pl.String: "text", pl.Boolean: "bool", pl.Date: "date", pl.Time: "time",
}  # fmt: skip


class World(Protocol):
    """`source` is what is tested; everything else is what others do to its table."""

    source: Source
    stores_as: dict[type[pl.DataType], pl.DataType]  # the types that it does not have
    keeps_a_snapshot: bool  # else a change while reading is an error

    def create(self, frame: pl.DataFrame) -> None: ...

    def append(self, frame: pl.DataFrame) -> None: ...

    def drop(self) -> None: ...


class ParquetFile:
    stores_as, keeps_a_snapshot = {}, False

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{TABLE}.parquet"
        self.source = FileSource("src", self._path)

    def create(self, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._path, row_group_size=1000)

    def append(self, frame: pl.DataFrame) -> None:
        pl.concat([pl.read_parquet(self._path), frame]).write_parquet(self._path)

    def drop(self) -> None:
        self._path.unlink()


class ParquetFolder:
    stores_as, keeps_a_snapshot = {}, False

    def __init__(self, folder: Path) -> None:
        self._folder = folder / TABLE
        self.source = FileSource("src", self._folder)

    def create(self, frame: pl.DataFrame) -> None:
        self._folder.mkdir()
        half = frame.height // 2
        for number, part in enumerate([frame[:half], frame[half:]]):
            part.write_parquet(self._folder / f"{number}.parquet")

    def append(self, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._folder / "2.parquet")

    def drop(self) -> None:
        for file in self._folder.iterdir():
            file.unlink()
        self._folder.rmdir()


class Dataset:
    """Folders by the last column, if it has one value; the files below are in turn in one folder or another."""

    stores_as, keeps_a_snapshot = {}, False

    def __init__(self, folder: Path) -> None:
        self._folder = folder / TABLE
        self.source = DatasetSource("src", LocalPlace(self._folder))

    def create(self, frame: pl.DataFrame) -> None:
        key = frame.columns[-1]
        constant = frame[key].n_unique() == 1
        self._below = self._folder / f"{quote(key)}={quote(frame[key][0])}" if constant else self._folder
        self._below.mkdir(parents=True)
        kept = frame.drop(key) if constant else frame
        half = frame.height // 2
        for number, part in enumerate([kept[:half], kept[half:]]):
            part.write_parquet(self._below / f"{number}.parquet", row_group_size=500)

    def append(self, frame: pl.DataFrame) -> None:
        frame.write_parquet(self._below / "2.parquet")

    def drop(self) -> None:
        shutil.rmtree(self._folder)


class Bucket(Dataset):
    """The same in a bucket of a real S3 server."""

    def __init__(self, folder: Path, server: S3Server) -> None:
        super().__init__(folder)
        self.bucket = f"b{new_id()}"
        self.client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=self.bucket)
        key = f"{server.access_key}:{server.secret_key}"
        place = S3Place(f"{self.bucket}/some/{TABLE}", server.endpoint, "us-east-1", lambda: key, LIMITS)
        self.source = DatasetSource("src", place)

    def create(self, frame: pl.DataFrame) -> None:
        super().create(frame)
        self._upload()

    def append(self, frame: pl.DataFrame) -> None:
        super().append(frame)
        self._upload()

    def drop(self) -> None:
        for each in self.client.list_objects_v2(Bucket=self.bucket)["Contents"]:
            self.client.delete_object(Bucket=self.bucket, Key=each["Key"])

    def _upload(self) -> None:
        for path in self._folder.rglob("*.parquet"):
            name = path.relative_to(self._folder).as_posix()
            self.client.put_object(Bucket=self.bucket, Key=f"some/{TABLE}/{name}", Body=path.read_bytes())


class Csv:
    stores_as, keeps_a_snapshot = {pl.Decimal: pl.Float64()}, False

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{TABLE}.csv"
        self.source = FileSource("src", self._path)

    def create(self, frame: pl.DataFrame) -> None:
        self._path.write_text(_csv(frame))

    def append(self, frame: pl.DataFrame) -> None:
        with self._path.open("a") as file:
            file.write(_csv(frame, header=False))

    def drop(self) -> None:
        self._path.unlink()


def _csv(frame: pl.DataFrame, *, header: bool = True) -> str:
    zoned = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone]
    written = frame.with_columns(pl.col(zoned).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f%:z")) if zoned else frame
    return written.write_csv(
        include_header=header,
        datetime_format="%Y-%m-%dT%H:%M:%S%.6f",
        time_format="%H:%M:%S",
        quote_style="non_numeric",
    )


class Postgres:
    stores_as, keeps_a_snapshot = {}, True

    def __init__(self, server: PostgresServer, database: str, limits: SourceSettings = LIMITS) -> None:
        self.server, self._database = server, database
        self.source = postgres_source("src", f"public.{TABLE}", self.conninfo, limits)

    def conninfo(self, user: str = READER, **more: object) -> str:
        return self.server.conninfo(self._database, user, **more)

    def create(self, frame: pl.DataFrame) -> None:
        columns = ", ".join(f"{quoted(name)} {postgres_type(dtype)}" for name, dtype in frame.schema.items())
        with self.server.connect(self._database) as connection:
            connection.execute(f"CREATE TABLE {TABLE} ({columns})")
            connection.execute(f"GRANT SELECT ON {TABLE} TO {READER}")
        self.append(frame)

    def append(self, frame: pl.DataFrame) -> None:
        with (
            self.server.connect(self._database) as connection,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {TABLE} FROM STDIN") as copy,
        ):
            for row in frame.iter_rows():
                copy.write_row(row)

    def execute(self, text: str) -> None:
        with self.server.connect(self._database) as connection:
            connection.execute(text)

    def drop(self) -> None:
        self.execute(f"DROP TABLE {TABLE}")


def quoted(name: str) -> str:
    return psycopg.sql.Identifier(name).as_string()


def postgres_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "timestamp" if dtype.time_zone is None else "timestamptz"
    return POSTGRES_TYPES[type(dtype)]


class DuckDb:
    stores_as, keeps_a_snapshot = {}, True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "data.duckdb"
        self.source = duckdb_source("src", self._path, TABLE, LIMITS)
        self._late: list[pl.DataFrame] = []

    def create(self, frame: pl.DataFrame) -> None:
        self.execute(f"CREATE TABLE {TABLE} AS SELECT * FROM frame", frame=frame)

    def append(self, frame: pl.DataFrame) -> None:
        """Refused, by its lock, while somebody reads: then the rows arrive afterwards."""
        try:
            self.execute(f"INSERT INTO {TABLE} SELECT * FROM frame", frame=frame)
        except duckdb.Error:
            self._late.append(frame)

    def arrive(self) -> None:
        """What had to wait."""
        while self._late:
            self.execute(f"INSERT INTO {TABLE} SELECT * FROM frame", frame=self._late.pop(0))

    def execute(self, text: str, frame: pl.DataFrame | None = None) -> None:
        with duckdb.connect(self._path) as connection:
            if frame is not None:
                connection.register("frame", frame.to_arrow())
            connection.execute(text)

    def drop(self) -> None:
        self.execute(f"DROP TABLE {TABLE}")


class Sqlite:
    stores_as, keeps_a_snapshot = {pl.Decimal: pl.Float64(), pl.Int16: pl.Int64()}, True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "data.sqlite"
        self.source = sqlite_source("src", self._path, TABLE, LIMITS)

    def create(self, frame: pl.DataFrame) -> None:
        columns = ", ".join(f"{quoted(name)} {sqlite_type(dtype)}" for name, dtype in frame.schema.items())
        self.execute("PRAGMA journal_mode = WAL")
        self.execute(f"CREATE TABLE {TABLE} ({columns})")
        self.append(frame)

    def append(self, frame: pl.DataFrame) -> None:
        marks = ", ".join("?" for _ in frame.columns)
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.executemany(f"INSERT INTO {TABLE} VALUES ({marks})", map(_sqlite_row, frame.iter_rows()))
            connection.commit()

    def execute(self, text: str) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.execute(text)
            connection.commit()

    def drop(self) -> None:
        self.execute(f"DROP TABLE {TABLE}")


def sqlite_type(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "DATETIME" if dtype.time_zone is None else "TIMESTAMPTZ"
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    if dtype.is_integer():
        return "INTEGER"
    return {pl.Float64: "REAL", pl.String: "TEXT", pl.Boolean: "BOOLEAN", pl.Date: "DATE", pl.Time: "TIME"}[type(dtype)]


def _sqlite_row(row: tuple[object, ...]) -> list[object]:
    return [
        float(value) if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date | time) else value
        for value in row
    ]
