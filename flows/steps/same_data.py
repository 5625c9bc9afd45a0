"""Is this the data that the recipient has already? Answered by a mark of the plaintext that says nothing else.

The digest of a small file tells who guesses its content that the guess is right, so it travels sealed, in the pakbon.
What the ledger keeps is that digest keyed with a secret of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.canonical import canonical_json
from flows.wiring import Services
from keys.private.keyed import keyed_digest
from schemas.manifest import PakbonFile

_PURPOSE = "gla-same-data"


def mark(services: Services, files: Sequence[PakbonFile]) -> str:
    """The mark of all plaintext of a delivery, under the secret of today."""
    return keyed_digest(services.custody.person_digest_secrets()[0], _PURPOSE, _listed(files))


def is_same(services: Services, files: Sequence[PakbonFile], marked: str) -> bool:
    """Whether `marked` is the mark of this plaintext, also under a secret that was replaced since."""
    listed = _listed(files)
    return any(keyed_digest(each, _PURPOSE, listed) == marked for each in services.custody.person_digest_secrets())


def _listed(files: Sequence[PakbonFile]) -> bytes:
    return canonical_json([[file.filename, file.rows, file.checksum] for file in files])
