"""Text that others wrote, made safe to show on a terminal or a page."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` without control characters and invisible ones that turn the reading direction."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
