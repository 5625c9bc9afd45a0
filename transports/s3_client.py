"""A client of someone's S3: only what was registered decides where it goes and as whom, and its errors become ours.

Nothing is looked for in the environment or in files of other programs. A single request that is answered with 500, 503
or not at all is tried again by the client, a few times; a transfer is not.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import botocore.loaders
import botocore.session
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, SSLError

from core.clock import utc_now
from core.discreet import discreet
from core.endpoint import key_pair
from core.errors import DestinationRefused, DestinationUnreachable, GlaError, StorageFull

FOREIGN = (Boto3Error, BotoCoreError, ClientError, OSError)
Retention = Literal["GOVERNANCE", "COMPLIANCE"]
_MOST_APART = timedelta(minutes=14)  # S3 refuses what is signed at a time that differs by 15
_ATTEMPTS = 4  # of one request, with pauses that grow
_NOTHING_FROM_ELSEWHERE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ca_bundle": (None, None, None, None),
    "ignore_configured_endpoint_urls": (None, None, True, None),
}
_OF_THE_SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")  # Debian, Fedora
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "507"})
_LATER = frozenset({"SlowDown", "RequestTimeout", "RequestTimeoutException", "Throttling", "429", "NoSuchUpload"})


@dataclass(frozen=True)
class S3Destination:
    """A bucket, and what is to happen with what we put there. `key` gives ACCESS_KEY_ID:SECRET_ACCESS_KEY."""

    endpoint: str
    region: str
    bucket: str
    prefix: str  # before every name; may be empty
    key: Callable[[], str] = field(repr=False)
    encryption: str = ""  # on the server: "", "AES256" or "aws:kms[:KEY]"
    lock_days: int = 0  # no one can change or remove a delivery for so long; 0: no lock
    lock_mode: Retention = "GOVERNANCE"
    connections: int = 4  # for the parts of one file
    connect_seconds: float = 10.0
    stall_seconds: float = 60.0
    bytes_per_second: float | None = None  # at most, while we send

    def __str__(self) -> str:
        return f"bucket {self.bucket}"


@functools.cache
def _descriptions() -> botocore.loaders.Loader:
    """What botocore knows of S3; to read it takes longer than a small delivery."""
    return botocore.loaders.create_loader()


@discreet
def open_client(destination: S3Destination) -> Any:
    """A client that speaks to the endpoint and to nothing else."""
    access, secret = key_pair(destination.key(), "an S3 destination")
    session = botocore.session.Session(session_vars=_NOTHING_FROM_ELSEWHERE)
    session.register_component("data_loader", _descriptions())
    return session.create_client(
        "s3",
        endpoint_url=destination.endpoint,
        region_name=destination.region,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        verify=_trusted(),
        config=Config(
            signature_version="s3v4",
            # The way is TLS, or stays on this machine, and we read back all that landed: so no third digest is made.
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            connect_timeout=destination.connect_seconds,
            read_timeout=destination.stall_seconds,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=destination.connections + 1,
            proxies={},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _trusted() -> str | bool:
    """The certificates that this machine trusts; botocore brings its own, which know no authority of our country."""
    named = (ssl.get_default_verify_paths().cafile, *_OF_THE_SYSTEM)
    return next((path for path in named if path and Path(path).is_file()), True)


def is_absent(error: Exception) -> bool:
    """Whether the answer was that there is no such object."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _ABSENT


def translated(destination: S3Destination, error: Exception) -> GlaError:
    """Refused if the server said so; full if it said that; else it cannot be reached, and another attempt may help."""
    if isinstance(error, SSLError):
        return DestinationRefused(f"{destination}: the certificate of its server is not one that this machine trusts")
    if not isinstance(error, ClientError):
        return DestinationUnreachable(
            f"{destination} cannot be reached or ended the connection ({type(error).__name__}): run again"
        )
    code = str(error.response["Error"].get("Code", ""))
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if code in _FULL:
        return StorageFull(f"{destination} is full, or our quota is used up: make room, then run again")
    if code in _LATER or status >= 500:
        return DestinationUnreachable(f"{destination} does not serve now ({_word(code)}): run again")
    if status == 403 and _apart(error.response["ResponseMetadata"]) > _MOST_APART:  # what HEAD is told of it
        return DestinationRefused(f"{destination}: its clock and ours differ too much: set the time of this machine")
    return DestinationRefused(f"{destination} refused ({_word(code)}): check its name, our key and what it may do")


def _apart(metadata: dict[str, Any]) -> timedelta:
    """Between the clock of the server, as it told, and ours."""
    told = metadata.get("HTTPHeaders", {}).get("date", "")
    try:
        return abs(parsedate_to_datetime(told).astimezone(UTC) - utc_now())
    except ValueError:
        return timedelta()


def _word(code: str) -> str:
    """The server's word for what is wrong, if it is one of a few letters."""
    return code if code.isascii() and code.isalnum() and len(code) <= 60 else "an unknown reason"
