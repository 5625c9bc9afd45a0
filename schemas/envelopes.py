"""The three ways in which a delivery is encrypted, as names show them: file suffix, content type, fingerprint of a key.

age is the rule; OpenPGP and CMS are for recipients who have only that. All files of a delivery are of one way, that of
the keys that its agreement names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class EnvelopeForm:
    """`fingerprint` is the form of a key's fingerprint as an agreement names it."""

    name: str
    suffix: str
    content_type: str
    fingerprint: re.Pattern[str]


AGE = EnvelopeForm("age", ".age", "application/age", re.compile(r"SHA256:[A-Za-z0-9+/]{43}"))
OPENPGP = EnvelopeForm(
    "OpenPGP", ".pgp", "application/pgp-encrypted", re.compile(r"OPENPGP:(?:[0-9A-F]{40}|[0-9A-F]{64})")
)
CMS = EnvelopeForm("CMS", ".p7m", "application/pkcs7-mime", re.compile(r"X509:[0-9a-f]{64}"))
FORMS = (AGE, OPENPGP, CMS)


def form_of_fingerprint(text: str) -> EnvelopeForm | None:
    """The form of the key that has this fingerprint; None for what is no fingerprint."""
    return next((form for form in FORMS if form.fingerprint.fullmatch(text)), None)


def form_of_file(name: str) -> EnvelopeForm | None:
    """The form that a file's suffix says; None for what is not encrypted."""
    return next((form for form in FORMS if name.endswith(form.suffix)), None)
