"""Which form of encryption a fingerprint, a file name and an agreement say, and that one delivery has one form."""

from __future__ import annotations

import pytest

from core.errors import ManifestInvalid
from schemas.envelopes import AGE, CMS, OPENPGP, form_of_file, form_of_fingerprint
from schemas.manifest import Manifest, ManifestFile

SHA = "0" * 64
FINGERPRINTS = {
    f"SHA256:{'A' * 43}": AGE,
    f"OPENPGP:{'0123456789ABCDEF' * 4}": OPENPGP,
    f"OPENPGP:{'A' * 40}": OPENPGP,
    f"X509:{'0123456789abcdef' * 4}": CMS,
}
NOT_FINGERPRINTS = [
    "",
    f"SHA256:{'A' * 44}",
    f"OPENPGP:{'a' * 40}",
    f"OPENPGP:{'A' * 41}",
    f"OPENPGP:{'A' * 40}\n",
    f"OPENPGP:{'A' * 16}",  # a key id, of which anyone can make another
    f"X509:{'A' * 64}",
    f"X509:{':'.join(['ab'] * 32)}",
    f"x509:{'a' * 64}",
]


@pytest.mark.parametrize("text", FINGERPRINTS)
def test_a_fingerprint_says_its_form(text):
    assert form_of_fingerprint(text) is FINGERPRINTS[text]


@pytest.mark.parametrize("text", NOT_FINGERPRINTS)
def test_what_is_nearly_a_fingerprint_is_none(text):
    assert form_of_fingerprint(text) is None


def test_a_file_name_says_its_form():
    assert [form_of_file(f"a.csv.zst{form.suffix}") for form in (AGE, OPENPGP, CMS)] == [AGE, OPENPGP, CMS]
    assert form_of_file("manifest.json.sig") is None


def manifest(*names: str) -> Manifest:
    return Manifest(
        context_id="x",
        agreement="GLA-1",
        agreement_digest=SHA,
        recipient="fonds",
        product="people",
        period="2026-03",
        edition=1,
        supersedes=None,
        creation_time="2026-04-05T12:00:00.000Z",
        expiration_time="2026-05-05T12:00:00.000Z",
        files=tuple(
            ManifestFile(filename=name, size=1, checksum=SHA, content_type="x", chunks=(SHA,)) for name in names
        ),
    )


@pytest.mark.parametrize("suffix", [".age", ".pgp", ".p7m"])
def test_the_pakbon_is_found_by_its_name_in_any_form(suffix):
    assert manifest(f"a.parquet{suffix}", f"pakbon.json{suffix}").pakbon.filename == f"pakbon.json{suffix}"


@pytest.mark.parametrize("names", [("a.age",), ("pakbon.json",), ("pakbon.json.age", "pakbon.json.pgp")])
def test_no_pakbon_or_two_are_refused(names):
    with pytest.raises(ManifestInvalid, match="no pakbon, or more than one"):
        _ = manifest(*names).pakbon
