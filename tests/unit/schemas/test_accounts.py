"""The accounts file and the pickups: what is refused, and what a pickup proves."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest

from core.errors import UnusableInput
from schemas.accounts import Account, Accounts, Pickup, blob_fingerprint, key_blob
from schemas.spans import whole_together

BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)
KEY = "ssh-ed25519 " + base64.b64encode(BLOB).decode()
MOMENT = "2026-04-05T12:00:00.000Z"


def pickup(*spans: tuple[int, int], size: int = 100, closed: bool = True, minute: int = 0) -> Pickup:
    values: dict[str, Any] = {
        "recipient": "fonds",
        "path": "GLA-1/2026-03/edition-1/data.age",
        "size": size,
        "bytes_read": sum(end - start for start, end in spans),
        "spans": spans,
        "whole": closed and spans == ((0, size),),
        "closed": closed,
        "address": "127.0.0.1",
        "session": "0" * 32,
        "fingerprint": blob_fingerprint(BLOB),
        "started": MOMENT,
        "ended": f"2026-04-05T12:{minute:02}:00.000Z",
    }
    return Pickup(**values)


def test_accounts_survive_the_file() -> None:
    accounts = Accounts(accounts=(Account(name="fonds", keys=(KEY,)), Account(name="other", keys=())))
    assert Accounts.from_bytes(accounts.to_bytes()) == accounts
    assert accounts.accounts[0].blobs() == {BLOB}


def test_a_pickup_is_one_line_and_survives_it() -> None:
    line = pickup((0, 10), (20, 30)).to_bytes()
    assert b"\n" not in line
    assert Pickup.from_bytes(line) == pickup((0, 10), (20, 30))


@pytest.mark.parametrize(
    "line",
    [
        "",
        KEY + " comment",
        KEY + "\n",
        " " + KEY,
        'command="x" ' + KEY,
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        KEY.replace("ssh-ed25519", "ssh-dss"),
        KEY.replace("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 A",
    ],
)
def test_a_key_with_options_comment_or_another_type_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="SSH public key"):
        key_blob(line)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}x",
        b'{"version":1,"version":1,"accounts":[]}',
        b'{"version":1,"accounts":[],"more":1}',
        b'{"version":"1","accounts":[]}',
        b'{"version":1,"accounts":[{"name":"..","keys":[]}]}',
        b'{"version":1,"accounts":[{"name":"a","keys":["ssh-rsa AAAA"]}]}',
        b'{"version":1,"accounts":[{"name":"a","keys":[]},{"name":"a","keys":[]}]}',
    ],
)
def test_an_accounts_file_that_is_not_exactly_right_is_refused_without_its_values(data: bytes) -> None:
    with pytest.raises(UnusableInput) as caught:
        Accounts.from_bytes(data)
    assert "AAAA" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("changes", [{"bytes_read": 99}, {"whole": False}, {"size": 99}, {"closed": False}])
def test_a_pickup_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    right = pickup((0, 100))
    assert right.whole
    with pytest.raises(ValueError, match="contradict"):
        Pickup(**{**right.model_dump(), **changes})


def test_parts_of_several_sessions_are_the_whole_together_in_any_order() -> None:
    parts = [
        pickup((0, 40), closed=False, minute=1),
        pickup((30, 70), closed=False, minute=2),
        pickup((70, 100), minute=3),
    ]
    assert all(whole_together(order) for order in itertools.permutations(parts))
    assert not any(whole_together(pair) for pair in itertools.combinations(parts, 2))


def test_parts_are_not_the_whole_when_the_connection_broke_at_the_last_of_them() -> None:
    assert not whole_together([pickup((0, 40), minute=1), pickup((40, 100), closed=False, minute=2)])
    assert not whole_together([])


def test_what_was_read_whole_stays_so_whatever_is_read_after_it() -> None:
    whole, later = pickup((0, 100), minute=1), pickup((0, 10), closed=False, minute=2)
    assert whole_together([later, whole])
