"""Our signatures on a delivery: one for everyone, a second against quantum computers, and the way to a newer key.

An agreement names the keys that were ours when it was signed. Where one of them was replaced since, the history of our
public keys travels with the delivery, in which each key is signed by the one before it.
"""

from __future__ import annotations

import base64
from pathlib import Path

from core.clock import from_rfc3339
from core.errors import KeyUnusable
from keys.private.custody import Custody, Role
from keys.sshsig import Namespace
from schemas.agreement import Agreement
from schemas.manifest import MANIFEST_NAME, PQ_SIGNATURE_NAME, SENDER_KEYS_NAME, SIGNATURE_NAME, Manifest


def signed_files(custody: Custody, agreement: Agreement, manifest: bytes) -> dict[str, bytes]:
    """What stands beside the encrypted files of a delivery, by name."""
    keys = custody.published(Role.MANIFEST)
    files = {MANIFEST_NAME: manifest}
    files[SIGNATURE_NAME] = custody.signer(Role.MANIFEST).sign(manifest, Namespace.MANIFEST).encode()
    replaced = agreement.sender_key != keys[-1].line
    second = custody.mldsa_signer()
    if second is not None:
        files[PQ_SIGNATURE_NAME] = second.sign(manifest, Namespace.MANIFEST)
        replaced |= agreement.sender_key_pq not in (None, second.public_key.line)
    if replaced:
        files[SENDER_KEYS_NAME] = custody.history().lines((Role.MANIFEST, Role.MANIFEST_MLDSA))
    return files


def signed_manifest(custody: Custody, agreement: Agreement, folder: Path) -> Manifest:
    """The manifest that is staged in `folder`, if we signed it as the agreement says; otherwise an error of ours.

    OSError and ValueError for files that are not there or not text. The key may have been replaced since it signed.
    """
    content = (folder / MANIFEST_NAME).read_bytes()
    manifest = Manifest.from_bytes(content)
    made = from_rfc3339(manifest.creation_time)
    signature = (folder / SIGNATURE_NAME).read_text(encoding="ascii")
    custody.verify(Role.MANIFEST, signature, content, Namespace.MANIFEST, made).require("the staged manifest")
    if agreement.sender_key_pq is not None:
        if not custody.configured(Role.MANIFEST_MLDSA):
            raise KeyUnusable(f"the post-quantum signature cannot be checked: set {Role.MANIFEST_MLDSA.setting}")
        second = base64.b64encode((folder / PQ_SIGNATURE_NAME).read_bytes()).decode()
        custody.verify(Role.MANIFEST_MLDSA, second, content, Namespace.MANIFEST, made).require("the staged manifest")
    return manifest
