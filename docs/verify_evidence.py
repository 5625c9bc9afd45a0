"""Checks a `gla evidence` file with nothing of gla: python verify_evidence.py FILE SEAL_KEY.pub LEDGER_KEY.pub

docs/evidence.md says what is checked, by number. What is not: a post-quantum signature; if a key was replaced since.
"""

import json
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from itertools import dropwhile, product
from pathlib import Path
from subprocess import PIPE, run
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key


def need(*holds):
    if not all(holds):  # not `assert`, which python -O leaves out
        raise ValueError("does not hold")


def fingerprint(line):
    return "SHA256:" + b64encode(sha256(b64decode(line.split()[1])).digest()).decode().rstrip("=")


def signer(signature, message, namespace):
    """The fingerprint of the key that made this SSH signature. It is OpenSSH that verifies."""
    with NamedTemporaryFile("w") as file:
        print(signature, file=file, flush=True)
        command = ["ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", file.name]
        return run(command, input=message.encode(), stdout=PIPE, check=True).stdout.decode().split()[-1]


def roots(last, size, path, complete=False):
    """RFC 6962: roots of the leaves up to `last`, and of all, by a path from it or the complete tree that it ends."""
    if size == 1 or (complete and last == size - 1):
        (start,) = path
        return start, start
    half = 1 << (size - 1).bit_length() - 1
    before, after = roots(*((last, half) if last < half else (last - half, size - half)), path[:-1], complete)
    if last < half:
        return before, sha256(b"\x01" + after + path[-1]).digest()
    return sha256(b"\x01" + path[-1] + before).digest(), sha256(b"\x01" + path[-1] + after).digest()


evidence = json.loads(Path(sys.argv[1]).read_text("utf-8"))
seal_key, ledger_key = (fingerprint(Path(name).read_text("ascii")) for name in sys.argv[2:])
keys, before = {"agreement-seal": {}, "manifest": {}, "ledger": {}}, {}  # 1. keys
for line in evidence["keys"].splitlines():
    if (role := (entry := json.loads(line))["role"]) in keys:
        message = json.dumps({it: entry[it] for it in ("key", "previous", "role", "since")}, separators=(",", ":"))
        made = [it and signer(it, message, "gla-key-history") for it in (entry["possession"], entry["endorsement"])]
        need(made == [fingerprint(entry["key"]), [None, *keys[role]][-1]], entry["previous"] == before.get(role))
        keys[role][made[0]], before[role] = entry["key"], sha256(line.encode()).hexdigest()
need(evidence["format"] == "gla-evidence-v1", seal_key in keys["agreement-seal"], ledger_key in keys["ledger"])
document, content = evidence["agreement"]["document"], evidence["manifest"]["document"]  # 2. agreement
agreement, manifest, digest = json.loads(document), json.loads(content), sha256(content.encode()).hexdigest()
terms = {item["property"]: item["value"] for item in agreement["customProperties"]}
need(signer(evidence["agreement"]["senderSignature"], document, "gla-agreement") in keys["agreement-seal"])
recipient = signer(evidence["agreement"]["recipientSignature"], document, "gla-agreement")
need(recipient == terms["gla.recipientSigner"], recipient not in keys["agreement-seal"])
senders = dropwhile(lambda key: key != fingerprint(terms["gla.senderKey"]), keys["manifest"])  # 3. manifest
need(signer(evidence["manifest"]["signature"], content, "gla-manifest") in senders)
need(manifest["agreementDigest"] == sha256(document.encode()).hexdigest(), manifest["agreement"] == agreement["id"])
need(evidence["delivery"] == f"{manifest['agreement']}/{manifest['period']}/{manifest['edition']}")
notes = {}  # 4. checkpoints
for note, line in product(("newest", "publication"), keys["ledger"].values()):
    origin, size, root, time, empty, *signatures = evidence[note].splitlines()
    key, tag, by = load_ssh_public_key(line.encode()), f"{origin}\n\x01".encode() + b64decode(line.split()[1])[-32:], []
    if isinstance(key, EllipticCurvePublicKey):
        tag, by = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), [ECDSA(hashes.SHA256())]
    for dash, name, signature in map(str.split, signatures):
        if (empty, dash, name, b64decode(signature)[:4]) == ("", "\u2014", origin, sha256(tag).digest()[:4]):
            key.verify(b64decode(signature)[4:], f"{origin}\n{size}\n{root}\n{time}\n".encode(), *by)
            notes[note] = origin, int(size), b64decode(root)
(origin, size, root), (first_origin, first_size, first_root) = notes["newest"], notes["publication"]
path = [first_root] * (first_size in (size, first_size & -first_size)) + [*map(bytes.fromhex, evidence["consistency"])]
need(origin == first_origin, 0 < first_size <= size, roots(first_size - 1, size, path, True) == (first_root, root))
told = {}  # 5. events
for event in evidence["events"]:
    body, nonce, path = json.loads(event["body"]), bytes.fromhex(event["nonce"]), map(bytes.fromhex, event["proof"])
    leaf = sha256(b"\x00gla-ledger-event-v2\n" + nonce + event["body"].encode()).digest()
    need(len(nonce) == 32, 1 <= body["seq"] <= size, roots(body["seq"] - 1, size, [leaf, *path])[1] == root)
    need(body["delivery_id"] == manifest["contextId"], body["agreement_id"] == agreement["id"])
    told.setdefault(body["action"], []).append({**json.loads(body["detail"]), **body})
(report,) = (each["report"] for each in told["delivery.validated"])  # 6. verdict
need(report["verdict"] == "valid", report["contract"]["digest"] == manifest["agreementDigest"])
files = {(it["filename"], it["size"], it["checksum"]) for it in manifest["files"]}  # 7. publication
files.add(("manifest.json", len(content.encode()), digest))
for each in told["delivery.published"]:
    need(files <= {(it["name"], it["size"], it["sha256"]) for it in each["files"]})
need(min(each["seq"] for each in told["delivery.published"]) <= first_size)
for each in (receipts := told.get("delivery.confirmed", []) + told.get("delivery.rejected", [])):  # 8. receipts
    if each["signer"] is not None:
        need(signer(each["signature"], each["text"], "gla-receipt") == recipient)
        need(each["text"].lstrip("\ufeff").split()[0].lower() == digest)
print(f"holds: {evidence['delivery']}; the recipient said", [(it["action"], it["signer"]) for it in receipts])
