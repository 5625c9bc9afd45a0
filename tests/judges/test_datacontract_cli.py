"""datacontract-cli, the tool of those who wrote much of the standard, judges our verdicts check by check.

Where it answers otherwise, docs/judges.md lists the difference with the sentence of the standard that decides it. That
list is exact: a difference that it lacks is a failure here, and so is one that is no longer there.
"""

from __future__ import annotations

import fnmatch
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import polars as pl
import pytest

from flows.sources.synthetic import generate
from flows.steps.draft import as_yaml, draft
from schemas.products import product_contract, product_names
from schemas.verdict import Verdict
from tests.delivery_world import AGREEMENT
from tests.judges.asking import PROGRAM, ask, lint_question, our_verdict, question, write
from tests.judges.compare import Difference, differences
from tests.judges.pairs import Pair, pairs
from tests.judges.products import product_pairs

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
LIST = Path(__file__).resolve().parents[2] / "docs" / "judges.md"
REASON = re.compile(r"^\| \*\*([A-Z][0-9]*)\*\* \|", re.MULTILINE)
ROW = re.compile(r"^\| ([^|*`]+) \| `([^|`]+)` \| `([^|`]+)` \| ([^|]+) \| ([^|]+) \| ([A-Z][0-9]*) \|$", re.MULTILINE)

PROMISES = {
    *("required", "unique", "primaryKey", "enum", "foreignKey", "bsn"),
    *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"),
}


@dataclass(frozen=True)
class Judged:
    pair: Pair
    theirs: list[dict]
    ours: Verdict | None

    @property
    def differences(self) -> list[Difference]:
        return differences(self.pair.name, self.pair.contract, self.theirs, self.ours)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if PROGRAM.exists():
        return
    if os.environ.get("CI") == "true":
        pytest.fail("datacontract-cli is not installed (make .venv-judge/.done), and under CI it may not be skipped")
    pytest.skip("datacontract-cli is not installed: make .venv-judge/.done")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    folder = tmp_path_factory.mktemp("pairs")
    every = [*pairs(), *product_pairs(tmp_path_factory.mktemp("products"))]
    files = [write(pair, folder) for pair in every]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, [question(*both) for both in zip(every, files, strict=True)], folder)
        ours = [our_verdict(*both) for both in zip(every, files, strict=True)]
        theirs = asked.result()
    return [Judged(*three) for three in zip(every, theirs, ours, strict=True)]


@pytest.fixture(scope="module")
def listed() -> list[Difference]:
    return [Difference(*row[:5]) for row in ROW.findall(LIST.read_text(encoding="utf-8"))]


def covers(row: Difference, found: Difference) -> bool:
    """A row may say `…` for any text, where one sentence decides many."""
    return all(fnmatch.fnmatchcase(text, _glob(each)) for text, each in zip(found, row, strict=True))


def _glob(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text).replace("…", "*")


def test_our_verdict_and_theirs_agree_or_the_difference_is_listed(judged, listed):
    found = [each for one in judged for each in one.differences]
    unlisted = [each for each in found if not any(covers(row, each) for row in listed)]
    assert unlisted == [], "\n" + "\n".join(_as_row(each) for each in unlisted)


def test_no_listed_difference_has_vanished(judged, listed):
    found = [each for one in judged for each in one.differences]
    vanished = [row for row in listed if not any(covers(row, each) for each in found)]
    assert vanished == [], "\n" + "\n".join(_as_row(each) for each in vanished)


def _as_row(difference: Difference) -> str:
    pair, column, rule, theirs, ours = difference
    return f"| {pair} | `{column}` | `{rule}` | {theirs} | {ours} | ? |"


def test_every_difference_names_a_sentence_and_every_sentence_decides_something():
    text = LIST.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert len(rows) == text.count("` | `"), "a row of the list that cannot be read"
    assert {row[5] for row in rows} == set(REASON.findall(text))


def test_every_promise_is_kept_in_one_pair_and_broken_in_another(judged):
    results = [each for one in judged if one.ours is not None for each in one.ours.results]
    kept = {each.rule.split("(")[0] for each in results if each.holds}
    broken = {each.rule.split("(")[0] for each in results if not each.holds}
    assert PROMISES - kept == set()
    assert PROMISES - broken == set()
    assert {"columnMissing", "columnNotAgreed", "logicalType"} <= broken
    assert len(judged) >= 250


def test_contracts_that_we_ship_pass_their_lint(tmp_path):
    assert linted([product_contract(name) for name in product_names()], tmp_path) == {"passed"}


def test_drafts_that_we_write_pass_their_lint(world, tmp_path):
    made = pl.DataFrame({"whole": [1], "ratio": [0.5], "text": ["a"], "day": [date(2026, 3, 1)], "clock": [time(12)]})
    made.with_columns(moment=pl.col("day").cast(pl.Datetime("us", "UTC"))).write_parquet(tmp_path / "own.parquet")
    world.services.sources.add("own", str(tmp_path / "own.parquet"))
    drafts = [draft(world.services, AGREEMENT, "own", "fonds", (), "day")]
    for name in product_names():
        generate(name, tmp_path / f"{name}.parquet", 12, seed=1)
        world.services.sources.add(name, str(tmp_path / f"{name}.parquet"))
        drafts.append(draft(world.services, AGREEMENT, name, "fonds", (), None, name))
    assert linted([as_yaml(each).encode() for each in drafts], tmp_path) == {"passed"}


def linted(contracts, folder):
    """The results of their lint, with the reason of those that are no plain pass: a warning would show here too."""
    checks = [each for one in ask([lint_question(each) for each in contracts], folder) for each in one]
    assert len(checks) >= len(contracts)
    return {each["result"] if each["result"] == "passed" else (each["result"], each["reason"]) for each in checks}
