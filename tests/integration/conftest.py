"""Real servers, and a wire between us and them that can be cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.openssh import OpenSshServer, openssh, openssh_factory
from tests.servers.proxy import CuttableProxy

__all__ = ["openssh", "openssh_factory"]


@pytest.fixture
def proxy(openssh: OpenSshServer) -> Iterator[CuttableProxy]:
    """A wire to the shared OpenSSH server."""
    with CuttableProxy(openssh.port) as wire:
        yield wire
