"""What the tables of several commands have in common."""

from __future__ import annotations

from rich.console import Console

_PIPE_WIDTH = 200  # characters, where the output is no terminal: nothing is cut off


def table_console() -> Console:
    """Where a table is printed: as wide as the terminal, or wide enough for whatever reads it."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def minute(time: str) -> str:
    """RFC 3339 text to the minute, for people."""
    return time[:16].replace("T", " ")
