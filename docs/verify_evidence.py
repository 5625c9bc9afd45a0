"""An independent check of `gla evidence` files: Python's standard library and `cryptography`, nothing of gla.

    python verify_evidence.py FILE SEAL_KEY.pub LEDGER_KEY.pub

The keys are lines as OpenSSH writes them, which you had from the sender before. Prints what holds; exit code 1 if
something does not. docs/evidence.md describes the format. Not checked
here: a second, post-quantum signature; whether a key had been replaced when it signed.
"""

import json
import sys
from base64 import b64decode, b64encode
from hashlib import sha256, sha512

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key


def need(holds):
    if not holds:  # not `assert`, which python -O leaves out
        raise ValueError


def strings(data):
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        need(len(data) >= 4 + size)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def sshsig(armored, message, namespace):
    """The public key line that made this SSH signature (OpenSSH, PROTOCOL.sshsig)."""
    lines = armored.strip().split("\n")
    need((lines[0], lines[-1]) == ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"))
    blob = b64decode("".join(lines[1:-1]), validate=True)
    need(blob[:10] == b"SSHSIG\0\0\0\1")
    key_blob, space, reserved, algorithm, wrapped = strings(blob[10:])
    need(space == namespace.encode() and algorithm in (b"sha512", b"sha256"))
    digest = (sha512 if algorithm == b"sha512" else sha256)(message).digest()
    fields = (space, reserved, algorithm, digest)
    data = b"SSHSIG" + b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    kind, signature = strings(wrapped)
    line = f"{strings(key_blob)[0].decode()} {b64encode(key_blob).decode()}"
    key = load_ssh_public_key(line.encode())
    if isinstance(key, ec.EllipticCurvePublicKey):
        r, s = (int.from_bytes(number, "big") for number in strings(signature))
        hashing = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.curve.key_size]
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashing))
    elif isinstance(key, rsa.RSAPublicKey):
        hashing = {b"rsa-sha2-512": hashes.SHA512(), b"rsa-sha2-256": hashes.SHA256()}[kind]
        key.verify(signature, data, padding.PKCS1v15(), hashing)
    else:
        key.verify(signature, data)
    return line


def fingerprint(line):
    return "SHA256:" + b64encode(sha256(b64decode(line.split()[1])).digest()).decode().rstrip("=")


def keys(history, role, trusted):
    """All keys of the sender for a role, if each was signed by the one before it and the trusted one is among them."""
    found, before = [], None
    for line in history.splitlines():
        entry = json.loads(line)
        if entry["role"] == role:
            signed = {name: entry[name] for name in ("key", "previous", "role", "since")}
            message = json.dumps(signed, ensure_ascii=False, separators=(",", ":")).encode()
            need(sshsig(entry["possession"], message, "gla-key-history") == entry["key"])
            if before is not None:
                need(entry["previous"] == sha256(before).hexdigest())
                need(sshsig(entry["endorsement"], message, "gla-key-history") == found[-1])
            found.append(entry["key"])
            before = line.encode()
    need(trusted in found)
    return found


def checkpoint(note, ledger_keys):
    """Origin, size and root of a C2SP checkpoint that one of the keys signed under the name of its origin."""
    text, signatures = note.split("\n\n")
    origin, size, root, _ = text.split("\n")
    for line in ledger_keys:
        key = load_ssh_public_key(line.encode())
        elliptic = isinstance(key, ec.EllipticCurvePublicKey)
        if elliptic:
            number = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()[:4]
        else:
            raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
            number = sha256(origin.encode() + b"\n\x01" + raw).digest()[:4]
        for each in signatures.splitlines():
            dash, name, encoded = each.split(" ")
            signature = b64decode(encoded, validate=True)
            if (dash, name, signature[:4]) == ("\u2014", origin, number):
                how = [ec.ECDSA(hashes.SHA256())] if elliptic else []
                key.verify(signature[4:], f"{text}\n".encode(), *how)
                return origin, int(size), b64decode(root, validate=True)
    raise ValueError("no signature by a ledger key")


def node(left, right):
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf, index, size, path):
    """RFC 6962: the root that a leaf and its way lead to."""
    if size == 1:
        need(not path)
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return node(root_of(leaf, index, half, path[:-1]), path[-1])
    return node(path[-1], root_of(leaf, index - half, size - half, path[:-1]))


