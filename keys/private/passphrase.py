"""How a key file's passphrase is asked for: by whoever has a terminal, and only if the key has one."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import KeyUnusable

AskPassphrase = Callable[[str], str]  # which key -> its passphrase


def nobody_asks(which: str) -> str:
    """For callers without a terminal."""
    raise KeyUnusable(f"{which} has a passphrase, and nobody can be asked for it here: use a key without one")
