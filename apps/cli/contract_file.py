"""A contract file as it is given on the command line."""

from __future__ import annotations

from pathlib import Path

from core.errors import UnusableInput
from schemas.reader import MAX_BYTES


def read_contract_file(path: Path) -> bytes:
    """Its bytes, and no more than enough to see that they are too many: it may be a device, or of any size."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        pass
    raise UnusableInput(f"the contract file {path.name} cannot be read")
