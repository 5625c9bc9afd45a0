"""A destination that is a bucket of someone's S3. Nothing in it is ever renamed; nothing relies on conditional puts.

A file is one object (`transports.s3_upload`), which is there as a whole or not at all. Its size and digest are read
back by whoever publishes: what a server says of them is not asked.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from core.clock import utc_now
from core.errors import DestinationRefused, DestinationUnreachable
from transports import s3_bucket
from transports.base import Closing, Receipt, Stat, checked_segments, digested
from transports.outgoing import BLOCK_BYTES, local_blocks
from transports.s3_client import FOREIGN, S3Destination, is_absent, open_client, translated
from transports.s3_upload import Uploads

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _border(method: Callable[Concatenate[S3Transport, _P], _R]) -> Callable[Concatenate[S3Transport, _P], _R]:
    """Let no foreign error leave; ours is raised after the handler, so that it carries no foreign context."""

    @functools.wraps(method)
    def guarded(self: S3Transport, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if self._ended:
            raise DestinationUnreachable(f"{self._destination}: this connection has ended: run again")
        try:
            return method(self, *args, **kwargs)
        except FOREIGN as error:
            failure = translated(self._destination, error)
        self._ended = isinstance(failure, DestinationUnreachable)
        raise failure

    return guarded


class S3Transport(Closing):
    """Asks for the bucket when it is made; raises the errors below `DestinationError` if it cannot be used."""

    def __init__(self, destination: S3Destination) -> None:
        self._ended = False
        self._destination = destination
        self._client = open_client(destination)
        self._uploads = Uploads(self._client, destination)
        self._require_bucket()

    def put(self, source: Path, name: str) -> Receipt:
        if self.stat(name) is not None:
            raise DestinationRefused(f"{self._destination}: the name exists already")
        return self._send(source, name)

    def resume(self, source: Path, name: str) -> Receipt:
        """A whole object is what an attempt can leave; it stays if it reads back as ours."""
        local = digested(name, local_blocks(source, name))
        found = self.stat(name)
        if found is not None and found.size == local.size and digested(name, self.read(name)) == local:
            return local
        return self._send(source, name)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        end = "" if size is None else str(offset + size - 1)
        checked_segments(name)
        asked = f"bytes={offset}-{end}" if offset or end else ""
        body = io.BytesIO() if size == 0 else self._opened(name, asked)
        try:
            while block := self._next_block(body):
                yield block
        finally:
            body.close()

    @_border
    def stat(self, name: str) -> Stat | None:
        key = self._key(name)
        head = self._head(key)
        if head is not None:
            return Stat(head["ContentLength"], is_directory=False)
        below = self._client.list_objects_v2(Bucket=self._destination.bucket, Prefix=f"{key}/", MaxKeys=1)
        return Stat(0, is_directory=True) if below.get("KeyCount") else None

    @_border
    def list(self, name: str) -> list[str]:
        prefix = f"{self._key(name)}/"
        names = sorted(key[len(prefix) :].rstrip("/") for key in self._keys(prefix, delimiter="/"))
        if not names:
            raise DestinationRefused(f"{self._destination}: there is nothing in this folder")
        return names

    @_border
    def delete(self, name: str) -> None:
        key = self._key(name)
        self._uploads.abort(key, below=True)
        if self._head(key) is not None:
            self._client.delete_object(**self._at(key))
        for each in self._keys(f"{key}/"):
            self._client.delete_object(**self._at(each))

    @_border
    def version(self, name: str) -> str:
        head = self._head(self._key(name)) or {}
        return f"{head.get('VersionId', '')} {head.get('ETag', 'absent')}"  # its time changes when it is locked

    @_border
    def lock(self, name: str) -> None:
        key = self._key(name)
        if self._destination.lock_days and "ObjectLockRetainUntilDate" not in (self._head(key) or {}):
            until = utc_now() + timedelta(days=self._destination.lock_days)
            retention = {"Mode": self._destination.lock_mode, "RetainUntilDate": until}
            self._client.put_object_retention(**self._at(key), Retention=retention)

    @_border
    def link(self, name: str, seconds: int) -> str:
        """A URL with which whoever has it can fetch the file for so long (at most seven days), and do nothing else."""
        where = {"Bucket": self._destination.bucket, "Key": self._key(name)}
        url: str = self._client.generate_presigned_url("get_object", Params=where, ExpiresIn=seconds)
        return url

    @_border
    def advice(self) -> Sequence[str]:
        """What an operator should know of the bucket; empty if all is well."""
        return s3_bucket.advice(self._client, self._destination)

    @_border
    def remove_leftovers_after(self, days: int) -> None:
        """Let the server remove what was begun and not ended within so many days."""
        s3_bucket.remove_leftovers_after(self._client, self._destination, days)

    def close(self) -> None:
        """End the connections. Never raises."""
        self._client.close()

    @_border
    def _send(self, source: Path, name: str) -> Receipt:
        return self._uploads.send(source, name, self._key(name))

    @_border
    def _require_bucket(self) -> None:
        self._client.head_bucket(Bucket=self._destination.bucket)

    @_border
    def _opened(self, name: str, asked: str) -> Any:
        try:
            return self._client.get_object(**self._at(self._key(name)), **({"Range": asked} if asked else {}))["Body"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":
                raise
        return io.BytesIO()  # it ends before

    @_border
    def _next_block(self, body: Any) -> bytes:
        block: bytes = body.read(BLOCK_BYTES)
        return block

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.head_object(**self._at(key))
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        return found

    def _keys(self, prefix: str, delimiter: str = "") -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._destination.bucket, Prefix=prefix, Delimiter=delimiter):
            yield from (each["Key"] for each in page.get("Contents", ()))
            yield from (each["Prefix"] for each in page.get("CommonPrefixes", ()))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._destination.bucket, "Key": key}

    def _key(self, name: str) -> str:
        prefix = self._destination.prefix.strip("/")
        return "/".join([*([prefix] if prefix else []), *checked_segments(name)])
