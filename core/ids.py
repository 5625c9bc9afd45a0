"""Names and ids: what may appear on the recipient's side, and how ours are made.

Every name that a recipient or a file system sees is made of ``[A-Za-z0-9._-]``, starts with a letter or digit and
has at most 200 characters (Digikoppeling Grote Berichten, filename). A name never becomes a path by joining
unchecked text: `checked_name` is the only door.
"""

from __future__ import annotations

import re
import uuid

from core.errors import UnusableInput

NAME_LENGTH = 200  # characters, the limit of Digikoppeling Grote Berichten
ID_LENGTH = 32  # characters, of what `new_id` makes
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_LENGTH - 1}}}")


def checked_name(text: str, what: str) -> str:
    """Return `text` if it is a safe name, or raise `UnusableInput` that says what `what` must look like."""
    if not _NAME.fullmatch(text):
        raise UnusableInput(
            f"{what} must have 1 to {NAME_LENGTH} characters from A-Z a-z 0-9 . _ - and start with a letter or digit"
        )
    return text


def new_id() -> str:
    """A random id of 32 hexadecimal characters (UUID 4, RFC 9562)."""
    return uuid.uuid4().hex
