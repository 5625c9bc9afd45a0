"""The published history of our keys, attacked: what is added, removed, reordered, forged or cut is not believed."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import GlaError, KeyUnusable, SignerUnknown
from keys import published
from keys.private.custody import Custody, Role
from keys.private.derived import LocalDerivingKey
from keys.private.identities import generate_identity
from keys.private.rotation import rotate
from keys.private.secret import Secret
from keys.private.signing import Signer
from keys.published import Entry, KeyHistory, PublishedKey, judge, judge_by
from keys.sshsig import Namespace
from keys.verification import Reason, Verification

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MESSAGE = b"a manifest"


class World:
    """A custody whose clock is set by hand, one day for each rotation, and a signature by each key."""

    def __init__(self, folder: Path, rotations: int = 3) -> None:
        self.now = START
        uris = {Role.MANIFEST_MLDSA: "file:manifest-mldsa"}
        self.custody = Custody(folder / "keys", uris, lambda: self.now)
        for role in Role:
            self.custody.create(role)
        self.signatures = [self.sign()]
        for _ in range(rotations):
            self.now += DAY
            rotate(self.custody, Role.MANIFEST)
            self.signatures.append(self.sign())

    def sign(self) -> str:
        return self.custody.signer(Role.MANIFEST).sign(MESSAGE, Namespace.MANIFEST)

    @property
    def entries(self) -> list[Entry]:
        return list(self.custody.history().entries)

    def write(self, entries: list[Entry]) -> None:
        self.custody.history_path.write_bytes(b"".join(entry.line() + b"\n" for entry in entries))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_signatures_of_all_times_are_valid(world: World) -> None:
    for number, signature in enumerate(world.signatures):
        made = START + number * DAY
        judged = world.custody.verify(Role.MANIFEST, signature, MESSAGE, Namespace.MANIFEST, made)
        assert judged.reason is Reason.VALID
        assert judged.key == world.custody.published(Role.MANIFEST)[number].line


def test_the_time_of_a_key_ends_when_the_next_ones_begins(world: World) -> None:
    keys = world.custody.published(Role.MANIFEST)
    assert [key.since for key in keys] == [START + number * DAY for number in range(4)]
    assert [key.until for key in keys] == [*[key.since for key in keys[1:]], None]


def test_a_replaced_key_signs_nothing_that_says_to_be_made_later(world: World) -> None:
    judged = world.custody.verify(Role.MANIFEST, world.signatures[0], MESSAGE, Namespace.MANIFEST, START + 2 * DAY)
    assert (judged.valid, judged.reason) == (False, Reason.KEY_REPLACED)


def test_a_signature_that_was_begun_when_its_key_was_replaced_counts(world: World) -> None:
    moment = START + DAY + timedelta(minutes=1)
    assert world.custody.verify(Role.MANIFEST, world.signatures[0], MESSAGE, Namespace.MANIFEST, moment).valid


def test_a_recipient_is_led_from_any_key_to_all_later_ones_and_to_no_earlier_one(world: World) -> None:
    keys = world.custody.published(Role.MANIFEST)
    for number, key in enumerate(keys):
        assert world.custody.history().after(Role.MANIFEST, key.line) == keys[number:]
    with pytest.raises(SignerUnknown, match="does not hold the key"):
        world.custody.history().after(Role.MANIFEST, Signer.generate().public_key.line)


def _manifest(entries: list[Entry]) -> list[int]:
    return [number for number, entry in enumerate(entries) if entry.role == Role.MANIFEST]


def _all_keys(history: KeyHistory) -> set[str]:
    return {key.line for role in Role for key in history.of(role)}


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("field", ["key", "since", "previous", "endorsement", "possession", "role"])
def test_a_changed_field_is_not_believed(world: World, position: int, field: str) -> None:
    entries = world.entries
    place = _manifest(entries)[position]
    other = {
        "key": Signer.generate().public_key.line,
        "since": "2026-01-02T00:00:00.001Z",
        "previous": "0" * 64,
        "endorsement": world.sign(),
        "possession": world.sign(),
        "role": "ledger",
    }[field]
    entries[place] = replace(entries[place], **{field: other})
    with pytest.raises(SignerUnknown):
        _all_keys(KeyHistory(entries))


@pytest.mark.parametrize("position", range(3))
def test_a_removed_entry_is_noticed(world: World, position: int) -> None:
    entries = world.entries
    del entries[_manifest(entries)[position]]
    with pytest.raises(SignerUnknown):
        KeyHistory(entries).of(Role.MANIFEST)


def test_a_cut_off_end_leads_to_a_key_that_is_not_the_one_of_today(world: World) -> None:
    entries = world.entries
    del entries[_manifest(entries)[-1]]
    world.write(entries)
    with pytest.raises(KeyUnusable, match="history of our keys ends with"):
        world.custody.published(Role.MANIFEST)
    with pytest.raises(KeyUnusable):
        world.custody.verify(Role.MANIFEST, world.signatures[-1], MESSAGE, Namespace.MANIFEST)


def test_reordered_entries_are_noticed(world: World) -> None:
    entries = world.entries
    first, second = _manifest(entries)[1:3]
    entries[first], entries[second] = entries[second], entries[first]
    with pytest.raises(SignerUnknown):
        KeyHistory(entries).of(Role.MANIFEST)


def _forged(before: Entry, key: Signer, endorser: Signer | None, since: str | None = None) -> Entry:
    draft = published.new_entry(KeyHistory([before]), Role.MANIFEST, key.public_key.line, START + 9 * DAY)
    draft = replace(draft, since=since or draft.since)
    sign = lambda signer: signer and signer.sign(draft.message(), Namespace.KEY_HISTORY)  # noqa: E731
    return replace(draft, endorsement=sign(endorser), possession=sign(key))


def test_a_thief_without_our_key_cannot_add_his_own(world: World) -> None:
    thief = Signer.generate()
    for endorser in (None, thief):
        forged = _forged(world.custody.history().last(Role.MANIFEST), thief, endorser)
        with pytest.raises(SignerUnknown):
            KeyHistory([*world.entries, forged]).of(Role.MANIFEST)


def test_our_key_cannot_be_made_the_successor_of_a_thiefs(world: World) -> None:
    """Otherwise what the thief signed would be an old signature of ours."""
    thief = Signer.generate()
    first = published.new_entry(KeyHistory(), Role.MANIFEST, thief.public_key.line, START - DAY)
    first = replace(first, possession=thief.sign(first.message(), Namespace.KEY_HISTORY))
    entries = world.entries
    place = _manifest(entries)[0]
    ours = replace(entries[place], previous=published.sha256_hex(first.line()))
    ours = replace(ours, endorsement=thief.sign(ours.message(), Namespace.KEY_HISTORY))
    entries[place : place + 1] = [first, ours]
    with pytest.raises(SignerUnknown):
        KeyHistory(entries).of(Role.MANIFEST)


def test_time_does_not_run_backwards(world: World) -> None:
    ours = world.custody.signer(Role.MANIFEST)
    forged = _forged(
        world.custody.history().last(Role.MANIFEST), Signer.generate(), ours, since="2025-01-01T00:00:00.000Z"
    )
    with pytest.raises(SignerUnknown):
        KeyHistory([*world.entries, forged]).of(Role.MANIFEST)


def test_keys_that_cannot_sign_are_endorsed_by_our_seal_of_that_time(world: World) -> None:
    world.now += DAY
    rotate(world.custody, Role.AGREEMENT_SEAL)
    rotate(world.custody, Role.INTAKE)
    assert len(world.custody.published(Role.INTAKE)) == 2
    entries = world.entries
    [*_, last] = [number for number, entry in enumerate(entries) if entry.role == Role.INTAKE]
    entries[last] = replace(entries[last], endorsement=world.sign())
    with pytest.raises(SignerUnknown):
        KeyHistory(entries).of(Role.INTAKE)


def test_a_seal_that_was_replaced_endorses_nothing_later(world: World) -> None:
    """Otherwise a thief of an old seal could give our recipients a key of his own to seal to."""
    old = world.custody.signer(Role.AGREEMENT_SEAL)
    world.now += DAY
    rotate(world.custody, Role.AGREEMENT_SEAL)
    new = world.custody.signer(Role.AGREEMENT_SEAL)
    theirs = str(generate_identity().recipient)
    draft = published.new_entry(world.custody.history(), Role.INTAKE, theirs, world.now + DAY)
    by_old, by_new = (
        replace(draft, endorsement=seal.sign(draft.message(), Namespace.KEY_HISTORY)) for seal in (old, new)
    )
    assert KeyHistory([*world.entries, by_new]).of(Role.INTAKE)[-1].line == theirs
    with pytest.raises(SignerUnknown):
        KeyHistory([*world.entries, by_old]).of(Role.INTAKE)


def test_a_signature_for_another_purpose_is_no_endorsement(world: World) -> None:
    ours, thief = world.custody.signer(Role.MANIFEST), Signer.generate()
    forged = _forged(world.custody.history().last(Role.MANIFEST), thief, ours)
    forged = replace(forged, endorsement=ours.sign(forged.message(), Namespace.MANIFEST))
    with pytest.raises(SignerUnknown):
        KeyHistory([*world.entries, forged]).of(Role.MANIFEST)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"role": 1}', b'{"role":"manifest"}', b"x" * 100_000, b"[" * 100_000],
)
def test_a_line_that_is_none_is_named(world: World, line: bytes) -> None:
    data = world.custody.history_path.read_bytes()
    number = len(data.splitlines()) + 1
    with pytest.raises(SignerUnknown, match=f"line {number} "):
        KeyHistory.parse(data + line + b"\n")


def test_an_unknown_role_or_field_is_refused(world: World) -> None:
    value = json.loads(world.entries[0].line())
    for changed in (
        {**value, "role": "other"},
        {**value, "more": "x"},
        {**value, "possession": 3},
        {**value, "key": None},
    ):
        with pytest.raises(SignerUnknown):
            KeyHistory.parse(published.canonical_json(changed) + b"\n")


def test_a_line_that_was_not_written_to_its_end_is_none(world: World) -> None:
    data = world.custody.history_path.read_bytes()
    whole = len(KeyHistory.parse(data).entries)
    assert len(KeyHistory.parse(data + b'{"role":"manif').entries) == whole
    world.custody.history_path.write_bytes(data + b'{"role":"manif')
    rotate(world.custody, Role.MANIFEST)
    assert len(world.entries) == whole + 1


def test_a_history_of_a_gigabyte_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "LARGEST", 100)
    with pytest.raises(SignerUnknown, match="too large"):
        KeyHistory.parse(b"x" * 101)


@pytest.fixture(scope="module")
def old_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("old"), rotations=1)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_byte_is_changed_no_other_key_becomes_ours(old_world: World, data: st.DataObject) -> None:
    content = bytearray(old_world.custody.history().lines((Role.MANIFEST, Role.LEDGER)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        found = _all_keys(KeyHistory.parse(bytes(content)))
    except GlaError:
        return
    assert found <= _all_keys(old_world.custody.history())


@pytest.mark.parametrize("rubbish", ["", "x", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----", "é" * 99])
def test_judging_never_raises(world: World, rubbish: str) -> None:
    keys = [*world.custody.published(Role.MANIFEST), *world.custody.published(Role.MANIFEST_MLDSA)]
    assert not judge(keys, rubbish, MESSAGE, Namespace.MANIFEST).valid
    broken = PublishedKey(Role.MANIFEST, "ml-dsa-65 x", START, None)
    assert not judge([broken], rubbish, MESSAGE, Namespace.MANIFEST).valid


def test_a_signature_with_ml_dsa_is_strict_base64(world: World) -> None:
    signer = world.custody.mldsa_signer()
    assert signer is not None
    line = signer.public_key.line
    text = base64.b64encode(signer.sign(MESSAGE, Namespace.MANIFEST)).decode()
    assert judge_by(line, text, MESSAGE, Namespace.MANIFEST) == Verification(Reason.VALID, line)
    for changed in (f"{text}\n", f"\n{text}", text[:-4], "é"):
        assert judge_by(line, changed, MESSAGE, Namespace.MANIFEST) == Verification(Reason.MALFORMED)


def test_the_reason_names_what_is_wrong_and_the_key_that_did_sign(world: World) -> None:
    first, *_, last = world.custody.published(Role.MANIFEST)
    signature = world.signatures[0]
    assert judge_by(first.line, signature, MESSAGE, Namespace.MANIFEST) == Verification(Reason.VALID, first.line)
    assert judge_by(last.line, signature, MESSAGE, Namespace.MANIFEST) == Verification(Reason.ANOTHER_KEY, first.line)
    assert judge([last], signature, MESSAGE, Namespace.MANIFEST) == Verification(Reason.ANOTHER_KEY)
    assert judge([first, last], signature, b"other", Namespace.MANIFEST) == Verification(Reason.NOT_GENUINE)
    assert judge([], signature, MESSAGE, Namespace.MANIFEST) == Verification(Reason.ANOTHER_KEY)


def test_a_replaced_key_signs_for_five_minutes_more_and_not_a_moment_longer(world: World) -> None:
    first, *_ = keys = world.custody.published(Role.MANIFEST)
    assert first.until is not None
    end = first.until + timedelta(minutes=5)
    at = partial(judge, keys, world.signatures[0], MESSAGE, Namespace.MANIFEST)
    assert at(end) == Verification(Reason.VALID, first.line)
    assert at(end + timedelta(microseconds=1)) == Verification(Reason.KEY_REPLACED, first.line)


def test_a_check_value_tells_secrets_apart_and_nothing_else(world: World) -> None:
    [own] = world.custody.person_digest_keys()
    [key] = world.custody.published(Role.PERSON_DIGESTS)
    assert key.line == own.name != LocalDerivingKey(Secret(bytes(32))).name
    assert key.line.startswith("check-value SHA256:")
    secret = world.custody.path(Role.PERSON_DIGESTS).read_text().strip()
    assert secret not in world.custody.history_path.read_text()
