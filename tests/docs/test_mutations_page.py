"""The example on the page about mutations is an agreement that can be offered."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from core.canonical import canonical_json
from schemas.agreement import load_agreement
from tests.unit.schemas.test_agreement import document

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mutations.md").read_text(encoding="utf-8")


def test_the_example_loads_with_its_term():
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    shown = yaml.safe_load(example)
    value = document()
    whole = value | {"schema": shown["schema"]}
    whole["customProperties"] = [*value["customProperties"], *shown["customProperties"]]
    term = load_agreement(canonical_json(whole)).mutations
    assert (term.column, term.new, term.changed, term.ended) == ("code_mutatie", "N", "W", "V")
    assert term.key == ("bsn", "volgnummer")


def test_other_codes_are_written_as_the_page_says():
    (written,) = re.findall(r"`(\{column: mutation.*?\})`", PAGE)
    assert yaml.safe_load(written) == {"column": "mutation", "new": "I", "changed": "U", "ended": "D"}
