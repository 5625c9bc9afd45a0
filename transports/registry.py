"""Which destinations exist besides our drop zone: ids that agreements may name, with a pinned host key each.

Only an operator on this machine writes the registry (`config_dir/destinations.json`). It holds no secret: the private
key is named by its file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.canonical import parse_json
from core.errors import UnusableInput
from core.files import write_file
from core.ids import checked_name
from transports.base import Destination

if TYPE_CHECKING:
    from transports.sftp import SftpDestination

DROPZONE = "dropzone"  # our own; never in the registry
_SFTP_PORT = 22


class Destinations:
    """The registry in `config_dir/destinations.json`."""

    def __init__(self, config_dir: Path) -> None:
        self._path = config_dir / "destinations.json"

    def add_sftp(self, destination_id: str, uri: str, host_key: str, identity_file: Path) -> None:
        """Register sftp://USER@HOST[:PORT]/ROOT; replaces what had the id. The host key is required: it is pinned."""
        if checked_name(destination_id, "the id of a destination") == DROPZONE:
            raise UnusableInput(f"{DROPZONE} is our own drop zone: choose another id")
        entry = {"uri": uri, "hostKey": host_key.strip(), "identityFile": str(identity_file.resolve())}
        _sftp(destination_id, entry, 1.0)
        known = {**self._load(), destination_id: entry}
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, (json.dumps(dict(sorted(known.items())), indent=2) + "\n").encode(), mode=0o600)

    def get(self, destination_id: str) -> dict[str, str]:
        """The entry of a destination; `UnusableInput` if it is not registered."""
        known = self._load()
        if destination_id not in known:
            raise UnusableInput(f"destination {destination_id} is not registered: use gla destination add")
        return known[destination_id]

    def open(self, destination_id: str, connect_seconds: float) -> Destination:
        """Connect; raises the errors below `DestinationError`."""
        from transports.sftp import SftpTransport  # noqa: PLC0415 - paramiko costs a third of a second

        return SftpTransport(_sftp(destination_id, self.get(destination_id), connect_seconds))

    def list(self) -> list[tuple[str, str]]:
        """(id, URI) of every destination, by id."""
        return [(name, entry["uri"]) for name, entry in sorted(self._load().items())]

    def _load(self) -> dict[str, dict[str, str]]:
        if not self._path.exists():
            return {}
        value = parse_json(self._path.read_bytes(), self._path.name)
        fields = {"uri", "hostKey", "identityFile"}
        if not isinstance(value, dict) or not all(isinstance(it, dict) and set(it) == fields for it in value.values()):
            raise UnusableInput(f"{self._path.name} is not a registry: restore it or register the destinations again")
        return value


def _sftp(destination_id: str, entry: dict[str, str], connect_seconds: float) -> SftpDestination:
    from transports.sftp import SftpDestination  # noqa: PLC0415

    try:
        parts = urlsplit(entry["uri"])
        port = parts.port or _SFTP_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "sftp" or not parts.username or not parts.hostname or parts.password:
        raise UnusableInput(f"destination {destination_id}: the URI must be sftp://USER@HOST[:PORT]/ROOT")
    return SftpDestination(
        host=parts.hostname,
        port=port,
        user=parts.username,
        root=parts.path or "/",
        host_key=entry["hostKey"],
        identity_file=Path(entry["identityFile"]),
        connect_seconds=connect_seconds,
    )
