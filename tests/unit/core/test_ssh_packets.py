"""Our packets, read by paramiko's own reader, and what a stranger may not make us collect."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import paramiko
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paramiko.common import MSG_CHANNEL_DATA, cMSG_IGNORE
from paramiko.packet import Packetizer

from core.ssh_packets import ChannelData, Packets, Received
from tests.soak import examples

IV = bytes(5) + b"\xff" * 6 + b"\xfd"  # so that its counter carries

SIZES = st.lists(st.integers(1, 9000), min_size=1, max_size=5)


@pytest.fixture
def pair() -> Iterator[tuple[Packets, Packetizer]]:
    """What we send over GCM, and paramiko's reader of it."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.settimeout(0.1)
    ours, theirs = Packets(near), Packetizer(far)
    key = AESGCM(bytes(32))
    kind = {"block_size": 16, "mac_engine": None, "mac_size": 16, "mac_key": None, "etm": False, "aead": True}
    for packets in (ours, theirs):
        packets.set_outbound_cipher(block_engine=key, iv_out=IV, **kind)
        packets.set_inbound_cipher(block_engine=key, iv_in=IV, **kind)
    with near, far:
        yield ours, theirs


def received(theirs: Packetizer, number: int) -> list[tuple[int, bytes]]:
    """The channel and the data of so many messages."""
    messages = []
    for _ in range(number):
        kind, message = theirs.read_message()
        assert kind == MSG_CHANNEL_DATA
        messages.append((message.get_int(), message.get_binary()))
        assert message.get_remainder() == b""
    return messages


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(1, 9000), min_size=1, max_size=5), min_size=1, max_size=4), st.integers(0, 2**32 - 1)
)
def test_paramiko_reads_what_we_send_many_at_once(
    pair: tuple[Packets, Packetizer], batches: list[list[int]], channel: int
) -> None:
    ours, theirs = pair
    for sizes in batches:
        data = os.urandom(sum(sizes))
        ours.send_message(ChannelData(channel, memoryview(data), sizes))  # fits into the buffer of the socket
        assert received(theirs, len(sizes)) == [
            (channel, data[sum(sizes[:n]) : sum(sizes[: n + 1])]) for n in range(len(sizes))
        ]


def test_our_packets_and_those_of_paramiko_go_on_after_each_other(pair: tuple[Packets, Packetizer]) -> None:
    ours, theirs = pair
    ignored = paramiko.Message()
    ignored.add_byte(cMSG_IGNORE)
    ignored.add_string(b"x")
    for number in range(5):
        ours.send_message(ChannelData(7, memoryview(b"ab"), [1, 1]))
        ours.send_message(ignored)
        assert received(theirs, 2) == [(7, b"a"), (7, b"b")]
        _, message = theirs.read_message()
        assert message.seqno == 3 * number + 2


def test_what_is_sent_counts_for_new_keys(pair: tuple[Packets, Packetizer], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pair
    monkeypatch.setattr(Packets, "REKEY_BYTES", 3000)
    for due in (False, False, True):
        assert not ours.need_rekey()
        ours.send_message(ChannelData(7, memoryview(bytes(1000)), [1000]))
        received(theirs, 1)
        assert ours.need_rekey() is due


def test_what_arrives_together_is_read_one_by_one(pair: tuple[Packets, Packetizer]) -> None:
    ours, theirs = pair
    for number in range(20):
        message = paramiko.Message()
        message.add_byte(bytes([94]))
        message.add_int(number)
        message.add_string(os.urandom(100 * number))
        theirs.send_message(message)
    assert [ours.read_message()[1].get_int() for _ in range(20)] == list(range(20))


def test_a_packet_that_says_it_is_of_four_gigabytes_is_refused_before_it_is_collected() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(struct.pack(">I", 2**32 - 4) + bytes(100))
        with pytest.raises(paramiko.SSHException, match="too large"):
            Packets(near).read_message()


def test_a_first_line_without_end_is_refused() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"x" * 20_000)
        with pytest.raises(paramiko.SSHException, match="no greeting"):
            Packets(near).readline(10)


def test_a_message_ends_where_its_bytes_end(pair: tuple[Packets, Packetizer]) -> None:
    ours, theirs = pair
    theirs.send_message(paramiko.Message(bytes([MSG_CHANNEL_DATA]) + struct.pack(">II", 7, 2**32 - 1) + b"x"))
    kind, message = ours.read_message()
    assert (kind, message.get_int(), message.seqno) == (MSG_CHANNEL_DATA, 7, 0)
    with pytest.raises(paramiko.SSHException, match="shorter than it says"):
        message.get_binary()


@pytest.mark.parametrize("read", ["get_byte", "get_boolean", "get_int", "get_int64", "get_string", "get_text"])
def test_of_a_message_that_is_over_nothing_is_read(read: str) -> None:
    with pytest.raises(paramiko.SSHException):
        getattr(Received(b""), read)()
