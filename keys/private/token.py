"""Keys in a PKCS#11 token: made in it, never leaving it, and used inside it. The only module that knows PKCS#11.

Those that sign are Ed25519 where the token has it, else ECDSA P-256. One that others are derived from is a generic
secret of 32 bytes, with which the token makes HMACs. The PIN is read for each use and used once: a wrong one is not
tried again, since tokens lock after a few. Foreign exceptions end here; none of ours shows a PIN.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as foreign

from core.errors import KeyUnusable
from keys.notes import judge as judge_note
from keys.notes import signed_bytes, signed_note
from keys.private.derived import KEY_BYTES, NAME_CONTEXT, name_of
from keys.private.secret import Secret
from keys.private.uri import TokenUri
from keys.published import PublishedKey
from keys.roles import Role
from keys.sshsig import SshPublicKey, armored, ecdsa_signature, pack, parse_public_key, signed_data, verify_by

_ED25519 = b"\x06\x03\x2b\x65\x70"  # DER of the curve's name (RFC 8410)
_P256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # (RFC 5480)
_HALF = 32  # bytes of each number in a P-256 signature, and of an Ed25519 key
_OCTET_STRING = 0x04

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (foreign.NoSuchToken, "there is no such token: plug it in, or correct the token's name in the URI"),
    (foreign.MultipleTokensReturned, "there is more than one such token: add serial=... to the URI"),
    (foreign.PinLocked, "the token has locked its PIN after too many wrong ones: unlock it with its security officer"),
    (foreign.PinIncorrect, "the PIN is wrong: correct what pin-source names before anything tries again"),
    (foreign.PinInvalid, "the PIN is wrong: correct what pin-source names before anything tries again"),
    (foreign.PinLenRange, "the PIN is wrong: correct what pin-source names before anything tries again"),
    (foreign.UserPinNotInitialized, "the token has no PIN yet: initialise it"),
)
_OTHERWISE = "the token does not do it: see whether it works with pkcs11-tool"

_turn = threading.RLock()  # a token knows one login for the whole process, so one session at a time
_modules: dict[str, tuple[Any, int]] = {}  # with the process that opened it: a fork must begin anew

_T = TypeVar("_T")


class TokenSigner:
    """One key pair in a token. Holds the public half only; `repr` shows its fingerprint."""

    def __init__(self, uri: TokenUri, public_key: SshPublicKey) -> None:
        self._uri = uri
        self.public_key = public_key

    def sign(self, message: bytes, namespace: str) -> str:
        """The text of an SSH signature over `message`; `KeyUnusable` says what is wrong with token, PIN or key."""
        if not namespace:
            raise ValueError("a signature needs a namespace")
        data = signed_data(message, namespace)
        raw = _translated(self._uri, lambda: _sign(self._uri, self.public_key, data))
        kind = self.public_key.line.split(" ")[0]
        if kind != "ssh-ed25519":
            raw = ecdsa_signature(int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
        text = armored(self.public_key, namespace, pack(kind.encode()) + pack(raw))
        verify_by(text, message, namespace, self.public_key.fingerprint)  # a faulty signature could give the key away
        return text

    def sign_note(self, name: str, text: str) -> str:
        """The signed note (`keys.notes`) with this text, by this key under `name`; `KeyUnusable` as above."""
        data = signed_bytes(text)
        raw = _translated(self._uri, lambda: _sign(self._uri, self.public_key, data))
        if not self.public_key.line.startswith("ssh-ed25519 "):
            raw = encode_dss_signature(int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
        note = signed_note(name, text, self.public_key, raw)
        own = PublishedKey(Role.LEDGER, self.public_key.line, datetime.min.replace(tzinfo=UTC), None)
        judge_note([own], note).require("the signature that the token made")  # as above
        return note

    def __repr__(self) -> str:
        return f"<signer in a token {self.public_key.fingerprint}>"


def is_in_token(uri: TokenUri, *, deriving: bool) -> bool:
    """Whether a key pair is there, or a key that others are derived from; `KeyUnusable` if none can tell."""
    kind = ObjectClass.SECRET_KEY if deriving else ObjectClass.PUBLIC_KEY
    return _translated(uri, lambda: _is_there(uri, kind, login=deriving))


def load_token_signer(uri: TokenUri) -> TokenSigner:
    """The signer of a key pair in a token; reads the public half, which takes no PIN."""
    return TokenSigner(uri, _translated(uri, lambda: _public_key(uri)))


def create_token_key(uri: TokenUri) -> TokenSigner:
    """Make a key pair inside the token; `KeyUnusable` if one has this label already."""
    return TokenSigner(uri, _translated(uri, lambda: _create(uri)))


class TokenDerivingKey:
    """A `keys.private.derived.DerivingKey` in a token. Asks it for nothing before it is used.

    All that is derived together takes one session; the name is derived along, so that no other key takes its place.
    """

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri
        self._name: str | None = None

    @property
    def name(self) -> str:
        if self._name is None:
            self._derive([])
        assert self._name is not None, "the token has answered"
        return self._name

    def answers_to(self, name: str) -> bool:
        return name == self.name

    def derive(self, contexts: Iterable[bytes]) -> list[Secret]:
        wanted = list(contexts)
        return self._derive(wanted) if wanted else []

    def _derive(self, contexts: list[bytes]) -> list[Secret]:
        own, *derived = _translated(self._uri, lambda: _expand(self._uri, [NAME_CONTEXT, *contexts]))
        name = name_of(own)
        if self._name not in (None, name):
            raise KeyUnusable(f"{self._uri}: the token holds another key there than before: put back the one that was")
        self._name = name
        return derived

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenDerivingKey) and other._uri == self._uri

    def __hash__(self) -> int:
        return hash(self._uri)

    def __repr__(self) -> str:
        return f"<deriving key in a token {self._name or 'that was not asked yet'}>"


def load_token_deriving_key(uri: TokenUri) -> TokenDerivingKey:
    """The key that others are derived from in a token, which is asked for its name."""
    key = TokenDerivingKey(uri)
    assert key.name
    return key


def create_token_deriving_key(uri: TokenUri) -> None:
    """Make such a key inside the token; `KeyUnusable` if one has this label already."""
    _translated(uri, lambda: _create_secret(uri))


def _translated(uri: TokenUri, action: Callable[[], _T]) -> _T:
    try:
        return action()
    except KeyUnusable as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  foreign and many; none of them may carry a PIN further
        reason = next((text for kind, text in _REASONS if isinstance(error, kind)), _OTHERWISE)
    raise KeyUnusable(f"{uri}: {reason}")


@contextmanager
def _session(uri: TokenUri, *, login: bool, write: bool = False) -> Iterator[Any]:
    """One session, closed and logged out at the end."""
    pin = uri.pin.read().text() if login else None
    with _turn:
        module = _module(uri)
        serial = {} if uri.serial is None else {"token_serial": uri.serial.encode()}
        token = module.get_token(token_label=uri.token, **serial)
        with token.open(rw=write, user_pin=pin) as session:
            yield session


def _module(uri: TokenUri) -> Any:
    name = str(uri.module)
    module, process = _modules.get(name, (None, 0))
    try:
        if module is None:
            module = pkcs11.lib(name)
        elif process != os.getpid():
            module.reinitialize()
    except Exception:  # noqa: BLE001  not a library, not for this machine, or not willing
        module = None
    if module is None:
        raise KeyUnusable(f"the PKCS#11 module {name} cannot be loaded: install it, or correct module-path in the URI")
    _modules[name] = (module, os.getpid())
    return module


def _public_key(uri: TokenUri) -> SshPublicKey:
    with _session(uri, login=False) as session:
        return _ssh_key(_only(session, ObjectClass.PUBLIC_KEY, uri.label))


def _is_there(uri: TokenUri, kind: ObjectClass, *, login: bool) -> bool:
    with _session(uri, login=login) as session:
        return bool(list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: uri.label})))


def _only(session: Any, kind: ObjectClass, label: str) -> Any:
    found = list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))
    if not found:
        raise KeyUnusable("the token holds no such key: make it with gla keys create, or correct the object in the URI")
    if len(found) > 1:
        raise KeyUnusable("the token holds more than one such key: give each its own object label")
    return found[0]


def _ssh_key(public: Any) -> SshPublicKey:
    point = _octets(bytes(public[Attribute.EC_POINT]))
    key: Ed25519PublicKey | EllipticCurvePublicKey
    if public.key_type == KeyType.EC_EDWARDS and len(point) == _HALF:
        key = Ed25519PublicKey.from_public_bytes(point)
    elif public.key_type == KeyType.EC and bytes(public[Attribute.EC_PARAMS]) == _P256:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    else:
        raise KeyUnusable("the key is neither Ed25519 nor ECDSA P-256: make another with gla keys create")
    return parse_public_key(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def _octets(encoded: bytes) -> bytes:
    """The point, which PKCS#11 wraps in a DER octet string and some tokens do not."""
    wrapped = len(encoded) > 2 and encoded[0] == _OCTET_STRING and encoded[1] == len(encoded) - 2
    return encoded[2:] if wrapped else encoded


