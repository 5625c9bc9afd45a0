"""Recipients who have only OpenPGP or X.509: their keys, made with their own programs, and those programs."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

BORN = datetime(2026, 1, 1, tzinfo=UTC)  # before the moment at which the worlds of the tests live
PASSPHRASE = "correct horse"


class GnuPg:
    """gpg with a home of its own. The clock of a command can be set."""

    def __init__(self, program: str, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.program = program
        self.environment = {**os.environ, "GNUPGHOME": str(home)}

    def __call__(
        self, *arguments: Any, at: datetime | None = None, given: bytes | None = None, **options: Any
    ) -> bytes:
        clock = ["--faked-system-time", f"{at:%Y%m%dT%H%M%S}!"] if at else []  # !: it stands still
        words = [self.program, "--batch", "--quiet", "--trust-model", "always", "--pinentry-mode", "loopback", *clock]
        passphrase = ["--passphrase", options.get("passphrase", "")]
        done = subprocess.run(
            [*words, *passphrase, *map(str, arguments)],
            env=self.environment,
            input=given,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        self.said = done.stderr.decode("utf-8", "replace")  # a salt of Sequoia is told as it is
        return done.stdout

    def new_key(
        self, user: str, *, kind: str = "default", expires: str = "20y", at: datetime = BORN, passphrase: str = ""
    ) -> str:
        """The fingerprint of a key for signing and, in a subkey, for encryption."""
        if kind == "default":
            self("--quick-gen-key", user, "default", "default", expires, at=at, passphrase=passphrase)
        else:
            self("--quick-gen-key", user, kind, "sign", expires, at=at, passphrase=passphrase)
            self("--quick-add-key", self.fingerprint(user), kind, "encr", expires, at=at, passphrase=passphrase)
        return self.fingerprint(user)

    def fingerprint(self, user: str) -> str:
        lines = self("--list-keys", "--with-colons", user).decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr"))

    def export(self, user: str) -> bytes:
        return self("--armor", "--export", user)

    def stop(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=False)


def certificate_pair(
    *,
    key: Any = None,
    start: datetime = BORN,
    days: int = 365 * 20,
    encipherment: bool | None = True,
    ca: bool = False,
) -> tuple[bytes, bytes]:
    """(private key, certificate) in PEM, as a PKIoverheid certificate looks; self-signed."""
    key = key or rsa.generate_private_key(65537, 3072)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fonds"), x509.NameAttribute(NameOID.COUNTRY_NAME, "NL")])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if encipherment is not None:
        usage = dict.fromkeys(
            ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
            False,
        )
        usage |= {"digital_signature": True, "key_encipherment": encipherment, "key_cert_sign": ca}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)


def elliptic_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())