def roots_of(first, size, path, whole, root):
    """RFC 6962: the roots of the first `first` leaves and of all `size`, by a consistency proof."""
    if first == size:
        need(len(path) == (0 if whole else 1))
        return (root, root) if whole else (path[0], path[0])
    half = 1 << (size - 1).bit_length() - 1
    if first <= half:
        before, after = roots_of(first, half, path[:-1], whole, root)
        return before, node(after, path[-1])
    before, after = roots_of(first - half, size - half, path[:-1], False, root)
    return node(path[-1], before), node(path[-1], after)


def check(evidence, seal_key, ledger_key):
    """Raises an exception at the first thing that does not hold; returns what the recipient said."""
    need(evidence["format"] == "gla-evidence-v1")
    seals, ledgers = (keys(evidence["keys"], *it) for it in (("agreement-seal", seal_key), ("ledger", ledger_key)))
    document = evidence["agreement"]["document"].encode()
    agreement = json.loads(document)
    terms = {item["property"]: item["value"] for item in agreement["customProperties"]}
    need(sshsig(evidence["agreement"]["senderSignature"], document, "gla-agreement") in seals)
    signer = sshsig(evidence["agreement"]["recipientSignature"], document, "gla-agreement")
    need(fingerprint(signer) == terms["gla.recipientSigner"] and signer not in seals)
    content = evidence["manifest"]["document"].encode()
    manifest, digest = json.loads(content), sha256(content).hexdigest()
    senders = keys(evidence["keys"], "manifest", terms["gla.senderKey"])
    own = senders[senders.index(terms["gla.senderKey"]) :]
    need(sshsig(evidence["manifest"]["signature"], content, "gla-manifest") in own)
    need(manifest["agreementDigest"] == sha256(document).hexdigest() and manifest["agreement"] == agreement["id"])
    need(evidence["delivery"] == f"{manifest['agreement']}/{manifest['period']}/{manifest['edition']}")
    origin, size, root = checkpoint(evidence["newest"], ledgers)
    first_origin, first_size, first_root = checkpoint(evidence["publication"], ledgers)
    path = [bytes.fromhex(each) for each in evidence["consistency"]]
    need(first_origin == origin and roots_of(first_size, size, path, True, first_root) == (first_root, root))
    events = []
    for event in evidence["events"]:
        body, nonce = json.loads(event["body"]), bytes.fromhex(event["nonce"])
        leaf = sha256(b"\x00gla-ledger-event-v2\n" + nonce + event["body"].encode()).digest()
        need(len(nonce) == 32 and 1 <= body["seq"] <= size)
        need(root_of(leaf, body["seq"] - 1, size, [bytes.fromhex(each) for each in event["proof"]]) == root)
        need((body["delivery_id"], body["agreement_id"]) == (manifest["contextId"], agreement["id"]))
        events.append((body["action"], body["seq"], json.loads(body["detail"])))
    (report,) = [detail["report"] for action, _, detail in events if action == "delivery.validated"]
    need((report["verdict"], report["contract"]["digest"]) == ("valid", manifest["agreementDigest"]))
    published = [(seq, detail) for action, seq, detail in events if action == "delivery.published"]
    need(published and min(published, key=lambda each: each[0])[0] <= first_size)
    for _, detail in published:
        told = {file["name"]: (file["size"], file["sha256"]) for file in detail["files"]}
        need(told["manifest.json"] == (len(content), digest))
        need(all(told[file["filename"]] == (file["size"], file["checksum"]) for file in manifest["files"]))
    said = []
    for action, _, detail in events:
        if action in ("delivery.confirmed", "delivery.rejected"):
            if detail["signer"] is not None:
                need(sshsig(detail["signature"], detail["text"].encode(), "gla-receipt") == signer)
                need(detail["text"].lstrip("\ufeff").split()[0].lower() == digest)
            said.append(f"{action}{'' if detail['signer'] is None else ', signed'}")
    return said


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    lines = []
    for name in sys.argv[2:4]:
        with open(name, encoding="ascii") as file:
            lines.append(" ".join(file.read().split()[:2]))
    try:
        said = check(document, *lines)
    except Exception as error:  # whatever is wrong with the file
        sys.exit(f"does not hold ({type(error).__name__})")
    print(f"holds: {document['delivery']} was agreed, judged and published; of the recipient: {said or 'nothing'}")
