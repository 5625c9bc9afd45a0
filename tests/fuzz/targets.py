"""What is tried on each made-up input, and what must hold: an answer or our refusal, soon, with no value in it."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl

from core.errors import DataError, GlaError, UnusableInput
from core.period import Period
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from schemas.compiler import CompiledTable, compile_table
from schemas.contract import load_contract, read_contract
from schemas.lint.findings import lint
from schemas.validation import Validator
from tests.fuzz import contracts, data_files

SECONDS = 3.0  # of processor time of the thread; most take a hundredth
PERIOD = Period.parse("2026-03")


class Finding(AssertionError):
    """What must not happen."""


def contract(seed: int) -> str:
    """Load, compile and try one made-up contract; says how far it came."""
    data = contracts.Maker(seed).contract()
    return _watched(lambda: _use_contract(data, linted=seed % 5 == 0), UnusableInput, contracts.CANARY)


def data_file(seed: int) -> str:
    """Check one made-up file against its contract, as `gla contract check` does."""
    contract_text, data, suffix = data_files.file_for(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{suffix}"
        path.write_bytes(data)
        return _watched(lambda: _use_data(contract_text, path), (UnusableInput, DataError), data_files.CANARY)


TARGETS: dict[str, Callable[[int], str]] = {"contract": contract, "data": data_file}


def _watched(use: Callable[[], str], refusals: type[GlaError] | tuple[type[GlaError], ...], canary: str) -> str:
    started = time.thread_time()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            outcome = use()
        except refusals as error:
            message = str(error)
            if canary in message or "\n" in message or error.__context__ is not None:
                raise Finding(f"a message with a value, a line break or a context: {message}") from None
            outcome = "refused"
        except BaseException as error:
            raise Finding(f"{type(error).__module__}.{type(error).__name__}: {error}") from error
    if warned:
        raise Finding(f"a warning: {warned[0].message}")
    seconds = time.thread_time() - started
    if seconds > SECONDS:
        raise Finding(f"{seconds:.1f} s")
    return outcome


def _use_contract(data: bytes, *, linted: bool) -> str:
    if linted and any(contracts.CANARY in _without_names(each.message) for each in lint(data)):
        raise AssertionError("a finding of lint shows a value")
    document = read_contract(data)
    reached = "read"
    for table in (document.get("schema") or [])[:3]:
        name = table.get("name")
        compiled = compile_table(load_contract(data, name).table)
        _judge_some_rows(compiled)
        reached = "compiled"
    return reached


def _without_names(message: str) -> str:
    """What a message says beside names, which it may tell: damaged text can have the canary as a column's name."""
    return message.replace(f"column {contracts.CANARY} ", "").replace(f"table {contracts.CANARY} ", "")


def _judge_some_rows(compiled: CompiledTable) -> None:
    """Whatever compiles must be able to judge: no rows, nulls, and values at the ends of each type."""
    validator = Validator(compiled, PERIOD)
    dtypes = dict(compiled.dtypes)
    validator.check(pl.DataFrame(schema=dtypes))
    validator.check(pl.DataFrame({name: pl.Series([None, None], dtype=dtype) for name, dtype in dtypes.items()}))
    validator.check(pl.DataFrame({name: pl.Series(_ends(dtype), dtype=dtype) for name, dtype in dtypes.items()}))
    validator.finish().as_json()


def _ends(dtype: pl.DataType) -> list[object]:
    """Three values of a type: its smallest, its largest and an ordinary one."""
    if isinstance(dtype, pl.List):
        inner = _ends(dtype.inner if isinstance(dtype.inner, pl.DataType) else dtype.inner())
        return [[], inner, [inner[0], None]]
    if isinstance(dtype, pl.Struct):
        fields = {
            each.name: _ends(each.dtype if isinstance(each.dtype, pl.DataType) else each.dtype())
            for each in dtype.fields
        }
        return [{name: values[at] for name, values in fields.items()} for at in range(3)]
    if dtype.is_float():
        return [float("nan"), float("-inf"), 1.5]
    if dtype == pl.String:
        return ["", "a\0\U0001f600", "20260131"]
    if dtype == pl.Boolean:
        return [True, False, True]
    ends = pl.select(low=pl.lit(None, dtype).lower_bound() if dtype.is_integer() else pl.lit(0).cast(dtype))
    high = pl.lit(None, dtype).upper_bound() if dtype.is_integer() else pl.lit(10_000).cast(dtype)
    return [ends.item(), pl.select(high).item(), pl.select(pl.lit(7).cast(dtype)).item()]


def _use_data(contract_text: bytes, path: Path) -> str:
    compiled = compile_table(load_contract(contract_text).table)
    validator = Validator(compiled)
    source = FileSource("DATA", path, verify=True)
    stored = source.schema()
    planned = [each for each in planned_columns(compiled, delivered=set(stored)) if each.source_name in stored]
    if not planned:
        return "no columns"
    types = {each.source_name: each.dtype for each in planned} if source.kind == "csv" else {}
    validator.check(pl.DataFrame(schema={name: types.get(name, dtype) for name, dtype in stored.items()}))
    for frame in source.batches(ExtractionPlan(tuple(planned)), validator.unreadable):
        validator.check(frame)
    return "valid" if validator.finish().valid else "judged"
