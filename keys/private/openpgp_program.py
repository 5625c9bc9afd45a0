"""Run as a program: an OpenPGP message comes in by a pipe and its content leaves by another.

As `keys/openpgp/seal_program.py`: the task is the private key and its passphrase. Ends with 0 if the message was whole,
with 2 if it is for another key.
"""

from __future__ import annotations

import base64
import json
import os
import sys

from pysequoia import Tsk, decrypt_file

_PREFIX = 4  # bytes, as in `keys.openpgp.process`
_ANOTHER_KEY = 2
_DEFECT = 1


def main() -> None:
    task = json.loads(_exactly(int.from_bytes(_exactly(_PREFIX))))
    decryptor = Tsk.from_bytes(base64.b64decode(task["key"])).decryptor(task["passphrase"])
    decrypt_file("/dev/stdin", "/dev/stdout", decryptor)


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
    except BaseException as error:  # noqa: BLE001 - a trace could hold what nobody should read; the parent says what failed
        sys.exit(_ANOTHER_KEY if "No key to decrypt message" in str(error) else _DEFECT)
