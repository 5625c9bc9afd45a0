"""docs/dropzone.md names every setting of the drop zone with its default."""

from __future__ import annotations

import re
from pathlib import Path

from core.settings import DropzoneSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs/dropzone.md").read_text(encoding="utf-8")


def test_every_setting_and_its_default_are_there() -> None:
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    told = {
        name.strip("` ").lower(): value.strip()
        for names, values in rows
        for name, value in zip(names.split(","), values.split(","), strict=True)
    }
    assert told == {name: str(field.default) for name, field in DropzoneSettings.model_fields.items()}
