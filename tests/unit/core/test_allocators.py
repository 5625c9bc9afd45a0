"""Polars reads how it handles memory when it is loaded, so whatever loads it must have said so before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "polars":
            print(os.environ.get("_RJEM_MALLOC_CONF"))
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


def loaded(module: str, **environment: str) -> list[str]:
    """What the environment says when `module` loads Polars."""
    clean = {name: value for name, value in os.environ.items() if name != "_RJEM_MALLOC_CONF"}
    command = [sys.executable, "-c", _WATCH, module]
    return subprocess.run(command, env=clean | environment, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.parametrize("module", ["schemas.bsn", "flows.sources.plan", "apps.cli.contract"])
def test_what_loads_polars_has_said_how_memory_is_given_back(module):
    assert loaded(module) == ["dirty_decay_ms:100,muzzy_decay_ms:0"]


def test_what_an_operator_set_stays():
    assert loaded("schemas.bsn", _RJEM_MALLOC_CONF="narenas:1") == ["narenas:1"]
