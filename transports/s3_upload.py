"""One file becomes one object: in one request if it is small, else in parts, of which several are under way at a time.

Memory is bounded by the number of parts under way. What was begun is ended or removed; a crash leaves parts that nobody
sees, which the next attempt at the same object removes. Raises what botocore raises.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from transports.base import Receipt
from transports.outgoing import Outgoing, local_size
from transports.pace import Pace
from transports.s3_client import FOREIGN, S3Destination

_PART_BYTES = 8 * 1024 * 1024  # S3: at least 5 MiB
_MOST_PARTS = 10_000


class Uploads:
    """What we send to one bucket."""

    def __init__(self, client: Any, destination: S3Destination) -> None:
        self._client = client
        self._destination = destination
        self._pace = Pace(destination.bytes_per_second)

    def send(self, source: Path, name: str, key: str) -> Receipt:
        """Put a file at `key`, in place of what is there. The receipt describes what was sent."""
        self.abort(key)
        with Outgoing(source, name, max(_PART_BYTES, -(-local_size(source, name) // _MOST_PARTS))) as outgoing:
            parts = outgoing.blocks()
            first, second = next(parts, b""), next(parts, b"")
            if second:
                self._send_parts(key, chain((first, second), parts))
            else:
                self._pace.take(len(first))
                self._client.put_object(**self._at(key), **self._sealed(), **self._checked(), Body=first)
        return Receipt(name, outgoing.size, outgoing.sha256)

    def abort(self, key: str, *, below: bool = False) -> None:
        """Remove what was begun for this object, or also for those below it, and never ended."""
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._destination.bucket, Prefix=key):
            for each in page.get("Uploads", ()):
                if each["Key"] == key or (below and each["Key"].startswith(f"{key}/")):
                    self._abort(self._at(each["Key"]) | {"UploadId": each["UploadId"]})

    def _abort(self, upload: dict[str, str]) -> None:
        try:
            self._client.abort_multipart_upload(**upload)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":  # else it has just ended
                raise

    def _send_parts(self, key: str, parts: Iterable[bytes]) -> None:
        begun = self._client.create_multipart_upload(**self._at(key), **self._sealed(), **self._checked())
        upload = self._at(key) | {"UploadId": begun["UploadId"]}
        try:
            sent = self._all_parts(upload, parts)
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
        except BaseException:
            with suppress(*FOREIGN):
                self._client.abort_multipart_upload(**upload)
            raise

    def _all_parts(self, upload: dict[str, str], parts: Iterable[bytes]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        with ThreadPoolExecutor(self._destination.connections) as pool:
            under_way: deque[Future[dict[str, Any]]] = deque()
            for number, part in enumerate(parts, 1):
                if len(under_way) == self._destination.connections:
                    sent.append(under_way.popleft().result())
                self._pace.take(len(part))
                under_way.append(pool.submit(self._send_part, upload, number, part))
            return [*sent, *(each.result() for each in under_way)]

    def _send_part(self, upload: dict[str, str], number: int, part: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**upload, **self._checked(), PartNumber=number, Body=part)
        told = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}
        return {"PartNumber": number, **told}

    def _sealed(self) -> dict[str, str]:
        """What the server is to do with an object, once it has it."""
        kind, _, key = self._destination.encryption.removeprefix("aws:").partition(":")
        if not kind:
            return {}
        named = {"SSEKMSKeyId": key} if key else {}
        return {"ServerSideEncryption": "aws:kms" if kind == "kms" else kind, **named}

    def _checked(self) -> dict[str, str]:
        """S3 wants a checksum of what will be locked; else the signature and our reading back are enough."""
        return {"ChecksumAlgorithm": "CRC32"} if self._destination.lock_days else {}

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._destination.bucket, "Key": key}
