"""Is this the data that the recipient has already? Answered by a mark of the plaintext that says nothing else.

The digest of a small file tells who guesses its content that the guess is right, so it travels sealed, in the pakbon.
What the ledger keeps is that digest under a key of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.canonical import canonical_json
from flows.wiring import Services
from keys.private.keyed import digest_by, is_digest
from schemas.manifest import PakbonFile

_PURPOSE = "gla-same-data"


def mark(services: Services, files: Sequence[PakbonFile]) -> str:
    """The mark of all plaintext of a delivery, under the key of today."""
    return digest_by(services.custody.person_digest_keys()[0], _PURPOSE, _listed(files))


def is_same(services: Services, files: Sequence[PakbonFile], marked: str) -> bool:
    """Whether `marked` is the mark of this plaintext, also under a key that was replaced since."""
    return is_digest(marked, services.custody.person_digest_keys(), _PURPOSE, _listed(files))


def _listed(files: Sequence[PakbonFile]) -> bytes:
    return canonical_json([[file.filename, file.rows, file.checksum] for file in files])
