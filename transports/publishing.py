"""A delivery appears at its destination as a whole, or not at all.

1. If the delivery is there with exactly these files, there is nothing to do; if it differs, that is refused.
2. The files are written out of sight. What an earlier attempt left of this delivery is adopted: only what is not there
   yet, or does not read back as ours, is sent.
3. They are read back from the far side and compared: size and SHA-256.
4. The caller approves what stands there; sending can take hours, and its reasons may be gone.
5. It appears.

Where there are folders (`FolderTransport`), out of sight is a hidden folder beside the delivery's, and one rename makes
it appear. Where there are only objects (`ObjectTransport`), the last of the files is the mark: without it there is no
delivery, and it is written when all others are read back, approved, unchanged since and locked.

After a failure of the destination that may pass, what was staged stays for the next attempt; after any other it goes.
Who publishes holds the ledger's lease: a worker that lost it loses its staging folder too, and cannot publish. Objects
have one place for all attempts, so there nothing is removed before the lease was asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from core.errors import DeliveryBusy, DestinationError, GlaError, ReadBackMismatch, UnusableInput
from core.ids import checked_name
from transports.base import (
    Destination,
    FolderTransport,
    ObjectTransport,
    Receipt,
    digested,
    is_later,
    is_staging_of,
    staging_name,
)
from transports.outgoing import local_blocks

Approval = Callable[[tuple[Receipt, ...]], None]
"""Raises when what the receipts describe may not appear."""

Lease = Callable[[], None]
"""Raises when another worker has the delivery now."""


def anything(receipts: tuple[Receipt, ...]) -> None:
    """Approve whatever was sent."""


def alone() -> None:
    """There is no other worker."""


def publish(
    transport: Destination,
    files: Mapping[str, Path],
    directory: str,
    token: str,
    approve: Approval = anything,
    held: Lease = alone,
) -> tuple[Receipt, ...]:
    """Publish `files` (name to local path, the mark last) as `directory`; receipts in their order, by file name.

    `token` (letters and digits) tells this attempt from others at the same delivery, so that none of them can make
    appear what another one has half written. Raises `ReadBackMismatch` when what stands at the destination is not
    what was sent, `DeliveryBusy` if a later attempt is sending, and whatever `approve`, `held` and the transport raise.
    """
    if not files:
        raise UnusableInput("a delivery without files cannot be published")
    if len(PurePosixPath(directory).parts) < 2 or not (token.isascii() and token.isalnum()):
        raise UnusableInput("a delivery needs a folder above it, and a token of letters and digits")
    names = {checked_name(name, "a file name"): path for name, path in files.items()}
    if has_appeared(transport, directory, list(names)[-1]):
        receipts = _already_there(transport, names, directory)
        approve(receipts)
        if not isinstance(transport, FolderTransport):
            _lock(transport, directory, names)
        return receipts
    if isinstance(transport, FolderTransport):
        return _by_rename(transport, names, PurePosixPath(directory), token, approve)
    return _by_mark(transport, names, directory, approve, held)


def recognise(transport: Destination, receipts: tuple[Receipt, ...], directory: str) -> bool:
    """Whether recipients see exactly this delivery (the mark last) already; `ReadBackMismatch` if they see another."""
    if not has_appeared(transport, directory, receipts[-1].name):
        return False
    _require_same(transport, receipts, directory)
    if not isinstance(transport, FolderTransport):
        _lock(transport, directory, [receipt.name for receipt in receipts])  # whoever put it may not have come so far
    return True


def has_appeared(transport: Destination, directory: str, mark: str) -> bool:
    """Whether recipients see this delivery, whole or damaged since."""
    named = directory if isinstance(transport, FolderTransport) else f"{directory}/{mark}"
    return transport.stat(named) is not None


def _by_rename(
    transport: FolderTransport, files: Mapping[str, Path], directory: PurePosixPath, token: str, approve: Approval
) -> tuple[Receipt, ...]:
    staging = f"{directory.parent}/{staging_name(directory.name, token)}"
    _adopt(transport, directory, staging)
    try:
        receipts = _stage(transport, files, staging)
        approve(receipts)
        transport.rename(staging, str(directory))
    except BaseException as error:
        if not _can_go_on(error):
            with contextlib.suppress(GlaError):  # the first failure is the one to report
                transport.delete(staging)
        raise
    return receipts


def _by_mark(
    transport: ObjectTransport, files: Mapping[str, Path], directory: str, approve: Approval, held: Lease
) -> tuple[Receipt, ...]:
    *others, mark = files
    try:
        staged = _stage(transport, {name: files[name] for name in others}, directory, held)
        versions = {name: transport.version(f"{directory}/{name}") for name in others}
        receipts = (*staged, digested(mark, local_blocks(files[mark], mark)))
        approve(receipts)
        _lock(transport, directory, others)
        _require_unchanged(transport, directory, versions)
    except BaseException as error:
        if not _can_go_on(error):
            with contextlib.suppress(GlaError):
                held()  # another worker puts the same objects
                _remove_unmarked(transport, directory, mark)
        raise
    _put_mark(transport, files[mark], f"{directory}/{mark}", receipts[-1])
    _lock(transport, directory, [mark])
    return receipts


def _lock(transport: ObjectTransport, directory: str, names: Iterable[str]) -> None:
    for name in names:
        transport.lock(f"{directory}/{name}")


def _can_go_on(error: BaseException) -> bool:
    """Whether the next attempt may find a use for what this one staged. On a full disk it is in the way."""
    return isinstance(error, DestinationError) and error.transient


def _adopt(transport: FolderTransport, directory: PurePosixPath, staging: str) -> None:
    """What an earlier attempt left becomes ours: with its name, that attempt loses it. `DeliveryBusy` if there is a
    later one, whose worker took over while ours stood still: it must not lose what it writes.
    """
    parent = str(directory.parent)
    transport.make_directory(parent)
    found = [f"{parent}/{name}" for name in transport.list(parent) if is_staging_of(directory.name, name)]
    if any(is_later(name, staging) for name in found):
        raise DeliveryBusy("a later attempt at this delivery is sending it: see that one")
    for left in sorted(found, key=lambda name: name != staging):
        if transport.stat(staging) is None:
            transport.rename(left, staging)
        elif left != staging:
            transport.delete(left)


def _stage(
    transport: Destination, files: Mapping[str, Path], directory: str, held: Lease = alone
) -> tuple[Receipt, ...]:
    """Send what is not there yet, and read all of it back."""
    left = transport.list(directory) if transport.stat(directory) is not None else []
    if not files.keys() >= set(left):  # of another attempt than one at these files
        held()  # or of a later one that made it a delivery just now
        transport.delete(directory)
        left = []
    if isinstance(transport, FolderTransport):
        transport.make_directory(directory)
    receipts = tuple(
        Receipt(name, sent.size, sent.sha256)
        for name, path in files.items()
        for send in [transport.resume if name in left else transport.put]
        for sent in [send(path, f"{directory}/{name}")]
    )
    if different := _difference(transport, receipts, directory):
        raise ReadBackMismatch(f"{different} at the destination: check its disk and run again")
    return receipts


def _require_unchanged(transport: ObjectTransport, directory: str, versions: Mapping[str, str]) -> None:
    if any(transport.version(f"{directory}/{name}") != version for name, version in versions.items()):
        raise ReadBackMismatch(
            "somebody wrote to this delivery at the destination after it was read back: find out who, and run again"
        )


def _put_mark(transport: ObjectTransport, source: Path, name: str, expected: Receipt) -> None:
    """Now it appears; should the mark itself not be what was sent, it disappears again."""
    try:
        transport.put(source, name)
        if digested(expected.name, transport.read(name)) != expected:
            raise ReadBackMismatch(f"{expected.name} is not as it was sent: check the destination and run again")
    except ReadBackMismatch:
        transport.delete(name)
        raise


def _remove_unmarked(transport: ObjectTransport, directory: str, mark: str) -> None:
    """What was staged, unless another attempt made it a delivery meanwhile."""
    if transport.stat(f"{directory}/{mark}") is None:
        transport.delete(directory)


def _already_there(transport: Destination, files: Mapping[str, Path], directory: str) -> tuple[Receipt, ...]:
    receipts = tuple(digested(name, local_blocks(path, name)) for name, path in files.items())
    _require_same(transport, receipts, directory)
    return receipts


def _require_same(transport: Destination, receipts: tuple[Receipt, ...], directory: str) -> None:
    if different := _difference(transport, receipts, directory):
        raise ReadBackMismatch(
            f"{different} in the folder that stands at the destination under this delivery's name: it is never "
            "overwritten; look what happened to it, remove it, and resume"
        )


def _difference(transport: Destination, receipts: tuple[Receipt, ...], directory: str) -> str | None:
    """What is not as it was sent, or None."""
    if receipts and transport.list(directory) != sorted(receipt.name for receipt in receipts):
        return "other files than ours are"
    for sent in receipts:
        name = f"{directory}/{sent.name}"
        found = transport.stat(name)
        if found is None or found.size != sent.size or digested(sent.name, transport.read(name)) != sent:
            return f"{sent.name} is not as it was sent"
    return None
