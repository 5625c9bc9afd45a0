"""What can be wrong with an envelope, one class per layer of the format, so that a report names the layer.

The classes are those of the public test vectors (C2SP/CCTV, age): armor, header, HMAC, no match, payload::

    EnvelopeError
    ├── HeaderInvalid      33  the header, or a stanza addressed to us, is malformed
    ├── HmacMismatch       34  the header was changed after it was made
    ├── NoMatchingKey      35  it was sealed for somebody else
    ├── PayloadInvalid     36  the content is cut, extended or altered
    └── ArmorInvalid       37  the text form (PEM) is malformed
"""

from __future__ import annotations

from core.errors import EnvelopeError


class HeaderInvalid(EnvelopeError):
    exit_code = 33


class HmacMismatch(EnvelopeError):
    exit_code = 34


class NoMatchingKey(EnvelopeError):
    exit_code = 35


class PayloadInvalid(EnvelopeError):
    exit_code = 36


class ArmorInvalid(EnvelopeError):
    exit_code = 37
