"""What an age file says of itself without a key: kinds of recipients, form and sizes, as `age-inspect` tells them.

Nothing of it is authenticated: only opening shows whether the header is genuine and the content whole. No names or keys
of recipients are in a file, so none are told.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.envelope.armor import binary_form
from keys.envelope.errors import HeaderInvalid, PayloadInvalid
from keys.envelope.format import VERSION_LINE, parse_header
from keys.envelope.reading import BinaryReader
from keys.envelope.recipients import HYBRID_KIND, X25519_KIND
from keys.envelope.stream import PAYLOAD_NONCE_LENGTH, SEALED_CHUNK, TAG

_BLOCK = 1024 * 1024  # bytes
_CLASSICAL_KINDS = frozenset({X25519_KIND, "ssh-ed25519", "ssh-rsa", "piv-p256"})
_GREASE = "-grease"  # the end of the kind of a stanza that is there to be ignored (C2SP age.md, "Grease")


@dataclass(frozen=True)
class Inspection:
    """`payload_size` is in bytes of content; a file of one empty chunk has none."""

    armored: bool
    stanza_kinds: tuple[str, ...]
    header_size: int  # bytes, in the binary form
    payload_size: int
    chunks: int

    @property
    def post_quantum(self) -> str:
        """`yes` if no recipient is weaker, `no` if one is known to be, else `unknown`."""
        kinds = {kind for kind in self.stanza_kinds if not kind.endswith(_GREASE)}
        if kinds and kinds <= {HYBRID_KIND, "scrypt"}:  # symmetric: as strong as its passphrase
            return "yes"
        return "no" if kinds & _CLASSICAL_KINDS else "unknown"

    def as_json(self) -> dict[str, object]:
        """The fields of `age-inspect --json` but armor's size and padding; they add up to the binary form."""
        return {
            "version": VERSION_LINE.decode().strip(),
            "postquantum": self.post_quantum,
            "armor": self.armored,
            "stanza_types": list(self.stanza_kinds),
            "sizes": {
                "header": self.header_size,
                "overhead": PAYLOAD_NONCE_LENGTH + self.chunks * TAG,
                "min_payload": self.payload_size,
                "max_payload": self.payload_size,
            },
            "chunks": self.chunks,
        }


def inspect(source: BinaryReader) -> Inspection:
    """Read `source` to its end in bounded memory; `EnvelopeError` for a malformed header or an impossible length."""
    armored, binary = binary_form(source)
    header = parse_header(binary)
    if len(binary.read(PAYLOAD_NONCE_LENGTH)) != PAYLOAD_NONCE_LENGTH:
        raise HeaderInvalid("the encrypted file is cut off right after its header")
    length = 0
    buffer = memoryview(bytearray(_BLOCK))
    while count := binary.readinto(buffer):
        length += count
    chunks = _chunks(length)
    kinds = tuple(stanza.kind for stanza in header.stanzas)
    return Inspection(armored, kinds, len(header.serialise()), length - chunks * TAG, chunks)


def _chunks(length: int) -> int:
    """How many chunks a payload of `length` bytes has."""
    chunks = max(1, -(-length // SEALED_CHUNK))
    last = length - (chunks - 1) * SEALED_CHUNK
    if last < TAG or (last == TAG and chunks > 1):  # only an empty file has an empty chunk
        raise PayloadInvalid("the encrypted content is cut off or extended: no whole file has this length")
    return chunks
