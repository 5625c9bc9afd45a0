"""Replace one of our keys: a new one is made, published with the signature of the old one, and only then used.

Interrupted at any moment, the same call finishes it. The old private key of a role that signs is removed, since it has
no use any more; identities, secrets of digests and OpenPGP keys stay behind the new one, for what is old. Nothing can
stand behind a key in a token, or take one from there: so the place of a key for digests is noted when it moves.
"""

from __future__ import annotations

from core.errors import KeyUnusable
from keys.private import material
from keys.private.custody import Custody
from keys.private.material import DigestKeys, Intake, Material, is_published_as
from keys.private.openpgp_signing import OpenPgpSigners
from keys.private.uri import FileUri, KeyUri, TokenUri
from keys.published import PublishedKey
from keys.roles import Role


def rotate(custody: Custody, role: Role, to: str | None = None) -> tuple[PublishedKey, PublishedKey]:
    """Put a new key in the file of the old one, or go on with the key at the URI `to`; returns the old and the new.

    A key at `to` that is not there yet is made. From then on the settings must name `to`: the caller says so.
    """
    here = custody.uri(role)
    if to is None and isinstance(here, FileUri):
        _replace_file(custody, role, here)
    elif to is None:
        raise KeyUnusable(f"the {role} key is not in a file: name the place of the new one with --to")
    else:
        _move(custody, role, here, custody.parse_uri(role, to))
    old, new = custody.history().of(role)[-2:]
    return old, new


def _replace_file(custody: Custody, role: Role, here: FileUri) -> None:
    old = custody.load(role)
    draft = FileUri(here.path.with_name(f"{here.path.name}.next"))
    if not draft.path.is_file():
        custody.published(role)
        custody.make(role, draft, material.renewed(role, material.generate(role), here.read()))
    last = custody.history().last(role)
    if last is None or not is_published_as(custody.load(role, draft), last.key):
        custody.published(role)
        custody.publish(role, draft, old, lambda: draft.path.replace(here.path))
    else:
        draft.path.replace(here.path)  # it was published, and then something stopped us


def _move(custody: Custody, role: Role, here: KeyUri, there: KeyUri) -> None:
    if there == here:
        raise KeyUnusable(f"{role.setting} names this key already: name another with --to")
    old, known = custody.load(role), custody.published(role)
    if role is Role.PERSON_DIGESTS and TokenUri in (type(here), type(there)):
        custody.keep_as_earlier(role)
    new = _loaded_or_made(custody, role, here, there)
    if is_published_as(new, known[-1].line):
        raise KeyUnusable(f"the {role} key at {there} is the one of today: name a new key")
    if any(is_published_as(new, each.line) for each in known):
        raise KeyUnusable(f"the {role} key at {there} was replaced before: name a new key")
    if not _keeps(old, new):
        raise KeyUnusable(f"{there} must hold the earlier {role} keys too, behind the new one: what is old needs them")
    custody.publish(role, there, old)


def _loaded_or_made(custody: Custody, role: Role, here: KeyUri, there: KeyUri) -> Material:
    if isinstance(there, FileUri) and not there.path.exists():
        old = None if isinstance(here, TokenUri) else here.read()
        content = material.generate(role)
        custody.make(role, there, content if old is None else material.renewed(role, content, old))
    elif isinstance(there, TokenUri) and not custody.is_in_token(role, there):
        custody.make(role, there)
    return custody.load(role, there)


def _keeps(old: Material, new: Material) -> bool:
    if isinstance(old, Intake) and isinstance(new, Intake):
        kept = {str(identity.recipient) for identity in new.identities}
        return all(str(identity.recipient) in kept for identity in old.identities)
    if isinstance(old, DigestKeys) and isinstance(new, DigestKeys):
        return all(key in new.keys or any(key.name == each.name for each in new.keys) for key in old.keys)
    if isinstance(old, OpenPgpSigners) and isinstance(new, OpenPgpSigners):
        return {each.fingerprint for each in old.signers} <= {each.fingerprint for each in new.signers}
    return True
