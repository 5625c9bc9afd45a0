"""Keys made anew for each run, and the shortest ways to seal and to open."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from keys.envelope.seal import Sealer
from keys.private.identities import Identity, generate_identity
from keys.private.opening import open_envelope


@pytest.fixture(scope="session", params=["hybrid", "x25519"])
def identity(request: pytest.FixtureRequest) -> Identity:
    return generate_identity(request.param)


@pytest.fixture(scope="session")
def seal() -> Callable[..., bytes]:
    def sealed(plain: bytes, *identities: Identity) -> bytes:
        target = io.BytesIO()
        with Sealer(target, [identity.recipient for identity in identities]) as sealer:
            sealer.write(plain)
        return target.getvalue()

    return sealed


@pytest.fixture(scope="session")
def unseal() -> Callable[..., bytes]:
    def opened(sealed: bytes, *identities: Identity) -> bytes:
        with open_envelope(io.BytesIO(sealed), identities) as reader:
            return reader.read()

    return opened
