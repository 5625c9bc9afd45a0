r"""A recipient's receipt (ontvangstbevestiging): it has a delivery, or not, and why not. Text that any editor makes.

The first line is what `sha256sum manifest.json` prints: the SHA-256 of the delivery's manifest, which holds the digests
of everything else. A negative receipt has a second line, one word of `Rejection`. The file's name ends in `.ack` or
`.nack`; the rest of it is for the recipient. Beside it may stand its SSH signature (namespace `gla-receipt`), NAME.sig.

>>> parse_receipt("x.nack", ("0" * 64 + "  manifest.json\ndamaged\n").encode()).reason
<Rejection.DAMAGED: 'damaged'>
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from core.errors import UnusableInput

RECEIPTS = "receipts"  # in the drop zone, with a folder for each recipient
POSITIVE, NEGATIVE, SIGNATURE = ".ack", ".nack", ".sig"
RECEIPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.n?ack(\.sig)?")
RECEIPT_BYTES = 1024  # a receipt has some eighty
SIGNATURE_BYTES = 16 * 1024  # RSA with 16,384 bits needs 6,000

_DIGEST_LINE = re.compile(r"\\?([0-9A-Fa-f]{64})([ \t]+\*?([A-Za-z0-9 ._:~()+/\\-]{0,400}[/\\])?manifest\.json)?")


class Rejection(StrEnum):
    """Why a recipient does not accept a delivery. A new word is a change that recipients must hear of."""

    DAMAGED = "damaged"  # a file is missing, or is not what the manifest says
    SIGNATURE = "signature"  # the manifest is not signed by the sender that the agreement names
    CANNOT_OPEN = "cannot-open"  # it cannot be decrypted
    CONTENT = "content"  # it was opened, and is not what was agreed
    UNEXPECTED = "unexpected"  # another agreement, period or edition than was to come
    OTHER = "other"  # to be told by telephone


@dataclass(frozen=True)
class ReceiptText:
    """`manifest` is the SHA-256 of the manifest, in small letters; `reason` makes it a negative one."""

    manifest: str
    reason: Rejection | None = None

    @property
    def suffix(self) -> str:
        return POSITIVE if self.reason is None else NEGATIVE

    def to_bytes(self) -> bytes:
        """The text in its usual form, which is also what is signed."""
        reason = "" if self.reason is None else f"{self.reason}\n"
        return f"{self.manifest}  manifest.json\n{reason}".encode()


def receipt_name(agreement: str, period: str, edition: int, suffix: str) -> str:
    """What our own program calls the receipt of a delivery."""
    return f"{agreement[:100]}_{period}_edition-{edition}{suffix}"


def parse_receipt(name: str, content: bytes) -> ReceiptText:
    """Read a receipt; `UnusableInput` says what is wrong with it and never what is in it."""
    if len(content) > RECEIPT_BYTES:
        raise UnusableInput(f"a receipt has at most {RECEIPT_BYTES} bytes")
    lines = [line for each in _text(content).splitlines() if (line := each.strip())]
    found = _DIGEST_LINE.fullmatch(lines[0]) if lines else None
    if found is None:
        raise UnusableInput("the first line of a receipt is the SHA-256 of manifest.json, as sha256sum prints it")
    if name.endswith(NEGATIVE):
        return ReceiptText(found[1].lower(), _reason(lines[1:]))
    if not name.endswith(POSITIVE) or len(lines) > 1:
        raise UnusableInput("a receipt with a reason has a name that ends in .nack, and one without a name in .ack")
    return ReceiptText(found[1].lower())


def _reason(lines: list[str]) -> Rejection:
    if len(lines) == 1 and lines[0] in set(Rejection):
        return Rejection(lines[0])
    raise UnusableInput(f"the second line of a negative receipt is one of {', '.join(Rejection)}")


def _text(content: bytes) -> str:
    """Some editors of Windows put a mark before the text."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
