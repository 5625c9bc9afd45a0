"""Write what people read, or programs, to the file that the command line names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from core.errors import UnusableInput
from core.files import write_file
from schemas.report import Report
from schemas.report_markdown import as_markdown
from schemas.report_page import as_html


def _as_json(report: Report) -> str:
    return json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n"


_FORMS: dict[str, Callable[[Report], str]] = {".json": _as_json, ".md": as_markdown, ".html": as_html}


def checked_form(path: Path) -> Path:
    """`path` if its name says in which form a report is wanted; `UnusableInput` before any work is done for nothing."""
    if path.suffix.lower() not in _FORMS:
        raise UnusableInput("the name of a report ends in .json, .md (Markdown) or .html (a page in Dutch)")
    return path


def write_report(report: Report, path: Path) -> None:
    """Put the report at `path` in the form that its name says."""
    write_text(path, _FORMS[checked_form(path).suffix.lower()](report))


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path`, whole."""
    try:
        write_file(path, text.encode(), mode=0o666)  # as the user's umask has it: these are for others to read
        return
    except OSError:
        pass
    raise UnusableInput("the page cannot be written: name a file in a folder that exists and can be written")
