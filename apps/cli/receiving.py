"""The recipient's side: is this delivery what my own agreement promised, and what is in it? No network, no database.

1. trust     the sender's keys come from the agreement that the recipient itself signed, or from an earlier pin of it;
             what came with the delivery counts only as far as these keys signed it (`sender_keys`)
2. manifest  signed by them, for this agreement
3. files     size and SHA-256 of every encrypted file
4. open      decrypt; size, SHA-256 and number of rows as the sealed pakbon says
5. appear    the opened files appear together, or not at all
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from apps.cli.damage import Progress, find_damage
from apps.cli.row_count import row_count
from apps.cli.sender_keys import SenderKeys
from core.canonical import canonical_json, parse_json, sha256_hex
from core.clock import from_rfc3339
from core.errors import KeyUnusable, ManifestInvalid, SignerUnknown, UnusableInput
from core.files import write_file
from core.ids import checked_name
from keys.private.kinds import PrivateKey, open_envelope
from keys.sshsig import Namespace, verify_by
from schemas.agreement import load_agreement
from schemas.manifest import (
    MANIFEST_NAME,
    PAKBON,
    PAKBON_PAGE,
    PQ_SIGNATURE_NAME,
    SENDER_KEYS_NAME,
    SIGNATURE_NAME,
    Manifest,
    ManifestFile,
    Pakbon,
    PakbonFile,
)

_BLOCK_BYTES = 1024 * 1024
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)  # what has no time is judged by the sender's key of today
_SMALL_FILE_BYTES = 64 * 1024 * 1024  # a manifest of 60 TB in chunks has this size; nothing larger is read whole


@dataclass(frozen=True)
class Trust:
    """What the recipient knows from its own agreement."""

    agreement: str
    agreement_digest: str
    sender: SenderKeys


def trust_from_agreement(path: Path, delivery: Path) -> Trust:
    """From the offered file and the recipient's own signature beside it (FILE.sig)."""
    if path.resolve().is_relative_to(delivery.resolve()):
        raise UnusableInput("the agreement may not come from the delivery itself: use your own signed copy")
    document = _small_file(path)
    agreement = load_agreement(document)
    if agreement.canonical != document:
        raise UnusableInput(f"{path.name} is not the file that was offered and signed: use GLA-ID.json as received")
    beside = path.with_name(f"{path.name}.sig")
    if not beside.is_file():
        raise UnusableInput(f"{beside.name}, your signature, is not beside {path.name}: put it there")
    signature = _small_file(beside).decode("ascii", "replace")
    verify_by(signature, document, Namespace.AGREEMENT, agreement.recipient_signer)
    return Trust(agreement.id, agreement.digest, SenderKeys(agreement.sender_key, agreement.sender_key_pq))


def pin(folder: Path, trust: Trust) -> bool:
    """Remember, so that the next delivery needs no --agreement; True if that replaces something else."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{checked_name(trust.agreement, 'the id of an agreement')}.json"
    value = {"agreement": trust.agreement, "agreementDigest": trust.agreement_digest, "senderKey": trust.sender.ssh}
    if trust.sender.pq is not None:
        value["senderKeyPq"] = trust.sender.pq
    before = parse_json(_small_file(path), "the pin") if path.exists() else value
    replaced = not isinstance(before, dict) or {**before, "senderHistory": ""} != {**value, "senderHistory": ""}
    write_file(path, canonical_json({**value, "senderHistory": trust.sender.history.decode("ascii")}), mode=0o600)
    return replaced


def with_histories(trust: Trust, folder: Path, delivery: Path, given: Path | None) -> Trust:
    """The same agreement, with what is known of the sender's keys: from earlier, from the delivery, and as given."""
    path = folder / f"{checked_name(trust.agreement, 'the id of an agreement')}.json"
    earlier = _read_pin(path) if path.is_file() else None
    sender = trust.sender
    if earlier is not None and earlier.agreement_digest == trust.agreement_digest and earlier.sender.ssh == sender.ssh:
        sender = sender.told(earlier.sender.history)
    beside = delivery / SENDER_KEYS_NAME
    for source in (beside if beside.is_file() else None, given):
        if source is not None:
            sender = sender.told(_small_file(source))
    return replace(trust, sender=sender)


def pinned(folder: Path, delivery: Path) -> Trust:
    """What was pinned for the agreement that the (not yet verified) manifest claims to be under."""
    claimed = Manifest.from_bytes(_small_file(delivery / MANIFEST_NAME)).agreement
    path = folder / f"{claimed}.json"
    if not path.is_file():
        raise UnusableInput(f"agreement {claimed} was not opened here before: pass your signed copy with --agreement")
    trust = _read_pin(path)
    if trust is None or trust.agreement != claimed:
        raise UnusableInput(f"the pin of agreement {claimed} is damaged: pass your signed copy with --agreement")
    return trust


def _read_pin(path: Path) -> Trust | None:
    try:
        value = parse_json(_small_file(path), "the pin")
    except UnusableInput:
        return None
    needed, more = {"agreement", "agreementDigest", "senderKey"}, {"senderKeyPq", "senderHistory"}
    if not isinstance(value, dict) or not needed <= set(value) <= needed | more:
        return None
    if not all(isinstance(text, str) for text in value.values()):
        return None
    history = str(value.get("senderHistory", "")).encode()
    sender = SenderKeys(value["senderKey"], value.get("senderKeyPq"), history)
    try:
        sender.check()
    except (KeyUnusable, SignerUnknown):
        return None
    return Trust(value["agreement"], value["agreementDigest"], sender)


