"""A dataset of Parquet files in an S3 bucket. Endpoint and key are given; nothing is looked for elsewhere.

Objects are listed and described through Arrow, and read by Polars, which asks for the bytes of the planned columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from core.discreet import discreet
from core.endpoint import key_pair
from core.settings import SourceSettings
from flows.sources.partitions import holds_rows


@dataclass(frozen=True)
class S3Place:
    """What is below `location` ("bucket/prefix"). `key` gives the secret: ACCESS_KEY_ID:SECRET_ACCESS_KEY."""

    location: str
    endpoint: str
    region: str
    key: Callable[[], str] = field(repr=False)
    limits: SourceSettings = field(default_factory=SourceSettings)

    def files(self) -> dict[str, str]:
        """Every object that is Parquet by its name; one that was written again has another time."""
        found = self._system().get_file_info(fs.FileSelector(self.location, recursive=True))
        objects = {each.path[len(self.location) + 1 :]: each for each in found if each.is_file}
        return {name: f"{each.size} {each.mtime_ns}" for name, each in objects.items() if holds_rows(name)}

    def schema(self, name: str) -> pa.Schema:
        """From the footer of one object."""
        return pq.read_schema(f"{self.location}/{name}", filesystem=self._system())

    def scan(self, names: Sequence[str]) -> pl.LazyFrame:
        """As `flows.sources.dataset.Place` says."""
        access, secret = self._credentials()
        options = {
            "aws_access_key_id": access,
            "aws_secret_access_key": secret,
            "aws_endpoint_url": self.endpoint,
            "aws_region": self.region,
            "aws_virtual_hosted_style_request": "false",
            "aws_allow_http": "true" if self.endpoint.startswith("http://") else "false",
            "connect_timeout": f"{self.limits.connect_seconds:g}s",
            "timeout": f"{self.limits.idle_seconds:g}s",
        }
        return pl.scan_parquet(
            [f"s3://{self.location}/{name}" for name in names],
            glob=False,
            hive_partitioning=False,
            extra_columns="ignore",
            missing_columns="raise",
            storage_options=options,
            credential_provider=None,
        )

    def _system(self) -> fs.S3FileSystem:
        access, secret = self._credentials()
        parts = urlsplit(self.endpoint)
        return fs.S3FileSystem(
            access_key=access,
            secret_key=secret,
            endpoint_override=parts.netloc,
            scheme=parts.scheme,
            region=self.region,
            connect_timeout=self.limits.connect_seconds,
            request_timeout=self.limits.idle_seconds,
            force_virtual_addressing=False,
        )

    @discreet
    def _credentials(self) -> tuple[str, str]:
        return key_pair(self.key(), "an S3 source")
