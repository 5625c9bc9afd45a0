"""Sealing an OpenPGP message (RFC 9580) as it is written, in bounded memory, for one or more certificates.

The encryption runs in a process of its own, see `keys.openpgp.process`. Which kind of integrity the message has is the
certificates' choice: AEAD (SEIPD version 2) if all of them announce it, else the older MDC (version 1).
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import IO

from core.errors import KeyUnusable, Unexpected
from keys.envelope.seal import BinaryWriter, write_whole
from keys.openpgp.certificate import OpenPgpCertificate
from keys.openpgp.process import started, task_bytes
from keys.whole import WholeOrNothing

_BLOCK = 1024 * 1024  # bytes read at once from the child
_PROGRAM = Path(__file__).with_name("seal_program.py")


class OpenPgpSealer(WholeOrNothing):
    """A write-only binary file. `KeyUnusable` for certificates not in force; errors of `target` pass.

    `signer` is our private key (a binary transferable secret key), or None for a message without a signature.
    """

    def __init__(
        self,
        target: BinaryWriter,
        recipients: Sequence[OpenPgpCertificate],
        now: datetime,
        signer: bytes | None = None,
    ) -> None:
        super().__init__()
        _check_strength(recipients)
        task = {
            "recipients": [_text(recipient.sealing_packets(now)) for recipient in recipients],
            "signer": signer and _text(signer),
        }
        self._target = target
        self._failed: BaseException | None = None
        self._child, self._to_child, from_child = started(_PROGRAM)
        self._copier = threading.Thread(target=self._copy, args=(from_child,), name="openpgp", daemon=True)
        self._copier.start()
        try:
            self._take(memoryview(task_bytes(task)))
        except BaseException:
            self.abandon()
            raise

    def _take(self, data: memoryview) -> None:
        try:
            write_whole(self._to_child, data)
            return
        except OSError:  # the child is gone
            pass
        self._drop()
        raise self._failed or _stopped()

    def _finish(self) -> None:
        try:
            self._to_child.close()
            self._copier.join()
            if self._failed is not None:
                raise self._failed
            if self._child.wait() != 0:
                raise _stopped()
        finally:
            self._drop()

    def _drop(self) -> None:
        """The child is killed before its input ends, or it would complete the message."""
        self._child.kill()
        self._child.wait()
        self._to_child.close()
        self._copier.join()

    def _copy(self, source: IO[bytes]) -> None:
        """From the child to the target, in a thread of its own; after a failure only the child is stopped."""
        try:
            with source:
                while block := source.read(_BLOCK):
                    if not self._abandoned:
                        write_whole(self._target, block)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that can act on it
            self._failed = error
            self._child.kill()


def _stopped() -> Unexpected:
    return Unexpected("the OpenPGP encryption stopped before its end: resume, and if it stays look at the system's log")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _check_strength(recipients: Sequence[OpenPgpCertificate]) -> None:
    if not recipients:
        raise KeyUnusable("there is no public key to seal to")
    if len({recipient.is_hybrid for recipient in recipients}) > 1:
        raise KeyUnusable("certificates with and without ML-KEM keys may not share a file: keep one kind")
