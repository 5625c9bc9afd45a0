"""What an operator registers about a destination, as `destinations.json` keeps it. It holds no secret.

Our private key for SFTP is named by its file or by the agent that holds it, the key of a bucket by where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, Field

from core.endpoint import BUCKET, REGION, SECRET_REFERENCE, checked_endpoint
from core.errors import UnusableInput
from schemas.documents import CAMEL_CASE

if TYPE_CHECKING:  # paramiko and botocore cost a third of a second each
    from transports.s3_client import S3Destination
    from transports.sftp import SftpDestination
    from transports.ssh import SshServer

_SSH_PORT = 22
_BYTES = 1_000_000 / 8  # a second, of one megabit a second
_Rate = Annotated[float | None, Field(gt=0)]
_FORM_SFTP = "sftp://USER@HOST[:PORT]/ROOT"
_FORM_BASTION = "ssh://USER@HOST[:PORT]"
LARGEST_LOCK_DAYS = 36_500


class _Registration(BaseModel):
    model_config = CAMEL_CASE

    uri: str
    megabits: _Rate = None  # a second, at most, while we send

    @property
    def bytes_per_second(self) -> float | None:
        return None if self.megabits is None else self.megabits * _BYTES

    def to_json(self) -> dict[str, Any]:
        """As it stands in `destinations.json`."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class SftpRegistration(_Registration):
    """Someone's SFTP server, and the bastion on the way to it. Host keys are `TYPE BASE64`: they are pinned."""

    host_key: str
    identity_file: str
    agent: str = ""  # the socket of one that holds the private half of the identity file
    bastion: str = ""
    bastion_host_key: str = ""

    def destination(self, destination_id: str, connect_seconds: float) -> SftpDestination:
        """Where to connect; `UnusableInput` says what does not fit together."""
        from transports.sftp import SftpDestination  # noqa: PLC0415

        parts = _server(destination_id, self.uri, "sftp", _FORM_SFTP)
        return SftpDestination(
            host=parts.hostname or "",
            port=parts.port or _SSH_PORT,
            user=unquote(parts.username or ""),
            root=unquote(parts.path) or "/",
            host_key=self.host_key,
            identity_file=Path(self.identity_file),
            agent=Path(self.agent) if self.agent else None,
            bastion=self._bastion(destination_id),
            connect_seconds=connect_seconds,
            bytes_per_second=self.bytes_per_second,
        )

    def _bastion(self, destination_id: str) -> SshServer | None:
        from transports.ssh import SshServer  # noqa: PLC0415

        if bool(self.bastion) != bool(self.bastion_host_key):
            raise UnusableInput(
                f"destination {destination_id}: a bastion has a host key of its own: name both, or neither"
            )
        if not self.bastion:
            return None
        parts = _server(destination_id, self.bastion, "ssh", _FORM_BASTION)
        if parts.path.strip("/"):
            raise UnusableInput(f"destination {destination_id}: the bastion is {_FORM_BASTION}, with nothing after it")
        user = unquote(parts.username or "")
        return SshServer(parts.hostname or "", parts.port or _SSH_PORT, user, self.bastion_host_key)


class S3Registration(_Registration):
    """A bucket. `secret` is where its key is: `env:NAME` or `file:PATH`."""

    endpoint: str
    region: str = "us-east-1"
    secret: str
    encryption: str = ""
    lock_days: Annotated[int, Field(ge=0, le=LARGEST_LOCK_DAYS)] = 0
    lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = "GOVERNANCE"

    def destination(self, destination_id: str, connect_seconds: float, reveal: Callable[[str], str]) -> S3Destination:
        """Where to connect; `UnusableInput` says what does not fit together."""
        from transports.s3_client import S3Destination  # noqa: PLC0415

        found = BUCKET.fullmatch(self.uri)
        if not found or not REGION.fullmatch(self.region):
            raise UnusableInput(
                f"destination {destination_id} is s3://BUCKET/PREFIX, with a --region of small letters, digits and -"
            )
        if not SECRET_REFERENCE.fullmatch(self.secret):
            raise UnusableInput(f"destination {destination_id}: --secret says where its key is: env:NAME or file:PATH")
        if self.encryption and self.encryption != "AES256" and not self.encryption.startswith("aws:kms"):
            raise UnusableInput(f"destination {destination_id}: --encryption is AES256, aws:kms or aws:kms:KEY")
        bucket, _, prefix = found[1].partition("/")
        return S3Destination(
            endpoint=checked_endpoint(self.endpoint),
            region=self.region,
            bucket=bucket,
            prefix=prefix.strip("/"),
            key=lambda: reveal(self.secret),
            encryption=self.encryption,
            lock_days=self.lock_days,
            lock_mode=self.lock_mode,
            connect_seconds=connect_seconds,
            bytes_per_second=self.bytes_per_second,
        )


Registration = SftpRegistration | S3Registration


def _server(destination_id: str, uri: str, scheme: str, form: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != scheme or not parts.username or not parts.hostname or parts.password or parts.query:
        raise UnusableInput(f"destination {destination_id}: the URI must be {form}")
    return parts
