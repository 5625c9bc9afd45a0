"""Run as a program: plaintext comes in by a pipe and leaves by another, as an OpenPGP message.

Both paths that the binding is given are pipes: no plaintext meets a disk. Before the plaintext come four bytes of
length and that many bytes of JSON: the certificates to encrypt to, and perhaps the private key to sign with. It imports
nothing of ours, so that it starts fast, says nothing, and ends with 0 only if the message is complete.
"""

from __future__ import annotations

import base64
import json
import os
import sys

from pysequoia import Cert, Tsk, encrypt_file

_PREFIX = 4  # bytes, as in `keys.openpgp.process`


def main() -> None:
    task = json.loads(_exactly(int.from_bytes(_exactly(_PREFIX))))
    signer = Tsk.from_bytes(base64.b64decode(task["signer"])).signer() if task["signer"] else None
    recipients = [Cert.from_bytes(base64.b64decode(each)) for each in task["recipients"]]
    encrypt_file("/dev/stdin", "/dev/stdout", recipients, signer, armor=False)


def _exactly(count: int) -> bytes:
    """Read no byte more: what follows is for the other opening of the same pipe."""
    parts = []
    while count:
        part = os.read(0, count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # noqa: BLE001 - a trace could hold what nobody should read; the parent says what failed
        sys.exit(1)
