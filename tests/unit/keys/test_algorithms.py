"""The crypto inventory is complete: what the code takes from the cryptographic library is in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from keys.algorithms import ALGORITHMS, algorithm_of, as_markdown
from keys.private.identities import generate_identity
from keys.private.mldsa import MldsaSigner
from keys.private.signing import Signer
from keys.published import check_value

ROOT = Path(__file__).resolve().parents[3]
NO_ALGORITHM = {  # forms of keys and messages, and exceptions
    "Encoding", "PrivateFormat", "PublicFormat", "NoEncryption", "Buffer", "InvalidTag", "InvalidSignature", "x509",
    "load_ssh_private_key", "load_ssh_public_key", "load_pem_private_key", "load_der_private_key", "PKCS7Options",
}  # fmt: skip


def imported() -> set[str]:
    names = set()
    for path in (ROOT / "keys").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptography"):
                names |= {alias.name for alias in node.names}
    return names


def test_every_name_of_the_library_that_we_import_is_in_the_inventory() -> None:
    listed = {name for algorithm in ALGORITHMS for name in algorithm.api}
    assert imported() - NO_ALGORITHM <= listed
    assert listed <= imported(), "and nothing is listed that is not used any more"


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda it: it.name)
def test_every_place_in_the_inventory_is_there(algorithm) -> None:  # type: ignore[no-untyped-def]
    assert all((ROOT / place.strip()).exists() for place in algorithm.where.split(","))


def test_keys_are_named_by_their_algorithm() -> None:
    lines = [
        Signer.generate().public_key.line,
        MldsaSigner.generate().public_key.line,
        str(generate_identity("hybrid").recipient),
        str(generate_identity("x25519").recipient),
        check_value(bytes(32)),
        "age-hybrid",
        "OPENPGP:ABCD",
        "ecdsa-sha2-nistp256 AAAA",
        "ecdsa-sha2-nistp384 AAAA",
        "ecdsa-sha2-nistp521 AAAA",
        "ssh-rsa AAAA",
        "age-x25519",
        "openpgp",
        "x509",
        "something else",
    ]
    assert [algorithm_of(line) for line in lines] == [
        "Ed25519",
        "ML-DSA-65",
        "ML-KEM-768 with X25519",
        "X25519",
        "HMAC secret of 256 bits",
        "ML-KEM-768 with X25519",
        "Ed25519 (OpenPGP)",
        "ECDSA P-256",
        "ECDSA P-384",
        "ECDSA P-521",
        "RSA",
        "X25519",
        "OpenPGP certificate",
        "X.509 certificate",
        "something",
    ]


def test_the_document_has_a_row_for_each() -> None:
    assert as_markdown().count("\n| ") == len(ALGORITHMS) + 1
