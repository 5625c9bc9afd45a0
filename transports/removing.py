"""A delivery disappears from its destination as a whole, and what staged it goes too; then it is looked whether it did.

Where folders can be renamed, one rename takes it out of sight before anything is deleted; where there are only objects,
its mark goes first. Whoever has a file open reads on, where the destination lets it.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from core.errors import ReadBackMismatch
from transports.base import STAGING_PREFIX, Destination, FolderTransport, is_staging_of


def remove(transport: Destination, directory: str, mark: str) -> bool:
    """Remove the folder `directory`, of which the file `mark` makes a delivery; False if nothing was there.

    May be done again at any time. `ReadBackMismatch` if something of it is still there afterwards.
    """
    place = PurePosixPath(directory)
    parent = str(place.parent)
    was_there = transport.stat(directory) is not None
    if isinstance(transport, FolderTransport):
        if transport.stat(parent) is None:
            return False
        hidden = f"{parent}/{_hidden(place)}"
        transport.delete(hidden)  # what a try before this one left
        if was_there:
            transport.rename(directory, hidden)
        for left in _left(transport, place):
            transport.delete(f"{parent}/{left}")
    else:
        transport.delete(f"{directory}/{mark}")
        transport.delete(directory)
    if transport.stat(directory) is not None or _left(transport, place):
        raise ReadBackMismatch(f"{place.name} is still at the destination after it was removed: look there, run again")
    return was_there


def _left(transport: Destination, place: PurePosixPath) -> list[str]:
    """What stands beside it, out of sight, and belongs to it; and the delivery itself."""
    if transport.stat(str(place.parent)) is None:
        return []
    ours = {_hidden(place), place.name}
    names = transport.list(str(place.parent))
    return [name for name in names if name in ours or is_staging_of(place.name, name)]


def _hidden(place: PurePosixPath) -> str:
    return f"{STAGING_PREFIX}removed-{place.name}"
