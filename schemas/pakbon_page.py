"""The pakbon as one page in Dutch, sealed beside it: what was delivered, for whom, how much, until when, whom to ask.

It shows what manifest and pakbon say and nothing else: no value but counts and sums. No script, no font, no picture.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from core.clock import from_rfc3339
from core.dutch import dutch_period, grouped, local_time
from core.text import printable
from schemas.manifest import Manifest, Pakbon

if TYPE_CHECKING:
    from jinja2 import Template


def as_html(manifest: Manifest, pakbon: Pakbon) -> str:
    """The page, complete. What people typed is escaped by the template."""
    base = None if pakbon.plan is None else pakbon.plan.base
    return template().render(
        manifest=manifest,
        pakbon=pakbon,
        base=base and f"{' '.join(dutch_period(base.period))}, editie {base.edition}",
        period=" ".join(dutch_period(manifest.period)),
        created=" ".join(local_time(from_rfc3339(manifest.creation_time))),
        expires=" ".join(local_time(manifest.expires)),
    )


@cache
def template() -> Template:
    """Read once. Who will need it can ask for it before."""
    from schemas import pages  # noqa: PLC0415 - only who seals waits for jinja2

    return pages.template("pakbon.html.j2", printable=printable, grouped=grouped)
