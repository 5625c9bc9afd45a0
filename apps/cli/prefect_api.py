"""Speak to a Prefect server's API as its web page does: start a run of the `deliver` form and watch it to its end."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from core.errors import DestinationUnreachable, Unexpected

_BUSY = 503  # a Prefect server on SQLite answers this when its database is locked; the same call then works
_ATTEMPTS = 6
_RUN_SECONDS = 300
_POLL_SECONDS = 0.5
ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def call(api_url: str, method: str, path: str, body: Any = None) -> Any:
    """The JSON answer; `Unexpected` with the status and text of an error, `DestinationUnreachable` without a server."""
    request = urllib.request.Request(  # noqa: S310 - the API that we started, or that the operator configured
        f"{api_url}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode("utf-8", "replace")
        except OSError:
            status, text = 0, ""
        if status != _BUSY or attempt == _ATTEMPTS:
            break
        time.sleep(_POLL_SECONDS * attempt)
    if not status:
        raise DestinationUnreachable("the Prefect server does not answer: check PREFECT_API_URL")
    raise Unexpected(f"Prefect answered {status}: {text[:500]}")


def start_run(api_url: str, deployment: str, **parameters: Any) -> str:
    """Submit the form of a deployment; returns the id of the run."""
    found = call(api_url, "GET", f"/deployments/name/{deployment}")
    run = call(api_url, "POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})
    return str(run["id"])


def final_state(api_url: str, run_id: str, shown: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Wait for the end of a run; tells `shown` the name of every state on the way."""
    deadline, last = time.monotonic() + _RUN_SECONDS, ""
    while time.monotonic() < deadline:
        state: dict[str, Any] = call(api_url, "GET", f"/flow_runs/{run_id}")["state"]
        if state["name"] != last:
            last = state["name"]
            shown(last)
        if state["type"] in ENDED:
            return state
        time.sleep(_POLL_SECONDS)
    raise Unexpected(f"the run was not done after {_RUN_SECONDS} s: see the logs of the worker")
