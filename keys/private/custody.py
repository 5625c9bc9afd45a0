"""Our own private keys, and the published history of them (`keys.published`), which lies beside them.

Every key of ours that is used is published first, and the history must lead to the key that the settings name: so old
signatures stay checkable, and nobody adds or hides a key. A key is never replaced here but by `keys.private.rotation`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from core.clock import Clock, utc_now
from core.errors import GlaError, KeyUnusable
from core.files import append_line, append_only
from core.settings import Settings
from keys import published
from keys.private.derived import DerivingKey
from keys.private.identities import Identity
from keys.private.material import DigestKeys, Intake, Material, is_published_as, public_line
from keys.private.mldsa import MldsaSigner
from keys.private.openpgp_signing import OpenPgpSigners
from keys.private.places import KeyPlaces
from keys.private.signing import SigningKey
from keys.private.uri import KeyUri
from keys.published import Entry, KeyHistory, PublishedKey
from keys.roles import Role
from keys.sshsig import Namespace, SshPublicKey
from keys.verification import Reason, Verification

__all__ = ["Custody", "Role", "open_custody"]

_HISTORY = "history.jsonl"


class Custody(KeyPlaces):
    """Our keys. Reading raises `KeyUnusable` for a key that is absent or open to others, with the next step."""

    def __init__(self, directory: Path, uris: Mapping[Role, str] | None = None, clock: Clock = utc_now) -> None:
        super().__init__(directory, uris)
        self._clock = clock

    def create(self, role: Role) -> PublishedKey:
        """Make the key of a role, in its file or token, and publish it.

        Raises `KeyUnusable` if there is one, also when another process is first.
        """
        if self.history().last(role) is not None:
            raise KeyUnusable(
                f"there is a key for {role} already, and it is not replaced by this: use gla keys rotate-own {role}"
            )
        self.make(role, self.uri(role))
        return self.published(role)[-1]

    def signer(self, role: Role) -> SigningKey:
        """The key that signs for one of the SSH roles; never one that the history says was replaced."""
        key = self._settled(role)
        if isinstance(key, MldsaSigner | Intake | DigestKeys | OpenPgpSigners):
            raise KeyUnusable(f"the {role} key makes no SSH signatures")
        return key

    def public_key(self, role: Role) -> SshPublicKey:
        """The public key of today of one of the SSH roles."""
        return self.signer(role).public_key

    def mldsa_signer(self) -> MldsaSigner | None:
        """The key of the second signature on deliveries; None where the settings name none."""
        if not self.configured(Role.MANIFEST_MLDSA):
            return None
        key = self._lazily(Role.MANIFEST_MLDSA)
        assert isinstance(key, MldsaSigner), "this role has only such keys"
        return key

    def identities(self) -> tuple[Identity, ...]:
        """What opens files that are sealed to us, newest first; made when it is first asked for."""
        key = self._lazily(Role.INTAKE)
        assert isinstance(key, Intake), "this role has only such keys"
        return key.identities

    def person_digest_keys(self) -> tuple[DerivingKey, ...]:
        """What keys for digests of persons are derived from, that of today first; made when it is first asked for.

        Earlier ones are for what was made with them; those in a token are not asked for before they are used.
        """
        key = self._lazily(Role.PERSON_DIGESTS)
        assert isinstance(key, DigestKeys), "this role has only such keys"
        return key.keys

    def openpgp_signers(self) -> OpenPgpSigners:
        """What signs inside OpenPGP messages; made when it is first asked for."""
        key = self._lazily(Role.OPENPGP)
        assert isinstance(key, OpenPgpSigners), "this role has only such keys"
        return key

    def _lazily(self, role: Role) -> Material:
        if not self.exists(role):
            try:
                self.create(role)
            except KeyUnusable as error:
                if not self.exists(role):  # otherwise another process made it at the same moment
                    raise error.with_traceback(None) from None
        return self._published(role)[0]

    @property
    def history_path(self) -> Path:
        return self.directory / _HISTORY

    def history(self) -> KeyHistory:
        """As it was read; `KeyHistory.of` verifies."""
        try:
            return KeyHistory.parse(self.history_path.read_bytes())
        except FileNotFoundError:
            return KeyHistory()
        except OSError as error:
            reason = error.strerror
        raise KeyUnusable(f"the history of our keys cannot be read ({reason}): check {self.history_path}")

    def published(self, role: Role) -> tuple[PublishedKey, ...]:
        """All keys of a role, oldest first, signed by one another, and ending with the key that the settings name.

        A key of which nothing was published yet gets its first entry. `KeyUnusable` if the history leads elsewhere.
        """
        return self._published(role)[1]

    def _published(self, role: Role) -> tuple[Material, tuple[PublishedKey, ...]]:
        key = self._settled(role)
        keys = self.history().of(role)
        if not keys:
            self.publish(role, self.uri(role), None)
            keys = self.history().of(role)
        return key, keys

    def _settled(self, role: Role) -> Material:
        """The key of the settings, which must be the last one of the history, as far as there is one."""
        last = None
        for _ in range(2):
            key, last = self.load(role), self.history().last(role)
            if last is None or is_published_as(key, last.key):
                return key
            with suppress(OSError), append_only(self.history_path, mode=0o600):
                """Another process may be replacing the key right now: this waits until it has."""
        ending = "another" if last is None else published.fingerprint(last.key)
        raise KeyUnusable(
            f"the {role} key is not the one that the history of our keys ends with, {ending}: "
            f"set {role.setting} to that key, or finish its rotation with gla keys rotate-own {role}"
        )

    def publish(
        self, role: Role, uri: KeyUri, replaced: Material | None, then: Callable[[], object] = lambda: None
    ) -> None:
        """Append the key at `uri` to the history, signed by the one that it replaces and by itself; and do `then`.

        Without one that it replaces it becomes the first of its role, unless another process made it so.
        """
        key, endorser = self.load(role, uri), replaced
        if not published.can_sign(role):
            self.published(Role.AGREEMENT_SEAL)
            endorser = self.load(Role.AGREEMENT_SEAL)
        self.check_directory()
        try:
            with append_only(self.history_path, mode=0o600) as file:
                history = self.history()
                last = history.last(role)
                if replaced is None and last is not None:
                    return
                if replaced is not None and (last is None or not is_published_as(replaced, last.key)):
                    raise KeyUnusable(
                        f"the {role} key was replaced by someone else at the same time: see gla keys history"
                    )
                draft = published.new_entry(history, role, public_line(key), self._clock())
                append_line(file, _signed(draft, key, endorser).line())
                then()
            return
        except OSError as error:
            reason = error.strerror
        raise KeyUnusable(f"the history of our keys cannot be written ({reason}): check {self.history_path}")

    def verify(
        self, role: Role, signature: str, message: bytes, namespace: Namespace, at: datetime | None = None
    ) -> Verification:
        """Whether a key of ours signed, today's or an earlier one. `at` is as in `published.judge`.

        Deny on any exception; only what is wrong with our own key or history is raised: the operator must act then.
        """
        try:
            return published.judge(self.published(role), signature, message, namespace, at)
        except GlaError:
            raise
        except Exception:  # noqa: BLE001  deny, whatever it was
            return Verification(Reason.NOT_CHECKED)


def open_custody(settings: Settings, clock: Clock = utc_now) -> Custody:
    """Our own keys, where the settings say that they are."""
    named = {role: getattr(settings.own_keys, role.replace("-", "_")) for role in Role}
    return Custody(settings.keys_dir, {role: uri for role, uri in named.items() if uri is not None}, clock)


def _signed(entry: Entry, key: Material, endorser: Material | None) -> Entry:
    message = entry.message()
    return Entry(entry.role, entry.key, entry.since, entry.previous, _sign(endorser, message), _sign(key, message))


def _sign(key: Material | None, message: bytes) -> str | None:
    if key is None or isinstance(key, Intake | DigestKeys | OpenPgpSigners):
        return None
    signature = key.sign(message, Namespace.KEY_HISTORY)
    return signature if isinstance(signature, str) else base64.b64encode(signature).decode()
