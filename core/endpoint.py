"""Where a server of S3 listens, how its key is written and where that is: for sources and destinations alike."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from core.discreet import discreet
from core.errors import UnusableInput

SECRET_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/?[^/\x00-\x1f].*")
BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\x00-\x1f]*)?)")
REGION = re.compile(r"[a-z0-9-]{1,50}")
_HERE = ("localhost", "127.0.0.1", "::1")


def checked_endpoint(text: str) -> str:
    """`text`, or `UnusableInput` if it is not just the https:// address of a server (http:// only on this machine)."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    plain = parts.scheme == "http" and host in _HERE
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    if not host or rest or not (plain or parts.scheme == "https"):
        raise UnusableInput("--endpoint is https://HOST or https://HOST:PORT, with nothing after it")
    return text.rstrip("/")


@discreet
def key_pair(key: str, what: str) -> tuple[str, str]:
    """The access key ID and the secret of ACCESS_KEY_ID:SECRET_ACCESS_KEY; `UnusableInput`, of `what`, if it is not."""
    access, colon, secret = key.partition(":")
    if not (access and colon and secret):
        raise UnusableInput(f"the secret of {what} is ACCESS_KEY_ID:SECRET_ACCESS_KEY")
    return access, secret
