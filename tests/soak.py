"""How long property tests search: a sample in `make test`, twenty times as many examples in `make soak`."""

from __future__ import annotations

import os

_FACTOR = 20 if os.environ.get("GLA_SOAK") == "1" else 1


def examples(sample: int) -> int:
    """The number of examples for a test that tries `sample` of them in `make test`."""
    return sample * _FACTOR
