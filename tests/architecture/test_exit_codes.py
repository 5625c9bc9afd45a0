"""One exit code per class of failure, and only value-free messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import keys.envelope.errors
from core.errors import GlaError

MODULES = (keys.envelope.errors,)


def tree(kind: type[GlaError] = GlaError) -> Iterator[type[GlaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


def test_every_failure_that_can_be_raised_has_its_own_exit_code():
    leaves = [kind for kind in tree() if not kind.__subclasses__()]
    shared = {code: number for code, number in Counter(kind.exit_code for kind in leaves).items() if number > 1}
    assert shared == {}


def test_exit_codes_fit_a_shell():
    assert all(1 <= kind.exit_code <= 255 for kind in tree())
