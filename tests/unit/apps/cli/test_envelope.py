"""`gla envelope` as a program: exit codes, files, pipes and terminals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.cli.envelope import envelope
from keys.private.identities import Identity, generate_identity

ROOT = Path(__file__).resolve().parents[4]
GLA = (sys.executable, "-m", "apps.cli.main", "envelope")
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def gla(tmp_path: Path) -> Run:
    """Runs `gla envelope ARGUMENTS` in an empty folder."""

    def run(*arguments: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*GLA, *arguments], input=data, capture_output=True, cwd=tmp_path, env=environment, check=False
        )

    return run


@pytest.fixture(scope="module")
def identity() -> Identity:
    return generate_identity("hybrid")


@pytest.fixture
def key(identity: Identity, tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(identity.secret_text())
    return path


def test_a_pipe_through_both_gives_the_same(gla: Run, identity: Identity, key: Path) -> None:
    for options in ((), ("-a",), ("-o", "-"), ("-a", "-")):
        sealed = gla("encrypt", "-r", str(identity.recipient), *options, data=b"content" * 100_000)
        assert sealed.returncode == 0, sealed.stderr
        assert sealed.stdout.startswith(b"-----BEGIN AGE" if "-a" in options else b"age-encryption.org/v1\n")
        opened = gla("decrypt", "-i", key, data=sealed.stdout)
        assert (opened.returncode, opened.stdout, opened.stderr) == (0, b"content" * 100_000, b"")


def test_files_are_read_and_written(gla: Run, identity: Identity, key: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"content")
    assert gla("encrypt", "-r", str(identity.recipient), "-o", "sealed", "in").returncode == 0
    assert gla("decrypt", "-i", key, "-o", "out", "sealed").returncode == 0
    assert (tmp_path / "out").read_bytes() == b"content"
    assert gla("decrypt", "-i", "-", "sealed", data=key.read_bytes()).stdout == b"content"


@pytest.mark.parametrize("options", [(), ("--x25519",)])
def test_keygen_makes_a_key_file_that_only_its_owner_reads(options: tuple[str, ...], gla: Run, tmp_path: Path) -> None:
    made = gla("keygen", *options, "-o", "new.txt")
    assert (made.returncode, made.stdout) == (0, b"")
    assert (tmp_path / "new.txt").stat().st_mode & 0o777 == 0o600
    recipient = made.stderr.decode().removeprefix("Public key: ").strip()
    assert recipient.startswith("age1pq1") is not bool(options)
    assert f"# public key: {recipient}\n" in (tmp_path / "new.txt").read_text()
    assert b"AGE-SECRET" not in made.stderr
    sealed = gla("encrypt", "-r", recipient, data=b"content").stdout
    assert gla("decrypt", "-i", "new.txt", data=sealed).stdout == b"content"


def test_keygen_never_overwrites_a_key(gla: Run, key: Path) -> None:
    before = key.read_bytes()
    assert gla("keygen", "-o", key).returncode == 2
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda sealed: sealed[:-1], 36),
        (lambda sealed: sealed + b"x", 36),
        (lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), 36),
        (lambda sealed: sealed.replace(b"--- ", b"-> x\n\n--- ", 1), 34),
        (lambda sealed: sealed[1:], 33),
        (lambda _: b"", 33),
        (lambda _: b"-----BEGIN AGE ENCRYPTED FILE-----\n", 37),
    ],
)
def test_a_damaged_file_has_its_own_exit_code_and_leaves_no_output(
    damage: Callable[[bytes], bytes], code: int, gla: Run, identity: Identity, key: Path, tmp_path: Path
) -> None:
    sealed = gla("encrypt", "-r", str(identity.recipient), data=b"content").stdout
    (tmp_path / "sealed").write_bytes(damage(sealed))
    before = sorted(path.name for path in tmp_path.iterdir())
    done = gla("decrypt", "-i", key, "-o", "out", "sealed")
    assert done.returncode == code
    assert done.stderr.startswith(b"Error: ")
    assert b"Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_failure_keeps_the_output_that_was_there(gla: Run, key: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"earlier")
    assert gla("decrypt", "-i", key, "-o", "out", data=b"nonsense").returncode == 33
    assert (tmp_path / "out").read_bytes() == b"earlier"


def test_another_key_does_not_open(gla: Run, identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(generate_identity("x25519").secret_text())
    sealed = gla("encrypt", "-r", str(identity.recipient), data=b"content").stdout
    assert gla("decrypt", "-i", "other", data=sealed).returncode == 35


def test_a_private_key_as_recipient_is_refused_and_not_shown(gla: Run, identity: Identity) -> None:
    done = gla("encrypt", "-r", identity.secret_text(), data=b"content")
    assert (done.returncode, done.stdout) == (30, b"")
    assert identity.secret_text()[20:].encode() not in done.stderr


def test_mixed_strengths_are_refused_and_leave_no_output(gla: Run, identity: Identity, tmp_path: Path) -> None:
    other = generate_identity("x25519").recipient
    done = gla("encrypt", "-r", str(identity.recipient), "-r", str(other), "-o", "out", data=b"content")
    assert done.returncode == 30
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("encrypt",),
        ("decrypt",),
        ("decrypt", "-i", "absent"),
        ("decrypt", "-i", "key.txt", "absent"),
        ("decrypt", "-i", "key.txt", "-o", "absent/out", "key.txt"),
        ("decrypt", "-i", "key.txt", "-o", "key.txt", "key.txt"),
        ("decrypt", "-i", "-"),
        ("decrypt", "-i", "key.txt", "."),
    ],
)
def test_unusable_arguments_are_explained_in_a_sentence(arguments: tuple[str, ...], gla: Run, key: Path) -> None:
    before = key.read_bytes()
    done = gla(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Error: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert key.read_bytes() == before


@pytest.mark.parametrize(("options", "code"), [((), 2), (("-a",), 0), (("-o", "-"), 0)])
def test_binary_goes_to_a_terminal_only_on_insistence(options: tuple[str, ...], code: int, identity: Identity) -> None:
    ours, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [*GLA, "encrypt", "-r", str(identity.recipient), *options],
            input=b"content",
            stdout=terminal,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    finally:
        os.close(ours)
        os.close(terminal)
    assert done.returncode == code, done.stderr


def test_a_full_disk_is_named_and_leaves_no_output(gla: Run, identity: Identity) -> None:
    done = gla("encrypt", "-r", str(identity.recipient), "-o", "/dev/full", data=b"content")
    assert done.returncode == 50
    assert Path("/dev/full").is_char_device()


def test_a_reader_that_went_away_is_no_traceback(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(5_000_000))
    script = '"$@" | head -c 10 > /dev/null; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "-", *GLA, "encrypt", "-r", str(identity.recipient), str(tmp_path / "in")],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


def test_every_command_explains_itself() -> None:
    assert sorted(envelope.commands) == ["decrypt", "encrypt", "inspect", "keygen"]
    assert all(command.help for command in envelope.commands.values())


def test_a_file_is_inspected_without_a_key(gla: Run, identity: Identity) -> None:
    sealed = gla("encrypt", "-a", "-r", str(identity.recipient), "-r", str(identity.recipient), data=b"content").stdout
    told = gla("inspect", data=sealed)
    assert (told.returncode, told.stderr) == (0, b"")
    assert told.stdout.decode().split("\n") == [
        "recipients:   2",
        "  2 x mlkem768x25519",
        "post-quantum: yes",
        "armored:      yes",
        "content:      7 bytes in 1 chunks",
        "",
    ]
    fields = json.loads(gla("inspect", "--json", data=sealed).stdout)
    assert fields["stanza_types"] == ["mlkem768x25519"] * 2
    assert (fields["postquantum"], fields["armor"], fields["chunks"]) == ("yes", True, 1)
    assert gla("inspect", data=b"no age file").returncode == 33


def test_neither_a_wrong_setting_nor_the_heavy_libraries_stand_in_the_way(identity: Identity) -> None:
    command = (
        "import sys; from apps.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'pydantic', 'sqlalchemy', 'pysequoia', 'cryptography.x509'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", command, "envelope", "encrypt", "-r", str(identity.recipient), "-o", os.devnull]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLA_DROPZONE__PORT": "no number"}
    done = subprocess.run(words, input=b"content", capture_output=True, env=environment, check=True)
    assert done.stdout == b"[]\n"
