"""How a delivery is named on the command line: AGREEMENT/PERIOD/EDITION."""

from __future__ import annotations

import re

from core.errors import UnusableInput
from core.ids import checked_name

EDITION = re.compile(r"[1-9][0-9]{0,8}")


def delivery_parts(delivery: str) -> tuple[str, str, int]:
    """The agreement, the period as it was written, and the edition."""
    names = delivery.split("/")
    if len(names) == 3 and EDITION.fullmatch(names[2]):
        return checked_name(names[0], "the id of an agreement"), names[1], int(names[2])
    raise UnusableInput("a delivery is named AGREEMENT/PERIOD/EDITION")
