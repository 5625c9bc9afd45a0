"""Our top-level packages have everyday names, so no other installed distribution may own one of them."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "packages"
]


def test_no_other_distribution_owns_one_of_our_names():
    owners = importlib.metadata.packages_distributions()
    foreign = {name: set(owners.get(name, [])) - {"gla"} for name in PACKAGES}
    assert {name: others for name, others in foreign.items() if others} == {}


def test_every_package_of_the_repository_is_in_the_wheel():
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == set(PACKAGES)


def test_no_module_is_longer_than_a_reader_can_hold():
    long = [
        path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if len(path.read_text().splitlines()) > 400
    ]
    assert long == []


def test_locks_name_no_host():
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert text.count("--hash=sha256:") > 100
