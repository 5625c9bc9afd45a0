"""Start a run of the `deliver` deployment as the form in the Prefect UI does, and watch it to its end."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any, cast

from rich.console import Console

from core.errors import Unexpected

_RUN_SECONDS = 300
_POLL_SECONDS = 0.5


def deliver_through_prefect(api_url: str, agreement: str, period: str, console: Console) -> None:
    """Raises `Unexpected` with Prefect's own message unless the run completes."""
    deployment = _call(api_url, "GET", "/deployments/name/deliver/deliver")
    parameters = {"agreement": agreement, "period": period, "mode": "resume", "reason": "", "requested_by": "demo"}
    run = _call(api_url, "POST", f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})
    deadline = time.monotonic() + _RUN_SECONDS
    shown = ""
    while time.monotonic() < deadline:
        state = _call(api_url, "GET", f"/flow_runs/{run['id']}")["state"]
        if state["name"] != shown:
            shown = state["name"]
            console.print(f"      Prefect: {shown}", style="dim", highlight=False)
        if state["type"] == "COMPLETED":
            return
        if state["type"] in ("FAILED", "CRASHED", "CANCELLED"):
            raise Unexpected(f"the run ended as {state['name']}: {state.get('message')}")
        time.sleep(_POLL_SECONDS)
    raise Unexpected(f"the run was not done after {_RUN_SECONDS} s: see the logs of the worker")


def _call(api_url: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the API that we started, or that the operator configured
        f"{api_url}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return cast("dict[str, Any]", json.load(answer))
