"""Which destinations exist besides our drop zone: ids that agreements may name, and what is behind them, in one file.

Only an operator on this machine writes it (`config_dir/destinations.json`). It holds no secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from core.canonical import parse_json
from core.errors import UnusableInput
from core.files import write_file
from core.ids import checked_name
from transports.base import Destination
from transports.registration import Registration, S3Registration, SftpRegistration

if TYPE_CHECKING:
    from transports.s3 import S3Transport

DROPZONE = "dropzone"  # our own; never in the registry
_FILE: TypeAdapter[dict[str, Registration]] = TypeAdapter(dict[str, Registration])


def no_secrets(reference: str) -> str:  # noqa: ARG001 - the type has it
    """The default: nothing here may read secrets."""
    raise UnusableInput("this destination needs a secret, which cannot be read here")


class Destinations:
    """The registry in `config_dir/destinations.json`. `reveal` gives the secret that a reference names."""

    def __init__(self, config_dir: Path, reveal: Callable[[str], str] = no_secrets) -> None:
        self._path = config_dir / "destinations.json"
        self._reveal = reveal

    def add(self, destination_id: str, told: Registration, *, moved: bool = False) -> None:
        """Register it, in place of what had the id; `UnusableInput` says what is wrong with it.

        It stays the same place, where earlier deliveries are found and removed, or it `moved` with all that is there.
        """
        if checked_name(destination_id, "the id of a destination") == DROPZONE:
            raise UnusableInput(f"{DROPZONE} is our own drop zone: choose another id")
        if isinstance(told, S3Registration):
            told.destination(destination_id, 1.0, self._reveal)
        else:
            told.destination(destination_id, 1.0)
        known = self._load()
        if not moved and _place(known.get(destination_id, told)) != _place(told):
            raise UnusableInput(
                f"destination {destination_id} is registered already for another place: choose another id, or say that "
                "it moved there (--moved), with what was delivered"
            )
        content = {name: each.to_json() for name, each in sorted({**known, destination_id: told}.items())}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, (json.dumps(content, indent=2) + "\n").encode(), mode=0o600)

    def add_sftp(
        self,
        destination_id: str,
        uri: str,
        host_key: str,
        identity_file: Path,
        agent: Path | None = None,
        *,
        moved: bool = False,
        **more: Any,
    ) -> None:
        """Register an SFTP server, as `add` does; `more` is what else `SftpRegistration` has."""
        told = SftpRegistration(
            uri=uri,
            host_key=host_key.strip(),
            identity_file=str(identity_file.resolve()),
            agent=str(agent.resolve()) if agent else "",
            **more,
        )
        self.add(destination_id, told, moved=moved)

    def get(self, destination_id: str) -> Registration:
        """What was registered; `UnusableInput` if nothing was."""
        known = self._load()
        if destination_id not in known:
            raise UnusableInput(f"destination {destination_id} is not registered: use gla destination add")
        return known[destination_id]

    def open(self, destination_id: str, connect_seconds: float) -> Destination:
        """Connect; raises the errors below `DestinationError`."""
        return self.prepared(destination_id, connect_seconds)()

    def prepared(self, destination_id: str, connect_seconds: float) -> Callable[[], Destination]:
        """What connects, with all done that needs no connection."""
        told = self.get(destination_id)
        if isinstance(told, S3Registration):
            from transports.s3 import S3Transport  # noqa: PLC0415 - botocore and paramiko cost a third of a second

            return partial(S3Transport, told.destination(destination_id, connect_seconds, self._reveal))
        from transports.sftp import SftpTransport  # noqa: PLC0415

        return partial(SftpTransport, told.destination(destination_id, connect_seconds))

    def open_bucket(self, destination_id: str, connect_seconds: float) -> S3Transport:
        """As `open`; `UnusableInput` if it is another kind of destination."""
        told = self.get(destination_id)
        if not isinstance(told, S3Registration):
            raise UnusableInput(f"destination {destination_id} is no bucket: its recipients log in there")
        from transports.s3 import S3Transport  # noqa: PLC0415

        return S3Transport(told.destination(destination_id, connect_seconds, self._reveal))

    def list(self) -> list[tuple[str, str]]:
        """(id, URI) of every destination, by id."""
        return [(name, each.uri) for name, each in sorted(self._load().items())]

    def _load(self) -> dict[str, Registration]:
        if not self._path.exists():
            return {}
        value = parse_json(self._path.read_bytes(), self._path.name)
        try:
            return _FILE.validate_python(value)
        except ValidationError:
            pass
        raise UnusableInput(f"{self._path.name} is not a registry: restore it or register the destinations again")


def _place(told: Registration) -> tuple[str, str]:
    return told.uri, told.endpoint if isinstance(told, S3Registration) else ""