def claimed(delivery: Path) -> Manifest | None:
    """What the manifest says, whoever wrote it; None if there is none or it says nothing that can be read."""
    try:
        return Manifest.from_bytes(_small_file(delivery / MANIFEST_NAME))
    except (ManifestInvalid, UnusableInput):
        return None


def verified_manifest(delivery: Path, trust: Trust) -> Manifest:
    """Steps 2 and 3: the signed manifest, after every file that it lists was found to be as it says."""
    content = _small_file(delivery / MANIFEST_NAME)
    signature = _small_file(delivery / SIGNATURE_NAME).decode("ascii", "replace")
    manifest = None
    with suppress(ManifestInvalid):
        manifest = Manifest.from_bytes(content)  # not believed yet: its time decides which keys count
    made = _NEVER if manifest is None else from_rfc3339(manifest.creation_time)
    second = delivery / PQ_SIGNATURE_NAME
    for judged in (
        trust.sender.judge(content, signature, made),
        trust.sender.judge_pq(content, _small_file(second) if second.is_file() else None, made),
    ):
        judged.require("the manifest is not signed by the sender that your agreement names: do not use this delivery")
    if manifest is None:
        manifest = Manifest.from_bytes(content)  # signed, and wrong all the same: says what is
    if (manifest.agreement, manifest.agreement_digest) != (trust.agreement, trust.agreement_digest):
        raise ManifestInvalid(f"the delivery is under another agreement than {trust.agreement}: pass that one")
    return manifest


def check_files(delivery: Path, manifest: Manifest, progress: Progress) -> None:
    """Step 3: `ManifestInvalid` names the first file that is missing or damaged."""
    for file in manifest.files:
        for damage in find_damage(delivery, (file,), progress):
            raise ManifestInvalid(f"{damage}: fetch it again")


def open_files(delivery: Path, manifest: Manifest, keys: Sequence[PrivateKey], out: Path, progress: Progress) -> Pakbon:
    """Steps 4 and 5: decrypt into `out`, which appears only if everything holds."""
    if out.exists():
        raise UnusableInput(f"{out} exists: name another folder with --out")
    pakbon = _open_pakbon(delivery, manifest, keys)
    suffix = manifest.pakbon.filename.removeprefix(PAKBON)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        for plain in pakbon.files:
            _open_file(delivery / f"{plain.filename}{suffix}", partial / plain.filename, plain, keys, progress)
        (partial / PAKBON).write_text(
            json.dumps(json.loads(pakbon.to_bytes()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if manifest.page is not None:
            (partial / PAKBON_PAGE).write_bytes(_opened_small(delivery, manifest.page, keys))
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return pakbon


def _open_pakbon(delivery: Path, manifest: Manifest, keys: Sequence[PrivateKey]) -> Pakbon:
    listed = manifest.pakbon
    suffix = listed.filename.removeprefix(PAKBON)
    pakbon = Pakbon.from_bytes(_opened_small(delivery, listed, keys))
    same = (pakbon.context_id, pakbon.agreement_digest, pakbon.period, pakbon.edition) == (
        manifest.context_id,
        manifest.agreement_digest,
        manifest.period,
        manifest.edition,
    ) and manifest.plan_digest in (None, pakbon.plan_digest)
    page = set() if manifest.page is None else {manifest.page.filename}
    others = {file.filename for file in manifest.files} - {listed.filename} - page
    if not same or {f"{file.filename}{suffix}" for file in pakbon.files} != others:
        raise ManifestInvalid("pakbon and manifest do not belong together: do not use this delivery")
    return pakbon


def _opened_small(delivery: Path, listed: ManifestFile, keys: Sequence[PrivateKey]) -> bytes:
    """What is in a sealed file that is read whole; anyone can seal one, and only the manifest is signed."""
    sealed = _small_file(delivery / listed.filename)
    if sha256_hex(sealed) != listed.checksum:
        raise ManifestInvalid(f"{listed.filename} is damaged: fetch it again")
    return open_envelope(io.BytesIO(sealed), keys).read()


def _open_file(source: Path, target: Path, plain: PakbonFile, keys: Sequence[PrivateKey], progress: Progress) -> None:
    whole, size = hashlib.sha256(), 0
    with _opened(source) as sealed, target.open("xb") as opened:
        reader = open_envelope(sealed, keys)
        while block := reader.read(_BLOCK_BYTES):
            whole.update(block)
            size += len(block)
            opened.write(block)
            progress(plain.filename, len(block))
    if (size, whole.hexdigest()) != (plain.size, plain.checksum) or row_count(target) != plain.rows:
        raise ManifestInvalid(f"{plain.filename} is not what the pakbon says: ask the sender for a new delivery")


def _opened(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError:
        pass
    raise UnusableInput(f"{path.name} cannot be read: name the folder of one edition, fetched whole")


def _small_file(path: Path) -> bytes:
    with _opened(path) as file:
        content = file.read(_SMALL_FILE_BYTES + 1)
    if len(content) <= _SMALL_FILE_BYTES:
        return content
    raise UnusableInput(f"{path.name} is too large to be what its name says")
