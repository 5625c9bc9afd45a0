"""Private key files as the recipient's commands take them; a passphrase is asked for on the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.private.kinds import PrivateKey, parse_private_keys

KEY_FILE_LIMIT = 16 * 1024 * 1024  # bytes


@discreet
def read_key_file(path: Path) -> list[PrivateKey]:
    """The keys in a file: age identities, an OpenPGP private key, or an RSA key with its certificate (PEM)."""
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_LIMIT)
    except OSError:
        data = None
    if data is None:
        raise KeyUnusable(f"{path.name} is no key file: make one with gla envelope keygen")
    return parse_private_keys(data, ask_passphrase)


def ask_passphrase(which: str) -> str:
    """Never shown; not taken from a command line, which others can see."""
    return str(click.prompt(f"{which}: passphrase", hide_input=True, err=True))
