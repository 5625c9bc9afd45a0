"""Where a document that somebody else wrote is wrong: the names of fields, never what stands in them."""

from __future__ import annotations

import re

from pydantic import ValidationError

_MOST_PLACES = 5
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,40}")


def places(error: ValidationError) -> str:
    """The first few wrong fields. A name that the writer made up may hold anything, so an odd one becomes `*`."""
    found = error.errors(include_input=False, include_context=False, include_url=False)
    return ", ".join(".".join(map(_step, item["loc"])) or "the whole" for item in found[:_MOST_PLACES])


def _step(step: int | str) -> str:
    return str(step) if isinstance(step, int) or _PLAIN_NAME.fullmatch(step) else "*"
