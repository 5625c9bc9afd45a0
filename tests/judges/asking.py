"""Asks both: datacontract-cli in its own environment, once for all questions, and our own validator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from core.errors import GlaError
from core.period import Period
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.validation import Validator
from schemas.verdict import Verdict
from tests.judges.pairs import Pair

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".venv-judge" / "bin" / "python"
PERIOD = Period.parse("2026")  # of the made-up data of our products
_SECONDS = 500  # for all questions; alone on two cores they take a minute


def write(pair: Pair, folder: Path) -> Path:
    """The pair's data as a file of its kind."""
    file = folder / f"data-{len(list(folder.iterdir()))}"
    if isinstance(pair.data, str):
        file = file.with_suffix(".csv")
        file.write_text(pair.data, encoding="utf-8", newline="")
    else:
        file = file.with_suffix(".parquet")
        pair.data.write_parquet(file)
    return file


def question(pair: Pair, file: Path) -> dict[str, str]:
    server = {"server": "data", "type": "local", "path": str(file), "format": file.suffix.removeprefix(".")}
    return {"ask": "test", "contract": json.dumps(dict(pair.contract) | {"servers": [server]})}


def lint_question(contract: bytes) -> dict[str, str]:
    return {"ask": "lint", "contract": contract.decode()}


def ask(questions: Sequence[Mapping[str, str]], folder: Path) -> list[list[dict[str, Any]]]:
    """Their checks for each question. They get no settings of this machine, and no way to the network."""
    done = subprocess.run(
        [str(PROGRAM), str(Path(__file__).with_name("driver.py"))],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1", "TZ": "UTC"},
        timeout=_SECONDS,
    )
    answers: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return answers


def our_verdict(pair: Pair, file: Path) -> Verdict | None:
    """What `gla contract check` finds; None if it refuses the contract or the file."""
    try:
        return _judged(json.dumps(pair.contract).encode(), FileSource("pair", file))
    except GlaError:
        return None


def _judged(contract: bytes, source: FileSource) -> Verdict:
    compiled = compile_table(load_contract(contract).table)
    validator = Validator(compiled, PERIOD)
    stored = source.schema()
    planned = [column for column in planned_columns(compiled, delivered=set(stored)) if column.source_name in stored]
    types = {each.source_name: each.dtype for each in planned} if source.kind == "csv" else {}
    names = {each.source_name: each.name for each in planned}
    shape = {names.get(name, name): types.get(name, dtype) for name, dtype in stored.items()}
    validator.check(pl.DataFrame(schema=shape))
    for frame in source.batches(ExtractionPlan(tuple(planned)), validator.unreadable):
        validator.check(frame)
    return validator.finish()
