"""SoftHSM2 tokens in a temporary folder. Its library reads the environment once, so all tests share one folder."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys.private import token as token_module

_PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib/*/libsofthsm2.so")
_numbers = itertools.count()
PIN = "4711"


@dataclass(frozen=True)
class SoftToken:
    """An initialised token, and how to name a key in it."""

    label: str
    module: Path
    pin_file: Path

    def uri(self, label: str = "key", **changes: str) -> str:
        query = {"module-path": str(self.module), "pin-source": f"file:{self.pin_file}"} | changes
        return f"pkcs11:token={self.label};object={label}?" + "&".join(f"{name}={it}" for name, it in query.items())


def module() -> Path:
    found = [path for place in _PLACES for path in Path("/").glob(place[1:])]
    assert found, "softhsm2-util is installed without its library"
    return found[0]


@pytest.fixture(scope="session")
def softhsm_environment(tmp_path_factory) -> Iterator[dict[str, str]]:
    """What a program needs in its environment to see the tokens; set for this process too."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    yield {"SOFTHSM2_CONF": str(configuration)}
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def make_token(require_program, softhsm_environment, tmp_path) -> Callable[[], SoftToken]:
    program = require_program("softhsm2-util")

    def make() -> SoftToken:
        label = f"token-{next(_numbers)}"
        pin_file = tmp_path / f"{label}.pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(f"{PIN}\n")
        subprocess.run(
            [program, "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", PIN],
            env={**os.environ, **softhsm_environment}, check=True, capture_output=True,
        )  # fmt: skip
        import pkcs11

        pkcs11.lib(str(module())).reinitialize()  # it sees new tokens only when it starts
        return SoftToken(label, module(), pin_file)

    return make


@pytest.fixture
def token(make_token) -> SoftToken:
    return make_token()


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of the keys for which a session was opened."""
    seen: list[str] = []
    real = token_module._session

    @contextmanager
    def counted(uri, **options):
        seen.append(uri.label)
        with real(uri, **options) as opened:
            yield opened

    monkeypatch.setattr(token_module, "_session", counted)
    return seen
