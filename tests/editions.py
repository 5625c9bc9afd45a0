"""A delivery as a recipient has it on its disk, with files of any bytes and size, signed by a key that it trusts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from apps.cli.open_delivery import open_delivery
from core.canonical import canonical_json, sha256_hex
from core.settings import Settings
from keys.private.signing import Signer
from keys.sshsig import Namespace
from schemas.manifest import MANIFEST_NAME, SIGNATURE_NAME

AGREEMENT = "GLA-1"
CHUNK = 1000


def listed(name: str, data: bytes, chunk: int = CHUNK) -> dict[str, Any]:
    chunks = [sha256_hex(data[start : start + chunk]) for start in range(0, len(data), chunk)]
    return {
        "filename": name, "size": len(data), "checksum": sha256_hex(data), "contentType": "application/age",
        "chunkSize": chunk, "chunks": chunks,
    }  # fmt: skip


@dataclass
class Edition:
    """`sent` is what the sender published; `here` is what the recipient has of it; nothing is encrypted."""

    folder: Path
    files: Mapping[str, bytes]
    chunk: int = CHUNK
    signer: Signer = field(default_factory=Signer.generate)

    def __post_init__(self) -> None:
        self.publish(self.sent)
        shutil.copytree(self.sent, self.here)
        pin = {"agreement": AGREEMENT, "agreementDigest": "0" * 64, "senderKey": self.signer.public_key.line}
        (self.folder / "home" / "pins").mkdir(parents=True)
        (self.folder / "home" / "pins" / f"{AGREEMENT}.json").write_bytes(canonical_json(pin))

    @property
    def sent(self) -> Path:
        return self.folder / "sent"

    @property
    def here(self) -> Path:
        return self.folder / "here"

    def publish(self, target: Path, edition: int = 1, agreement: str = AGREEMENT, signer: Signer | None = None) -> Path:
        target.mkdir(parents=True)
        for name, data in self.files.items():
            (target / name).write_bytes(data)
        manifest = canonical_json(
            {
                "version": 1, "contextId": "0" * 32, "agreement": agreement, "agreementDigest": "0" * 64,
                "recipient": "fonds", "product": "people", "period": "2026-03", "edition": edition,
                "supersedes": None, "creationTime": "2026-04-05T12:00:00Z", "expirationTime": "2026-05-05T12:00:00Z",
                "files": [listed(name, data, self.chunk) for name, data in self.files.items()],
            }
        )  # fmt: skip
        (target / MANIFEST_NAME).write_bytes(manifest)
        (target / SIGNATURE_NAME).write_text((signer or self.signer).sign(manifest, Namespace.MANIFEST))
        return target

    def check(self, *sources: str | Path, options: tuple[str, ...] = ()) -> str:
        """`gla open --check --from ...` on what is here; raises what it raises, returns what it prints."""
        named = [item for source in sources for item in ("--from", str(source))]
        settings = Settings(home=self.folder / "home")
        result = CliRunner().invoke(open_delivery, [str(self.here), "--check", *named, *options], obj=settings)
        if result.exception is not None:
            raise result.exception
        return result.output

    def is_whole(self) -> bool:
        return contents(self.here) == contents(self.sent)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
