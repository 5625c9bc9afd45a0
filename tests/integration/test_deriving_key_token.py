"""The key that person digests are derived from, in a real PKCS#11 token (SoftHSM2): it derives there as in memory."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import threading
from pathlib import Path

import numpy as np
import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass

from core.errors import KeyUnusable
from keys.private.custody import Custody, Role
from keys.private.derived import DerivingKey, LocalDerivingKey
from keys.private.keyed import digest_by, is_digest
from keys.private.people import PeopleKey, context, is_in, seal_people
from keys.private.rotation import rotate
from keys.private.secret import Secret
from keys.private.token import TokenDerivingKey, create_token_deriving_key, create_token_key, load_token_deriving_key
from keys.private.uri import TokenUri, parse_key_uri
from tests.servers.softhsm import PIN, SoftToken, logins, make_token, token

__all__ = ["logins", "make_token", "token"]

pytestmark = pytest.mark.server
ROLE = Role.PERSON_DIGESTS
SECRET = bytes(range(32))
CONTEXTS = [b"", b"one", b"two" * 100]


def parsed(text: str) -> TokenUri:
    uri = parse_key_uri(text, Path("/nowhere"), "secret-key")
    assert isinstance(uri, TokenUri)
    return uri


def session(token: SoftToken, **options):
    return pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin=PIN, **options)


def put(token: SoftToken, label: str = "key", value: bytes = SECRET, **attributes: object) -> None:
    """A secret as another program may have put it there."""
    wanted = {"SIGN": True, "SENSITIVE": True, "EXTRACTABLE": False, "PRIVATE": True, "TOKEN": True} | attributes
    with session(token, rw=True) as opened:
        opened.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                Attribute.LABEL: label,
                Attribute.VALUE: value,
            }
            | {getattr(Attribute, name): it for name, it in wanted.items()}
        )


def revealed(key: DerivingKey, contexts: list[bytes] = CONTEXTS) -> list[bytes]:
    return [each.reveal() for each in key.derive(contexts)]


@pytest.fixture
def made(token) -> TokenDerivingKey:
    create_token_deriving_key(parsed(token.uri()))
    return load_token_deriving_key(parsed(token.uri()))


class TestDeriving:
    def test_a_key_in_a_token_and_in_memory_are_one_thing(self, token):
        put(token)
        inside, here = load_token_deriving_key(parsed(token.uri())), LocalDerivingKey(Secret(SECRET))
        assert inside.name == here.name
        assert here.answers_to(inside.name)
        assert inside.answers_to(here.name)
        assert revealed(inside) == revealed(here)
        assert digest_by(inside, "rows", b"data") == digest_by(here, "rows", b"data")
        with tempfile.TemporaryFile(buffering=0) as file:
            kept = seal_people(file, inside, "set", 2, [np.array([5, 7], dtype=np.uint32)])
            own = PeopleKey(here.derive([context("set", kept.salt)])[0])
            assert [is_in(file.fileno(), own, "set", kept, each) for each in (5, 6, 7)] == [True, False, True]

    def test_two_keys_have_nothing_in_common(self, token, made):
        create_token_deriving_key(parsed(token.uri("other")))
        other = load_token_deriving_key(parsed(token.uri("other")))
        assert other.name != made.name
        assert not set(revealed(other)) & set(revealed(made))
        assert not is_digest(digest_by(other, "rows", b"data"), [made], "rows", b"data")

    def test_all_is_derived_in_one_session(self, made, logins):
        assert len(set(revealed(made, [b"%d" % number for number in range(1000)]))) == 1000
        assert logins == ["key"]

    def test_nothing_is_asked_for_nothing(self, token, logins):
        assert TokenDerivingKey(parsed(token.uri())).derive([]) == []
        assert logins == []

    def test_threads_and_a_child_process_derive_too(self, made):
        found: list[list[bytes]] = []
        threads = [threading.Thread(target=lambda: found.append(revealed(made))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            found.append(pool.apply(revealed, (made,)))
        assert found == [revealed(made)] * 5


class TestTheKeyStays:
    def test_it_cannot_leave_the_token(self, token, made):
        with session(token) as opened:
            key = opened.get_key(object_class=ObjectClass.SECRET_KEY, label="key")
            assert (key.key_type, key[Attribute.VALUE_LEN]) == (KeyType.GENERIC_SECRET, 32)
            for name, expected in {
                "EXTRACTABLE": False, "NEVER_EXTRACTABLE": True, "SENSITIVE": True, "ALWAYS_SENSITIVE": True,
                "PRIVATE": True, "LOCAL": True, "SIGN": True,
                "VERIFY": False, "ENCRYPT": False, "DECRYPT": False, "WRAP": False, "UNWRAP": False, "DERIVE": False,
            }.items():  # fmt: skip
                assert key[getattr(Attribute, name)] is expected, name
            with pytest.raises(pkcs11.AttributeSensitive):
                key[Attribute.VALUE]

    def test_who_has_no_pin_does_not_see_it(self, token, made):
        with pkcs11.lib(str(token.module)).get_token(token_label=token.label).open() as opened:
            assert list(opened.get_objects({Attribute.LABEL: "key"})) == []

    @pytest.mark.parametrize("attributes", [{"EXTRACTABLE": True}, {"SENSITIVE": False}])
    def test_one_that_could_leave_is_not_used(self, token, attributes):
        put(token, **attributes)
        with pytest.raises(KeyUnusable, match="could leave"):
            load_token_deriving_key(parsed(token.uri()))

    def test_nothing_of_it_is_on_disk_or_shown(self, token, tmp_path, caplog):
        """Not even what is derived, which is all that we ever see."""
        caplog.set_level(logging.DEBUG)
        put(token)
        custody = Custody(tmp_path / "keys", {ROLE: token.uri()})
        custody.create(Role.AGREEMENT_SEAL)
        [key] = custody.person_digest_keys()
        [derived] = key.derive([b"context"])
        needles = [form for each in (SECRET, derived.reveal()) for form in (each, each.hex().encode())]
        shown = [file.read_bytes() for file in (tmp_path / "keys").rglob("*") if file.is_file()]
        shown += [text.encode() for text in (caplog.text, repr(key), repr(vars(key)))]
        assert not [needle for needle in needles for content in shown if needle in content]


class TestWhatIsWrong:
    def test_a_key_is_never_made_over_another(self, token, made):
        for create in (create_token_deriving_key, create_token_key):
            with pytest.raises(KeyUnusable, match="not replaced"):
                create(parsed(token.uri()))

    def test_a_wrong_pin_is_tried_once_and_named_as_such(self, token, made, logins, caplog):
        caplog.set_level(logging.DEBUG)
        token.pin_file.write_text("0000\n")
        with pytest.raises(KeyUnusable, match="the PIN is wrong: correct what pin-source names") as caught:
            made.derive([b"one"])
        assert logins == ["key"]
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert "0000" not in str(caught.value) + repr(made) + caplog.text
        token.pin_file.write_text(f"{PIN}\n")
        assert made.derive([b"one"])

    @pytest.mark.parametrize(
        ("uri", "sentence"),
        [
            ({"label": "absent"}, "the token holds no such key: make it with gla keys create"),
            ({"module-path": "/nowhere/lib.so"}, "cannot be loaded: install it"),
        ],
    )
    def test_what_is_absent_is_named_with_the_next_step(self, token, made, uri, sentence):
        with pytest.raises(KeyUnusable, match=sentence) as caught:
            load_token_deriving_key(parsed(token.uri(**uri)))
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    def test_an_absent_token_is_named_with_the_next_step(self, token):
        elsewhere = SoftToken("another", token.module, token.pin_file)
        with pytest.raises(KeyUnusable, match="there is no such token: plug it in"):
            load_token_deriving_key(parsed(elsewhere.uri()))

    def test_two_keys_of_one_label_are_not_chosen_between(self, token):
        put(token)
        put(token, value=bytes(32))
        with pytest.raises(KeyUnusable, match="more than one"):
            load_token_deriving_key(parsed(token.uri()))

    @pytest.mark.parametrize("wrong", [{"value": bytes(16)}, {"KEY_TYPE": KeyType.AES}])
    def test_a_key_of_another_kind_is_told(self, token, wrong):
        put(token, **wrong)
        with pytest.raises(KeyUnusable, match="no generic secret of 32 bytes: make another with gla keys create"):
            load_token_deriving_key(parsed(token.uri()))

    def test_a_key_that_the_token_does_not_let_be_used_is_told(self, token):
        put(token, SIGN=False)
        with pytest.raises(KeyUnusable, match=r": the token does not do it: see whether it works with pkcs11-tool$"):
            load_token_deriving_key(parsed(token.uri()))

    def test_a_key_that_took_the_place_of_another_derives_nothing(self, token, made):
        with session(token, rw=True) as opened:
            opened.get_key(label="key").destroy()
        put(token)
        with pytest.raises(KeyUnusable, match="another key there than before"):
            made.derive([b"one"])


class Stopped(BaseException):
    """As a kill would."""


@pytest.fixture
def at(tmp_path):
    """Custody of our keys, as the settings name the one for digests; a file by default."""

    def custody(uri: str | None = None) -> Custody:
        return Custody(tmp_path / "keys", {} if uri is None else {ROLE: uri})

    custody().create(Role.AGREEMENT_SEAL)
    return custody


def names(custody: Custody) -> list[str]:
    return [key.name for key in custody.person_digest_keys()]


class TestCustody:
    def test_it_is_made_in_the_token_by_gla_keys_create_and_not_by_the_way(self, token, at):
        custody = at(token.uri())
        with pytest.raises(KeyUnusable, match="make it with gla keys create"):
            custody.person_digest_keys()
        published = custody.create(ROLE)
        assert names(custody) == [published.line]
        with pytest.raises(KeyUnusable, match="already"):
            custody.create(ROLE)

    def test_a_swapped_key_is_not_used(self, token, at):
        custody = at(token.uri())
        custody.create(ROLE)
        with session(token, rw=True) as opened:
            opened.get_key(label="key").destroy()
        put(token)
        with pytest.raises(KeyUnusable, match="history of our keys ends with"):
            custody.person_digest_keys()

    def test_todays_key_takes_one_session_and_earlier_ones_none(self, token, at, logins):
        at(token.uri("first")).create(ROLE)
        rotate(at(token.uri("first")), ROLE, token.uri("second"))
        logins.clear()
        today, earlier = at(token.uri("second")).person_digest_keys()
        assert logins == ["second"]
        today.derive([b"one"])
        earlier.derive([b"one"])
        assert logins == ["second", "second", "first"]


class TestRotation:
    def test_what_every_key_made_is_known_through_all_moves(self, token, make_token, at, tmp_path):
        """A file, its successor in its place, a token, another key there, another token, a file, its successor."""
        made: list[tuple[str, str]] = []

        def check(custody: Custody) -> Custody:
            keys = custody.person_digest_keys()
            made.append((keys[0].name, digest_by(keys[0], "rows", b"data")))
            assert len({name for name, _ in made}) == len(made) == len(keys)
            assert [name for name, _ in reversed(made)] == [key.name for key in keys]
            assert all(is_digest(digest, keys, "rows", b"data") for _, digest in made)
            assert [key.line for key in custody.published(ROLE)] == [name for name, _ in made]
            return custody

        custody = check(at())
        rotate(custody, ROLE)
        check(custody)
        for uri in (token.uri("first"), token.uri("second"), make_token().uri(), f"file:{tmp_path}/elsewhere"):
            rotate(custody, ROLE, uri)
            with pytest.raises(KeyUnusable, match="GLA_KEYS__PERSON_DIGESTS"):
                custody.person_digest_keys()
            custody = check(at(uri))
        rotate(custody, ROLE)
        check(custody)

    def test_a_token_key_is_not_replaced_in_its_place(self, token, at):
        custody = at(token.uri())
        custody.create(ROLE)
        with pytest.raises(KeyUnusable, match="--to"):
            rotate(custody, ROLE)

    @pytest.mark.parametrize("start", ["file", "token"])
    @pytest.mark.parametrize("moment", ["before it is made", "made", "published"])
    def test_an_interrupted_move_is_finished_by_the_same_call(self, token, at, start, moment, monkeypatch):
        custody = at(None if start == "file" else token.uri("first"))
        custody.create(ROLE)
        before, there = names(custody), token.uri("second")

        def stop(*_: object, **__: object) -> None:
            raise Stopped

        publish = Custody.publish

        def publish_and_stop(*arguments: object) -> None:
            publish(*arguments)
            raise Stopped

        name, instead = {
            "before it is made": ("make", stop), "made": ("publish", stop), "published": ("publish", publish_and_stop)
        }[moment]  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setattr(Custody, name, instead)
            with pytest.raises(Stopped):
                rotate(custody, ROLE, there)
        if moment == "published":
            with pytest.raises(KeyUnusable, match="set GLA_KEYS__PERSON_DIGESTS to that key"):
                rotate(custody, ROLE, there)
        else:
            assert names(custody) == before, "it goes on with the key of before"
            rotate(custody, ROLE, there)
        assert names(at(there))[1:] == before
        assert len(at(there).published(ROLE)) == 2

    def test_a_wrong_pin_is_tried_once(self, token, make_token, at, logins):
        custody, other = at(token.uri()), make_token()
        custody.create(ROLE)
        other.pin_file.write_text("0000\n")
        logins.clear()
        with pytest.raises(KeyUnusable, match="the PIN is wrong"):
            rotate(custody, ROLE, other.uri("next"))
        assert logins.count("next") == 1
        assert len(custody.published(ROLE)) == 1

    def test_a_key_that_was_replaced_is_no_new_one(self, token, at):
        custody = at(token.uri("first"))
        custody.create(ROLE)
        rotate(custody, ROLE, token.uri("second"))
        custody = at(token.uri("second"))
        with pytest.raises(KeyUnusable, match="names this key already"):
            rotate(custody, ROLE, token.uri("second"))
        with pytest.raises(KeyUnusable, match="was replaced before: name a new key"):
            rotate(custody, ROLE, token.uri("first"))
        assert len(custody.published(ROLE)) == 2

    def test_an_earlier_file_that_is_lost_is_told_until_its_line_is_removed(self, token, at):
        custody = at()
        custody.create(ROLE)
        rotate(custody, ROLE, token.uri())
        custody.path(ROLE).unlink()
        with pytest.raises(KeyUnusable, match=r"put it back, or, .* remove its line from .*/person-digests\.earlier$"):
            at(token.uri()).person_digest_keys()
        (custody.directory / "person-digests.earlier").write_text("")
        assert len(names(at(token.uri()))) == 1

    def test_an_earlier_token_that_is_lost_stops_only_what_needs_it(self, token, make_token, at):
        at(token.uri()).create(ROLE)
        next_token = make_token()
        rotate(at(token.uri()), ROLE, next_token.uri())
        token.pin_file.unlink()
        today, earlier = at(next_token.uri()).person_digest_keys()
        assert today.derive([b"one"])
        with pytest.raises(KeyUnusable, match="No such file"):
            earlier.derive([b"one"])
