"""Opening OpenPGP messages with a private key (a transferable secret key), streaming, in a process of its own.

Sequoia holds back what fits in its buffer (25 MiB) until it has checked all of it; of a longer message, content comes
out before the end is checked. So whoever reads must not use it before the iteration has ended without an error.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pysequoia import Tsk
from pysequoia.packet import PacketPile, Tag

from core.errors import KeyUnusable
from keys.envelope.errors import NoMatchingKey, PayloadInvalid
from keys.envelope.reading import BinaryReader
from keys.envelope.seal import write_whole
from keys.openpgp.process import started, task_bytes
from keys.private.passphrase import AskPassphrase
from keys.private.secret import Secret

_PROGRAM = Path(__file__).with_name("openpgp_program.py")
_BLOCK = 1024 * 1024  # bytes
_ANOTHER_KEY = 2


class OpenPgpPrivateKey:
    """One private key; `repr` shows its fingerprint only."""

    def __init__(self, data: bytes, ask: AskPassphrase) -> None:
        """Read it, binary or armored; the passphrase is asked for only if there is one. Raises `KeyUnusable`."""
        fingerprint = _fingerprint(data)
        self.fingerprint = f"OPENPGP:{fingerprint.upper()}"
        passphrase = None
        if not _opens(data, None):
            passphrase = ask(f"OpenPGP key {self.fingerprint}")
            if not _opens(data, passphrase):
                raise KeyUnusable(
                    f"OpenPGP key {self.fingerprint}: the passphrase is wrong, or it has no valid key for encryption"
                )
        self._task = Secret(task_bytes({"key": base64.b64encode(data).decode(), "passphrase": passphrase}))

    def __repr__(self) -> str:
        return f"<private key of {self.fingerprint}>"

    def pieces(self, source: BinaryReader) -> Iterator[bytes]:
        """The content in pieces; `NoMatchingKey` for another's message, `PayloadInvalid` for a defect, at the end."""
        child, to_child, from_child = started(_PROGRAM)
        feeder = threading.Thread(target=_feed, args=(to_child, self._task, source), name="openpgp", daemon=True)
        feeder.start()
        try:
            while block := from_child.read(_BLOCK):
                yield block
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            feeder.join()
            from_child.close()
        if code == _ANOTHER_KEY:
            raise NoMatchingKey("none of the given private keys opens this file: it was sealed for another key")
        if code != 0:
            raise PayloadInvalid("the OpenPGP message is damaged or not whole: fetch the file again, or ask the sender")


def _feed(target: IO[bytes], task: Secret, source: BinaryReader) -> None:
    """A child that stops early says why by its code; a source that fails ends the message early, which is found out."""
    with suppress(OSError), target:
        write_whole(target, task.reveal())
        while block := source.read(_BLOCK):
            write_whole(target, block)


def _fingerprint(data: bytes) -> str:
    """Of the one key in `data`."""
    keys: list[str | None]
    try:
        keys = [packet.fingerprint for packet in PacketPile.from_bytes(data) if packet.tag == Tag.SecretKey]
    except Exception:  # noqa: BLE001 - the binding raises RuntimeError, or what it likes
        keys = []
    if len(keys) != 1 or keys[0] is None:
        raise KeyUnusable("this is not exactly one OpenPGP private key: export one with gpg --export-secret-keys")
    return keys[0]


def _opens(data: bytes, passphrase: str | None) -> bool:
    try:
        Tsk.from_bytes(data).decryptor(passphrase)
    except Exception:  # noqa: BLE001 - the binding raises RuntimeError, or what it likes
        return False
    return True
