"""Where the bad parts of a delivery can be had again: another folder with the same edition, or an SFTP server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.errors import UnusableInput
from schemas.manifest import Manifest
from transports.base import Transport
from transports.directory import DirectoryTransport

_SFTP_PORT = 22
_FORM = "name a folder or sftp://USER@HOST[:PORT][/PATH/edition-N]"


@dataclass(frozen=True)
class Copy:
    """One other copy. `open` connects; errors as in `Transport`. What it gives is checked: it need not be trusted."""

    name: str
    open: Callable[[Manifest | None], Transport]
    open_root: Callable[[], Transport] | None = None  # of a drop zone, where receipts go


def named_copy(text: str, delivery: Path, ssh_key: Path | None, known_hosts: Path) -> Copy:
    """The copy that `--from TEXT` names; `UnusableInput` if it names none."""
    if text.lower().startswith("sftp://"):
        return _server(text, ssh_key, known_hosts)
    folder = Path(text)
    if not folder.is_dir():
        raise UnusableInput(f"--from {text}: there is no such folder: {_FORM}")
    if delivery.exists() and folder.samefile(delivery):
        raise UnusableInput(f"--from {text}: this is the delivery itself: name another copy of it")
    return Copy(text, lambda _: DirectoryTransport(folder))


def _server(text: str, ssh_key: Path | None, known_hosts: Path) -> Copy:
    try:
        parts = urlsplit(text)
        port = parts.port or _SFTP_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if not parts.username or not parts.hostname or parts.password or parts.query or parts.fragment:
        raise UnusableInput(f"--from is not of the form that is needed: {_FORM}")
    if ssh_key is None:
        raise UnusableInput("--from sftp://... needs --ssh-key: the private SSH key with which you fetch")
    where = partial(
        _connected, host=parts.hostname, port=port, user=unquote(parts.username), ssh_key=ssh_key, hosts=known_hosts
    )
    name = f"sftp://{parts.hostname}:{port}"
    return Copy(name, lambda manifest: where(_folder(unquote(parts.path), manifest)), lambda: where("/"))


def _folder(path: str, manifest: Manifest | None) -> str:
    """Where our drop zone has an edition, unless the URL says another place."""
    if path.rstrip("/"):
        return path
    if manifest is None:
        raise UnusableInput("there is no good manifest here: name the edition too, .../deliveries/ID/PERIOD/edition-N")
    return f"/deliveries/{manifest.agreement}/{manifest.period}/edition-{manifest.edition}"


def _connected(root: str, *, host: str, port: int, user: str, ssh_key: Path, hosts: Path) -> Transport:
    from transports.known_hosts import known_host_key  # noqa: PLC0415 - paramiko costs a third of a second
    from transports.sftp import SftpDestination, SftpTransport  # noqa: PLC0415

    key = known_host_key(hosts, host, port)
    return SftpTransport(
        SftpDestination(host=host, port=port, user=user, root=root, host_key=key, identity_file=ssh_key)
    )
