"""What of a file of evidence holds, by public keys alone: needs no database, no keys of ours and no network.

Each check is a sentence; the first that fails does not stop the others, so that the reader sees what is left standing.
Whatever cannot be read does not hold. docs/evidence.md lists the checks for who makes a second program of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any

from core.canonical import parse_json, sha256_hex
from core.clock import from_rfc3339
from core.errors import GlaError, SignerUnknown, UnusableInput
from flows.steps.evidence import FORMAT
from keys import notes, published, sshsig
from keys.published import KeyHistory, PublishedKey
from keys.roles import Role
from keys.sshsig import Namespace
from ledger.checkpoints import Checkpoint, verified_checkpoint
from ledger.leaves import NONCE_BYTES, leaf_of_json
from ledger.merkle import is_beginning, is_included
from ledger.vocabulary import Action
from schemas.agreement import Agreement, load_agreement
from schemas.manifest import MANIFEST_NAME, Manifest
from schemas.receipts import NEGATIVE, POSITIVE, parse_receipt

LARGEST = 64 * 1024 * 1024  # bytes of a file; one part of a delivery takes some 300, and each 4 MiB of it 70 more


@dataclass(frozen=True)
class Finding:
    """One thing that was checked, as a sentence that is true if `holds`."""

    holds: bool
    what: str


@dataclass(frozen=True)
class Trusted:
    """One public key of the sender for each role, of any time: the file's key history leads from it to the others."""

    seal: str
    ledger: str


def check(content: bytes, trusted: Trusted) -> list[Finding]:
    """Judge a file; `UnusableInput` if it is no evidence at all."""
    if len(content) > LARGEST:
        raise UnusableInput("the file is too large to be evidence")
    document = parse_json(content, "the evidence")
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UnusableInput(f"the file is not evidence of the form {FORMAT}")
    return list(_Case(document, trusted).findings())


