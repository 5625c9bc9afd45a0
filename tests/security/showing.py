"""What Python, pytest, rich and pickle would show of an object or of an exception, written to files to be searched."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import pprint
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

TESTS = str(Path(__file__).resolve().parents[1])
_DEPTH = 6
_PACKAGES = ("core", "schemas", "keys", "transports", "agreements", "ledger", "flows", "apps")


def of_object(value: Any, depth: int = _DEPTH) -> Iterator[bytes]:
    """All that shows of a value by itself: its texts, its fields and theirs, its copies to elsewhere."""
    for show in (repr, str, format, ascii, pprint.pformat, pretty_repr):
        with suppress(Exception):
            yield show(value).encode("utf-8", "surrogateescape")
    if isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value)
    with suppress(Exception):
        yield pickle.dumps(value)
    with suppress(Exception):
        yield repr(value.__reduce_ex__(4)).encode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        with suppress(Exception):
            yield repr(dataclasses.asdict(value)).encode()
    if depth:
        for part in _parts(value):
            yield from of_object(part, depth - 1)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from copy.copy(value).values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from list(value)
    elif is_ours(type(value)):
        yield from dict(getattr(value, "__dict__", {})).values()
        for kind in type(value).__mro__:
            for name in _names(kind):
                with suppress(AttributeError):
                    yield getattr(value, name)


def _names(kind: type) -> Iterator[str]:
    slots = kind.__dict__.get("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        private = name.startswith("__") and not name.endswith("__")
        yield f"_{kind.__name__.lstrip('_')}{name}" if private else name


def is_ours(kind: type, packages: tuple[str, ...] = _PACKAGES) -> bool:
    return str(getattr(kind, "__module__", "")).split(".")[0] in packages


def of_exception(error: BaseException) -> Iterator[bytes]:
    """An exception and those that it drags along; traces without local variables."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        waiting += [each.__cause__, each.__context__]
        yield from of_object(each)
        yield from of_object(each.args)
        yield from of_object(vars(each))
        yield "".join(traceback.format_exception(each)).encode()


def of_locals(error: BaseException) -> Iterator[bytes]:
    """Traces with the local variables of our frames, as rich, pytest and error trackers print them."""
    trace = without_tests(error.__traceback__)
    with suppress(AttributeError):  # the `repr` of an object that was never completed
        detailed = traceback.TracebackException(type(error), error, trace, capture_locals=True)
        yield "".join(detailed.format()).encode()
    console = Console(file=io.StringIO(), width=4000)
    extracted = Traceback.extract(
        type(error), error, trace, show_locals=True, locals_max_length=10_000, locals_max_string=1_000_000
    )
    console.print(Traceback(extracted, show_locals=True, width=4000, max_frames=1000))
    yield console.file.getvalue().encode()  # type: ignore[attr-defined]
    while trace is not None:
        for value in dict(trace.tb_frame.f_locals).values():
            yield from of_object(value, 3)
        trace = trace.tb_next


def without_tests(trace: TracebackType | None) -> TracebackType | None:
    """From the first frame that is not a test's own, where the planted secrets stand."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(TESTS):
        trace = trace.tb_next
    return trace
