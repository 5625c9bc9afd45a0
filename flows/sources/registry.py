"""Which sources exist: ids that agreements may name, and the local files behind them, in one JSON file.

Only an operator on this machine writes it. An agreement can name an id and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.canonical import parse_json
from core.errors import UnusableInput
from core.files import write_file
from core.ids import checked_name
from flows.sources.files import FileSource


class Sources:
    """The registry in `config_dir/sources.json`: `{"sources": {id: path}}`."""

    def __init__(self, config_dir: Path) -> None:
        self._path = config_dir / "sources.json"

    def add(self, source_id: str, uri: str) -> None:
        """Register a path or file:// URI under `source_id`; the file must be readable now. An id is given once."""
        path = _local_path(uri).resolve()
        source = FileSource(checked_name(source_id, "the id of a source"), path)
        source.schema()
        known = self._load()
        if known.setdefault(source_id, str(path)) != str(path):
            raise UnusableInput(f"source {source_id} is registered already for another file: choose another id")
        self._save(known)

    def get(self, source_id: str) -> FileSource:
        """The source registered as `source_id`; `UnusableInput` if there is none."""
        known = self._load()
        if source_id not in known:
            raise UnusableInput(f"source {source_id} is not registered: use gla source add")
        return FileSource(source_id, Path(known[source_id]))

    def list(self) -> list[str]:
        """The registered ids, sorted."""
        return sorted(self._load())

    def _load(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        value = parse_json(self._path.read_bytes(), "sources.json")
        known = value.get("sources") if isinstance(value, dict) else None
        if not isinstance(known, dict) or not all(isinstance(path, str) for path in known.values()):
            raise UnusableInput("sources.json is not a list of sources: restore it or register the sources again")
        return known

    def _save(self, known: dict[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_file(self._path, json.dumps({"sources": dict(sorted(known.items()))}, indent=2).encode(), mode=0o600)


def _local_path(uri: str) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets that are no address
        parts = urlsplit("")
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in uri:
        raise UnusableInput("a source must be a local path or a file:// URI")
    return Path(uri)
