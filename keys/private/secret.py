"""The one handler of secrets: reads them from a file or a variable of the environment, and never shows them.

The mode of a file is checked, a link is not followed. Errors name the place, never the content. This is the only
module, besides the settings, that reads the environment: a key URI `env:NAME` in the settings names the variable.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NoReturn

from core.errors import KeyUnusable

_LARGEST = 64 * 1024  # bytes; an OpenSSH key file of ours has about 400, an ML-DSA one 200
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Secret:
    """Bytes that `repr`, `str`, formatting, logging, pickling and copying never show. `reveal` gives them."""

    __slots__ = ("__reveal",)

    def __init__(self, value: bytes) -> None:
        def reveal() -> bytes:  # a closure, so that not even `vars` or a debugger's list of fields shows them
            return value

        self.__reveal = reveal

    def reveal(self) -> bytes:
        return self.__reveal()

    def text(self) -> str:
        """As ASCII without surrounding white space; `KeyUnusable` for anything else."""
        try:
            return self.reveal().decode("ascii").strip()
        except UnicodeDecodeError:
            pass
        raise KeyUnusable("the secret is not text: it is not of the kind that is expected there")

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied to anywhere")


def read_secret_file(path: Path) -> Secret:
    """The content of a file that only we can read; raises `KeyUnusable` if it is absent or open to others."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            content = file.read(_LARGEST)
    except OSError as error:
        reason = error.strerror
    else:
        reason = None
    if reason is not None:
        raise KeyUnusable(f"the private key {path} cannot be read: {reason}")
    if status.st_mode & _OTHERS or status.st_uid not in (0, os.geteuid()):
        raise KeyUnusable(f"the private key {path} is open to others: it must be yours, with mode 0600")
    return Secret(content)


def read_secret_variable(name: str) -> Secret:
    """The content of a variable of the environment; raises `KeyUnusable` if it is not set."""
    content = os.environb.get(name.encode())
    if not content:
        raise KeyUnusable(
            f"the variable {name} of the environment, which holds a key, is not set: set it, or name another"
        )
    return Secret(content)
