"""Errors that leave without the local variables of where they arose, for functions that are given keys."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from core.errors import GlaError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def discreet(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """What an error tracker prints of a trace, or keeps of an exception, then holds no key that was just being read.

    Other exceptions than ours pass as they are: they are defects, and where they arose is needed to find them.
    """

    @functools.wraps(function)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except GlaError as error:
            failure = error.with_traceback(None)
        del args, kwargs
        raise failure

    return called
