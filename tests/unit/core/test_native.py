"""Native libraries read what they are told when they are loaded, so whatever loads them must have said so before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.native import DEFAULTS

_WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, *_):
        if name in ("numpy", "polars"):
            print(*(os.environ.get(each) for each in sys.argv[2:]))
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


def told(module: str, **environment: str) -> set[str]:
    """What the environment says where `module` loads numpy and Polars."""
    clean = {name: value for name, value in os.environ.items() if name not in DEFAULTS}
    command = [sys.executable, "-c", _WATCH, module, *DEFAULTS]
    done = subprocess.run(command, env=clean | environment, check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines())


def assert_told(lines: set[str], values: dict[str, str]) -> None:
    assert lines
    expected = " ".join(values[name] for name in DEFAULTS)
    assert all(line.endswith(expected) for line in lines), "Polars puts its own before ours, which wins"


@pytest.mark.parametrize("module", ["schemas.bsn", "flows.sources.plan", "apps.cli.contract"])
def test_what_loads_them_has_said_it(module):
    assert_told(told(module), DEFAULTS)


def test_what_an_operator_set_stays():
    own = {"_RJEM_MALLOC_CONF": "narenas:3", "POLARS_ROW_GROUP_PREFETCH_SIZE": "3", "OPENBLAS_NUM_THREADS": "3"}
    assert_told(told("schemas.bsn", **own), own)
