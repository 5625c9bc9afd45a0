"""The recipient's side of a receipt: its text and signature as files, and how they get to the drop zone."""

from __future__ import annotations

from pathlib import Path

from core.canonical import sha256_hex
from core.errors import DestinationRefused, UnusableInput
from core.files import write_file
from keys.private.signing import Signer
from keys.sshsig import Namespace
from schemas.manifest import MANIFEST_NAME, Manifest
from schemas.receipts import RECEIPTS, SIGNATURE, ReceiptText, Rejection, receipt_name
from transports.base import Transport

_MODE = 0o640


def write_receipt(delivery: Path, signer: Signer | None, reason: Rejection | None = None) -> tuple[Path, ...]:
    """Write the receipt for the manifest in the folder `delivery` beside that folder, with a signature if there is a
    `signer`; returns the files, the signature last. Whether the delivery is as it should be is for the caller to know.
    """
    try:
        content = (delivery / MANIFEST_NAME).read_bytes()
    except OSError:
        content = b""
    if not content:
        raise UnusableInput(f"{MANIFEST_NAME} is not in {delivery}: name the folder of one edition")
    manifest = Manifest.from_bytes(content)
    text = ReceiptText(sha256_hex(content), reason)
    name = receipt_name(manifest.agreement, manifest.period, manifest.edition, text.suffix)
    path = delivery.resolve().with_name(name)
    write_file(path, text.to_bytes(), mode=_MODE)
    if signer is None:
        return (path,)
    signature = path.with_name(name + SIGNATURE)
    write_file(signature, signer.sign(text.to_bytes(), Namespace.RECEIPT).encode(), mode=_MODE)
    return (path, signature)


def send_receipt(server: Transport, files: tuple[Path, ...]) -> None:
    """Put the files into `receipts/` of the drop zone, the signature first; `server` begins at its root."""
    refused = False
    for file in reversed(files):
        try:
            server.put(file, f"{RECEIPTS}/{file.name}")
        except DestinationRefused:
            refused = True
    if refused:
        raise DestinationRefused(
            f"the drop zone did not take all of {', '.join(file.name for file in files)}: perhaps it has them already "
            f"and takes them up in some minutes; look with sftp in {RECEIPTS}/"
        )
