"""The connection string of a PostgreSQL source, with the limits and the TLS that it does not state itself."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.discreet import discreet
from core.errors import UnusableInput
from core.settings import SourceSettings

_HERE = ("", "localhost", "127.0.0.1", "::1")


@discreet
def conninfo(source_id: str, secret: str, limits: SourceSettings) -> str:
    """What libpq connects with. Raises `UnusableInput` for a `secret` that is no connection string, without it.

    Without an `sslmode` of its own it is `verify-full`, unless the server is on this machine.
    """
    try:
        values: dict[str, Any] = conninfo_to_dict(secret)
    except psycopg.Error:
        values = {}
    if not values:
        raise UnusableInput(f"source {source_id}: its secret is no connection string of PostgreSQL")
    hosts = str(values.get("host", "")).split(",") + str(values.get("hostaddr", "")).split(",")
    if "service" in values or not all(host in _HERE or host.startswith("/") for host in hosts):
        values = {"sslmode": "verify-full"} | values
        if values["sslmode"] == "verify-full":
            values = {"sslrootcert": "system"} | values
    ours = {
        "connect_timeout": str(max(2, round(limits.connect_seconds))),
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "application_name": "gla",
    }
    return make_conninfo("", **(ours | values))
