"""A world with a real Prefect server and a real worker, started as `make up` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from apps.cli import local_stack
from apps.cli.local_stack import LocalStack
from apps.cli.ops import PREFECT_FILE
from apps.cli.prefect_api import call, final_state, start_run
from tests.delivery_world import World


@dataclass
class PrefectWorld:
    """Calls are those of the server's own web page."""

    world: World
    stack: LocalStack

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer, or `Unexpected` with status and text."""
        return call(self.stack.api_url, method, path, body)

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/deployments/name/{name}")

    def start(self, name: str, **parameters: Any) -> str:
        """Submit the form of a deployment; the id of the run."""
        return start_run(self.stack.api_url, name, **parameters)

    def finished(self, run_id: str) -> dict[str, Any]:
        """The final state of a run."""
        return final_state(self.stack.api_url, run_id)

    def runs(self, **states: Any) -> list[dict[str, Any]]:
        return self.call("POST", "/flow_runs/filter", {"flow_runs": states, "limit": 200})


@contextmanager
def prefect_world(
    make_world: Callable[..., World],
    log_level: str = "WARNING",
    document: Callable[[World], dict[str, Any]] | None = None,
) -> Iterator[PrefectWorld]:
    """Everything up, deployed, and an active agreement."""
    world = make_world()
    world.conclude(document(world) if document else None)
    settings = world.services.settings.model_copy(update={"prefect_api_url": None})
    before = dict(os.environ)
    os.environ.update({"GLA_LOG_LEVEL": log_level, "PREFECT_LOGGING_LEVEL": log_level})
    try:
        with pytest.MonkeyPatch.context() as patch, LocalStack(settings, PREFECT_FILE) as stack:
            patch.setattr(local_stack, "_START_SECONDS", 300)  # on a machine with much other work
            stack.begin_server()
            stack.wait_for_server()
            stack.deploy()
            stack.start_worker()
            yield PrefectWorld(world, stack)
    finally:
        os.environ.clear()
        os.environ.update(before)
