"""How long property tests search: a sample in `make test`, twenty times as many examples in `make soak`."""

from __future__ import annotations

import os

_SOAKING = os.environ.get("GLA_SOAK") == "1"
_FACTOR = 20


def examples(sample: int, *, soak: int | None = None) -> int:
    """How many a test tries: `sample` in `make test`; `soak`, or twenty times as many, in `make soak`."""
    return (soak or sample * _FACTOR) if _SOAKING else sample


def soaking() -> bool:
    """Whether this is `make soak`, which runs all of what `make test` has a sample of."""
    return _SOAKING