def _sign(uri: TokenUri, expected: SshPublicKey, data: bytes) -> bytes:
    with _session(uri, login=True) as session:
        key = _only(session, ObjectClass.PRIVATE_KEY, uri.label)
        _check_stays(key)
        if expected.line.startswith("ssh-ed25519"):
            return bytes(key.sign(data, mechanism=Mechanism.EDDSA))
        return bytes(key.sign(hashlib.sha256(data).digest(), mechanism=Mechanism.ECDSA))


def _check_stays(key: Any) -> None:
    if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
        raise KeyUnusable("the private key could leave the token: make one that cannot with gla keys create")


def _expand(uri: TokenUri, contexts: list[bytes]) -> list[Secret]:
    """As `keys.private.derived.expand`, inside the token."""
    with _session(uri, login=True) as session:
        key = _only(session, ObjectClass.SECRET_KEY, uri.label)
        _check_stays(key)
        if key.key_type != KeyType.GENERIC_SECRET or key[Attribute.VALUE_LEN] != KEY_BYTES:
            raise KeyUnusable("the key is no generic secret of 32 bytes: make another with gla keys create")
        return [Secret(key.sign(context + b"\x01", mechanism=Mechanism.SHA256_HMAC)) for context in contexts]


def _create_secret(uri: TokenUri) -> None:
    with _session(uri, login=True, write=True) as session:
        _check_free(session, uri.label)
        session.generate_key(
            KeyType.GENERIC_SECRET,
            KEY_BYTES * 8,
            label=uri.label,
            id=os.urandom(8),
            store=True,
            capabilities=MechanismFlag.SIGN,
            mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
            template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
        )


def _check_free(session: Any, label: str) -> None:
    if list(session.get_objects({Attribute.LABEL: label})):
        raise KeyUnusable("the token holds an object of this label already, and it is not replaced")


def _create(uri: TokenUri) -> SshPublicKey:
    with _session(uri, login=True, write=True) as session:
        _check_free(session, uri.label)
        edwards = Mechanism.EC_EDWARDS_KEY_PAIR_GEN in session.token.slot.get_mechanisms()
        kind, curve = (KeyType.EC_EDWARDS, _ED25519) if edwards else (KeyType.EC, _P256)
        parameters = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve}, local=True)
        public, _ = parameters.generate_keypair(
            label=uri.label,
            id=os.urandom(8),
            store=True,
            public_template={Attribute.VERIFY: True},
            private_template={
                Attribute.SIGN: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True,
            },
        )  # fmt: skip
        return _ssh_key(public)