class _Case:
    """The file, and what was learnt from it so far."""

    def __init__(self, document: dict[str, Any], trusted: Trusted) -> None:
        self._document, self._trusted = document, trusted
        self._agreement: Agreement
        self._manifest: Manifest
        self._newest: Checkpoint
        self._publication: Checkpoint
        self._bodies: list[dict[str, Any]] = []

    def findings(self) -> Iterator[Finding]:
        checks: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("the sender sealed the agreement", self._sealed),
            ("the recipient whom the agreement names assented to it", self._assented),
            (
                "the manifest is signed by the sender's key that the agreement names, or its successor",
                self._signed,
            ),
            ("the manifest is of this delivery under this agreement", self._of_this_delivery),
            ("both checkpoints of the ledger are signed by the sender", self._witnessed),
            ("the ledger of the publication is the beginning of the newest one", self._grew),
            ("every event stands in the ledger, and is of this delivery", self._included),
            ("the data was judged by this agreement, and kept to it", self._kept_to),
            ("what was published is what the manifest lists", self._published),
            ("the checkpoint of the publication witnesses it", self._witnessed_publication),
        )
        for what, holds in checks:
            yield Finding(_holds(holds), what)
        for body in self._bodies:
            if body.get("action") in (Action.DELIVERY_CONFIRMED, Action.DELIVERY_REJECTED):
                yield self._receipt(body)

    def _keys(self, role: Role, anchor: str) -> tuple[PublishedKey, ...]:
        """All keys of a role, if the trusted one is among them and they are signed by one another."""
        keys = KeyHistory.parse(self._document["keys"].encode()).of(role)
        if anchor not in {key.line for key in keys}:
            raise SignerUnknown(f"the {role} keys do not hold the one that is trusted")
        return keys

    def _sealed(self) -> bool:
        told = self._document["agreement"]
        content = told["document"].encode()
        self._agreement = load_agreement(content)
        keys = self._keys(Role.AGREEMENT_SEAL, self._trusted.seal)
        return published.judge(keys, told["senderSignature"], content, Namespace.AGREEMENT).valid

    def _assented(self) -> bool:
        told, wanted = self._document["agreement"], self._agreement.recipient_signer
        content = told["document"].encode()
        sshsig.verify_by(told["recipientSignature"], content, Namespace.AGREEMENT, wanted)
        return wanted not in {key.fingerprint for key in self._keys(Role.AGREEMENT_SEAL, self._trusted.seal)}

    def _signed(self) -> bool:
        told = self._document["manifest"]
        content = told["document"].encode()
        self._manifest = Manifest.from_bytes(content)
        made = from_rfc3339(self._manifest.creation_time)
        history = KeyHistory.parse(self._document["keys"].encode())
        first = history.after(Role.MANIFEST, self._agreement.sender_key)
        valid = published.judge(first, told["signature"], content, Namespace.MANIFEST, made).valid
        if self._agreement.sender_key_pq is not None:
            second = history.after(Role.MANIFEST_MLDSA, self._agreement.sender_key_pq)
            valid &= published.judge(second, told["mldsa"], content, Namespace.MANIFEST, made).valid
        return valid

    def _of_this_delivery(self) -> bool:
        manifest, agreement = self._manifest, self._agreement
        name = f"{agreement.id}/{manifest.period}/{manifest.edition}"
        found = (manifest.agreement, manifest.agreement_digest, manifest.recipient, self._document["delivery"])
        return found == (agreement.id, agreement.digest, agreement.recipient, name)

    def _witnessed(self) -> bool:
        verifier = notes.verifier(self._keys(Role.LEDGER, self._trusted.ledger))
        self._publication = verified_checkpoint(self._document["publication"], verifier)
        self._newest = verified_checkpoint(self._document["newest"], verifier)
        return True

    def _grew(self) -> bool:
        first, second = self._publication, self._newest
        proof = _hashes(self._document["consistency"])
        same = is_beginning(first.size, second.size, proof, first.root, second.root)
        return same and first.origin == second.origin

    def _included(self) -> bool:
        bodies = []
        for event in self._document["events"]:
            nonce, content = bytes.fromhex(event["nonce"]), event["body"].encode()
            body, proof = parse_json(content, "an event"), _hashes(event["proof"])
            leaf = leaf_of_json(nonce, content)
            included = is_included(leaf, body["seq"] - 1, self._newest.size, proof, self._newest.root)
            if not included or len(nonce) != NONCE_BYTES:
                return False
            bodies.append({**body, "detail": loads(body["detail"])})
        self._bodies = bodies
        own = (self._manifest.context_id, self._agreement.id)
        return all((body["delivery_id"], body["agreement_id"]) == own for body in bodies)

    def _kept_to(self) -> bool:
        (verdict,) = self._of(Action.DELIVERY_VALIDATED)
        report = verdict["detail"]["report"]
        return (report["verdict"], report["contract"]["digest"]) == ("valid", self._agreement.digest)

    def _published(self) -> bool:
        listed = {file.filename: (file.size, file.checksum) for file in self._manifest.files}
        content = self._document["manifest"]["document"].encode()
        listed[MANIFEST_NAME] = (len(content), sha256_hex(content))
        told = self._of(Action.DELIVERY_PUBLISHED)
        return bool(told) and all(
            listed.items() <= {file["name"]: (file["size"], file["sha256"]) for file in body["detail"]["files"]}.items()
            for body in told
        )

    def _witnessed_publication(self) -> bool:
        first = min(body["seq"] for body in self._of(Action.DELIVERY_PUBLISHED))
        return bool(first <= self._publication.size)

    def _receipt(self, body: dict[str, Any]) -> Finding:
        detail = body["detail"]
        accepted = body["action"] == Action.DELIVERY_CONFIRMED
        said = "accepted" if accepted else f"not accepted ({detail.get('reason')})"
        if detail.get("signer") is None:
            return Finding(True, f"the recipient's receipt: {said}; unsigned, so by the login through which it came")

        def signed() -> bool:
            content = detail["text"].encode()
            sshsig.verify_by(detail["signature"], content, Namespace.RECEIPT, self._agreement.recipient_signer)
            receipt = parse_receipt(f"x{POSITIVE if accepted else NEGATIVE}", content)
            manifest = sha256_hex(self._document["manifest"]["document"].encode())
            return receipt.manifest == manifest and receipt.reason == detail.get("reason")

        return Finding(_holds(signed), f"the recipient's receipt: {said}; signed with the key that assented")

    def _of(self, action: Action) -> list[dict[str, Any]]:
        return [body for body in self._bodies if body["action"] == action]


def _hashes(texts: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _holds(holds: Callable[[], bool]) -> bool:
    """Whatever goes wrong while a stranger's file is read is a no."""
    try:
        return holds()
    except (GlaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
