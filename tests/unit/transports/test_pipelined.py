"""What a server may not make our SFTP client collect: whoever owns a destination may answer as it likes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, cast

import paramiko
import pytest
from paramiko import sftp

import transports.pipelined
from transports.pipelined import PipelinedClient

HANDLE = (sftp.CMD_HANDLE, struct.pack(">I", 1) + b"h")
OK, END = ((sftp.CMD_STATUS, struct.pack(">III", code, 0, 0)) for code in (sftp.SFTP_OK, sftp.SFTP_EOF))


class Server:
    """One that gives these answers, in their order, whatever it is asked."""

    def __init__(self, answers: Iterator[tuple[int, bytes]]) -> None:
        self._answers, self._out = answers, b""

    def get_name(self) -> str:
        return "it"

    def send(self, data: Any) -> int:
        if data[4] == sftp.CMD_INIT:
            self._out += struct.pack(">IBI", 5, sftp.CMD_VERSION, 3)
        else:
            kind, rest = next(self._answers)
            self._out += struct.pack(">IB", len(rest) + 5, kind) + data[5:9] + rest
        return len(data)

    def recv(self, size: int) -> bytes:
        taken, self._out = self._out[:size], self._out[size:]
        return taken


def client(*answers: tuple[int, bytes]) -> PipelinedClient:
    return PipelinedClient(cast("paramiko.Channel", Server(iter(answers))))


def names(count: int, *entries: bytes) -> tuple[int, bytes]:
    listed = b"".join(struct.pack(">I", len(name)) + name + struct.pack(">II", 0, 0) for name in entries)
    return sftp.CMD_NAME, struct.pack(">I", count) + listed


def test_a_folder_is_listed_to_its_end() -> None:
    listed = client(HANDLE, names(3, b".", b"..", b"a"), names(0), names(1, b"b"), END, OK).listdir("/x")
    assert listed == ["a", "b"]


@pytest.mark.parametrize("count", [2, 1000, 2**32 - 1])
def test_more_names_than_there_are_end_the_connection(count: int) -> None:
    with pytest.raises(paramiko.SSHException):
        client(HANDLE, names(count, b"a")).listdir("/x")


def test_endless_attributes_end_the_connection() -> None:
    attributes = struct.pack(">II", paramiko.SFTPAttributes.FLAG_EXTENDED, 2**32 - 1)
    with pytest.raises(paramiko.SSHException):
        client((sftp.CMD_ATTRS, attributes)).stat("/x")


@pytest.mark.parametrize("answer", [names(0), names(1, b"a"), names(1, b"a" * 30_000)])
def test_a_folder_without_an_end_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    monkeypatch.setattr(transports.pipelined, "_LISTING_BYTES", 100_000)
    with pytest.raises(paramiko.SSHException, match="no end"):
        client(HANDLE, *[answer] * 1000).listdir("/x")


def test_an_answer_of_megabytes_ends_the_connection() -> None:
    with pytest.raises(paramiko.SSHException, match="too large"):
        client((sftp.CMD_HANDLE, struct.pack(">I", 2**20) + bytes(2**20))).listdir("/x")
