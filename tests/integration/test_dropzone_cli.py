"""`gla dropzone serve` as an operator starts it, in a home that does not exist yet."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import psutil
import pytest

pytestmark = pytest.mark.server

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "apps.cli.main", "dropzone", "serve", *arguments]
        environment = {**os.environ, "GLA_HOME": str(home), "GLA_DROPZONE__PORT": "0"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def announced(process: subprocess.Popen[str]) -> tuple[int, str]:
    line = process.stdout.readline()
    match = re.fullmatch(r"drop zone on 127\.0\.0\.1 port (\d+), host key (ssh-ed25519 \S+) \(SHA256:\S+\)\n", line)
    assert match, line
    return int(match[1]), match[2]


def shown_host_key(port: int) -> str:
    with paramiko.Transport(("127.0.0.1", port)) as transport:
        transport.start_client(timeout=60)
        key = transport.get_remote_server_key()
        return f"{key.get_name()} {key.get_base64()}"


def test_it_says_where_it_listens_and_with_which_key_and_stops_with_exit_0(start: Start, home: Path) -> None:
    process = start()
    port, key = announced(process)
    assert shown_host_key(port) == key
    assert psutil.Process(process.pid).num_threads() == 1  # or it could not fork
    psutil.wait_procs(psutil.Process(process.pid).children(), timeout=60)  # or they end with it, and do not say why
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    nobody, left = process.stderr.read().splitlines()
    assert nobody.endswith("accounts file cannot be read (FileNotFoundError): nobody can log in")
    assert re.search(r"address=127\.0\.0\.1: it left before it logged in \((EOFError|ConnectionResetError)\)$", left)

    port, same = announced(start("--port", "0"))
    assert shown_host_key(port) == same == key
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert not any(stat.S_IMODE(path.stat().st_mode) & 0o007 for path in home.rglob("*"))


def test_a_port_that_is_taken_is_one_sentence_and_exit_2(start: Start) -> None:
    port, _ = announced(start())
    second = start("--port", str(port))
    assert second.wait(timeout=60) == 2
    assert second.stderr.read().count("\n") == 1


def test_a_host_key_that_is_damaged_is_one_sentence_and_exit_30(start: Start, home: Path) -> None:
    process = start()
    announced(process)
    process.terminate()
    process.wait(timeout=60)
    (home / "keys" / "dropzone-host").write_text("damaged")
    again = start()
    assert again.wait(timeout=60) == 30
    assert again.stderr.read().count("\n") == 1


def said(process: subprocess.Popen[str], words: str) -> str:
    """The line of the log with these words; what comes before it is passed over."""
    return next(line for line in process.stderr if words in line)


def is_open(client: socket.socket, seconds: float) -> bool:
    """Whether the server keeps the connection for so long."""
    client.settimeout(seconds)
    try:
        while client.recv(1024):
            pass
    except TimeoutError:
        return True
    except ConnectionResetError:
        pass
    return False


def test_a_reload_takes_other_limits_for_who_comes_then_and_closes_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLA_LOG_LEVEL", "INFO")
    monkeypatch.setenv("GLA_DROPZONE__LOGIN_SECONDS", "500")
    file = tmp_path / "dropzone.env"
    file.write_text("GLA_DROPZONE__LOGIN_SECONDS=600\n")
    process = start("--settings", str(file))
    port, _ = announced(process)

    def reload(text: str) -> None:
        file.write_text(text)
        process.send_signal(signal.SIGHUP)

    with socket.create_connection(("127.0.0.1", port)) as first:
        assert is_open(first, 3)
        reload("GLA_DROPZONE__LOGIN_SECONDS=1\nGLA_DROPZONE__PORT=1\n")
        assert said(process, "reloaded")
        with socket.create_connection(("127.0.0.1", port)) as second:
            assert not is_open(second, 60)
        assert is_open(first, 1)
        reload("GLA_DROPZONE__LOGIN_SECONDS=never\n")
        assert "GLA_DROPZONE__LOGIN_SECONDS" in said(process, "the settings stay as they were")
        assert said(process, "reloaded")
        with socket.create_connection(("127.0.0.1", port)) as second:
            assert not is_open(second, 60)
        reload("GLA_DROPZONE__MAX_STRANGERS=1\n")
        assert said(process, "reloaded")
        with socket.create_connection(("127.0.0.1", port)):
            assert said(process, "it had not logged in, and makes room for others")
        file.unlink()
        process.send_signal(signal.SIGHUP)
        assert said(process, "dropzone.env cannot be read")
