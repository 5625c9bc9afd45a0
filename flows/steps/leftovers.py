"""What a process that was killed left of a small file of ours (`core.files`) goes, once nobody can be writing it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from core.files import remove_drafts
from flows.steps import evidence
from flows.steps.staging import disk_errors
from flows.wiring import Services
from schemas.participants import AREA

_SAFE = timedelta(days=1)  # since the last byte was written; the longest of these files takes minutes


def remove_leftovers(services: Services) -> int:
    """Remove them from every folder where we write such files; returns how many."""
    before = (services.clock() - _SAFE).timestamp()
    with disk_errors():
        return sum(remove_drafts(folder, before) for folder in _folders(services))


def _folders(services: Services) -> Iterator[Path]:
    it = services.settings
    yield from (it.config_dir, it.keys_dir, it.challenges_dir, it.people_dir, it.dropzone_dir)
    yield from it.participants_dir.glob("*/")
    yield from it.staging_dir.glob("*/*/")
    yield from evidence.folders(services)
    yield from it.dropzone_dir.glob(f"deliveries/*/*/{AREA}/")
