"""The SSH packets (RFC 4253, section 6) of one connection: paramiko's, with less work for each byte that is sent.

Our drop zone has them, and so has what we send to others. What is sent goes from one buffer through the cipher into
another and onto the wire, many packets at once; paramiko would copy it about ten times. What comes in is read ahead,
and a packet that is larger than any we accept ends the connection: paramiko would collect four gigabytes from a
stranger before it looks at them. So does one that is shorter than it says: see `Received`.

This module uses internals of `paramiko.packet.Packetizer`; the lock pins its version, and clients judge the result.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, cMSG_CHANNEL_DATA, xffffffff
from paramiko.packet import NeedRekeyException, Packetizer

_LARGEST_PACKET = 64 * 1024  # bytes; we announce that we take 32 KiB of data in one
_LONGEST_GREETING = 16 * 1024  # bytes that are read for the first line, of at most 255 (RFC 4253, section 4.2)
_AHEAD_BYTES = 64 * 1024
_HEADER = struct.Struct(">IBBII")  # packet length, padding length, message, channel, data length
_LENGTH = 4  # bytes of the packet length, which is authenticated and not encrypted
_BLOCK = 16
_TAG = 16


@dataclass(frozen=True)
class ChannelData:
    """`data` for a channel of the other side, in messages of these sizes, which together are its length."""

    channel: int
    data: memoryview
    sizes: list[int]

    def pieces(self) -> Iterator[memoryview]:
        at = 0
        for size in self.sizes:
            yield self.data[at : at + size]
            at += size


class Received(paramiko.Message):
    """A message from the other side, which ends where its bytes do; SSHException for who asks for more.

    paramiko goes on with zeros. A few bytes that tell of four billion items would be taken for as many.
    """

    def get_bytes(self, n: int) -> bytes:
        taken = self.packet.read(n)
        if len(taken) < n:
            raise paramiko.SSHException("a message is shorter than it says")
        return taken


class Packets(Packetizer):
    """`send_message` also takes `ChannelData`."""

    if TYPE_CHECKING:
        _Packetizer__write_lock: threading.RLock
        _Packetizer__iv_out: bytes
        _Packetizer__sequence_number_out: int
        _Packetizer__sent_bytes: int
        _Packetizer__sent_packets: int

        def _inc_iv_counter(self, iv: bytes) -> bytes: ...
        def _trigger_rekey(self) -> None: ...
        def _check_keepalive(self) -> None: ...

    def __init__(self, wire: socket.socket) -> None:
        super().__init__(wire)
        self._wire = wire
        self._gcm: Any = None  # what seals outgoing packets, if the cipher is of that kind
        self._plain = memoryview(bytearray())
        self._sealed = memoryview(bytearray())
        self._reads_ahead = False
        self._ahead = bytearray()
        self._received = memoryview(bytearray(_AHEAD_BYTES))
        self._greeting = 0

    @property
    def heard(self) -> bool:
        """Whether the client ever said anything."""
        return self._greeting > 0

    def set_outbound_cipher(self, *args: Any, **kwargs: Any) -> None:
        super().set_outbound_cipher(*args, **kwargs)
        self._gcm = kwargs["block_engine"] if kwargs["aead"] else None

    def set_inbound_cipher(self, *args: Any, **kwargs: Any) -> None:
        super().set_inbound_cipher(*args, **kwargs)
        self._reads_ahead = True  # by now paramiko has used up what it read together with the client's first line

    def send_message(self, data: Any) -> None:
        if not isinstance(data, ChannelData):
            super().send_message(data)
        elif self._gcm is None:
            for piece in data.pieces():
                super().send_message(_message(data.channel, piece))
        else:
            with self._Packetizer__write_lock:
                self._send_sealed(data)

    def _send_sealed(self, data: ChannelData) -> None:
        """AES-GCM as OpenSSH has it (RFC 5647, section 7), for all packets in one write."""
        self._make_room(data.sizes)
        plain, sealed, end = self._plain, self._sealed, 0
        for piece in data.pieces():
            size = len(piece)
            padding = 3 + _BLOCK - (_HEADER.size + size - 1) % _BLOCK
            length = _HEADER.size - _LENGTH + size + padding
            _HEADER.pack_into(plain, 0, length, padding, MSG_CHANNEL_DATA, data.channel, size)
            plain[_HEADER.size : _HEADER.size + size] = piece
            plain[_HEADER.size + size : _LENGTH + length] = bytes(padding)
            sealed[end : end + _LENGTH] = plain[:_LENGTH]
            end += _LENGTH
            target = sealed[end : end + length + _TAG]
            self._gcm.encrypt_into(self._Packetizer__iv_out, plain[_LENGTH : _LENGTH + length], plain[:_LENGTH], target)
            self._Packetizer__iv_out = self._inc_iv_counter(self._Packetizer__iv_out)
            end += length + _TAG
        self._Packetizer__sequence_number_out = (self._Packetizer__sequence_number_out + len(data.sizes)) & xffffffff
        self.write_all(sealed[:end])
        self._Packetizer__sent_bytes += end
        self._Packetizer__sent_packets += len(data.sizes)
        if self._Packetizer__sent_bytes >= self.REKEY_BYTES and not self.need_rekey():
            self._trigger_rekey()

    def _make_room(self, sizes: list[int]) -> None:
        overhead = _HEADER.size + 2 * _BLOCK + _TAG
        if len(self._plain) < max(sizes) + overhead:
            self._plain = memoryview(bytearray(max(sizes) + overhead))
        if len(self._sealed) < sum(sizes) + overhead * len(sizes):
            self._sealed = memoryview(bytearray(sum(sizes) + overhead * len(sizes)))

    def read_message(self) -> tuple[int, paramiko.Message]:
        kind, message = super().read_message()
        received = Received(message.asbytes())
        received.seqno = message.seqno
        return kind, received

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """The next `n` bytes; EOFError at the end of the connection."""
        if n > _LARGEST_PACKET:
            raise paramiko.SSHException("a packet is too large")
        if not self._reads_ahead:
            return super().read_all(n, check_rekey)
        while len(self._ahead) < n:
            self._read_more(check_rekey=check_rekey and not self._ahead)
        taken = bytes(self._ahead[: max(n, 0)])
        del self._ahead[: max(n, 0)]
        return taken

    def _read_timeout(self, timeout: float) -> bytes:
        """Some bytes of the client's first line, which paramiko would let grow without end."""
        some: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeting += len(some)
        if self._greeting > _LONGEST_GREETING:
            raise paramiko.SSHException("no greeting")
        return some

    def _read_more(self, *, check_rekey: bool) -> None:
        if self.handshake_timed_out():
            raise EOFError
        try:
            count = self._wire.recv_into(self._received)
        except TimeoutError:
            if self.closed:
                raise EOFError from None
            if check_rekey and self.need_rekey():
                raise NeedRekeyException from None
            self._check_keepalive()
            return
        except OSError:
            if self.closed:
                raise EOFError from None
            raise
        if count == 0:
            raise EOFError
        self._ahead += self._received[:count]


def send(channel: paramiko.Channel, data: memoryview) -> Iterator[int]:
    """Send all of it on a channel whose transport has `Packets`; yields how many bytes went with each write.

    OSError or EOFError if the channel is closed meanwhile.
    """
    while data:
        sizes = _reserve(channel, len(data))
        total = sum(sizes)
        if total == 0:
            raise EOFError
        transport: Any = channel.transport
        transport._send_user_message(ChannelData(channel.remote_chanid, data[:total], sizes))  # noqa: SLF001
        data = data[total:]
        yield total


def _reserve(channel: Any, wanted: int) -> list[int]:
    """The sizes of the messages that the client takes now; waits until it takes one."""
    sizes: list[int] = []
    with channel.lock:
        if channel.closed:
            raise OSError("the channel is closed")
        while wanted and (not sizes or channel.out_window_size):
            size = channel._wait_for_send_window(wanted)  # noqa: SLF001
            if size == 0:
                break
            sizes.append(size)
            wanted -= size
    return sizes


def _message(channel: int, piece: memoryview) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_DATA)
    message.add_int(channel)
    message.add_string(bytes(piece))
    return message
