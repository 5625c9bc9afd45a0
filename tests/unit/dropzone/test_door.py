"""Who comes in and who makes room, without a server: time is a number."""

from __future__ import annotations

import pytest

from apps.dropzone.door import Door, Refused, Visitor
from core.settings import DropzoneSettings

HERE, THERE = "192.0.2.1", "198.51.100.7"


def door(**limits: int) -> Door:
    return Door(DropzoneSettings(**limits))


def come(door: Door, address: str = HERE, now: float = 0.0) -> Visitor:
    assert door.come(address, now) == now
    return door.begin(address, now)


def fail(door: Door, times: int, address: str = HERE, now: float = 0.0) -> list[float]:
    waits = []
    for _ in range(times):
        visitor = door.begin(address, now)
        waits.append(door.fail(visitor, now))
        door.leave(visitor)
    return waits


def test_who_comes_often_waits_longer_and_longer_and_is_refused_in_the_end() -> None:
    busy = door(connections_per_minute=60)
    waits = [busy.come(HERE, 0.0) for _ in range(25)]
    with pytest.raises(Refused, match="too often"):
        busy.come(HERE, 0.0)
    assert waits == [0.0] * 15 + [float(second) for second in range(1, 11)]
    assert busy.come(THERE, 0.0) == 0.0
    assert busy.come(HERE, 100.0) == 100.0


def test_when_too_many_wait_nobody_else_does() -> None:
    busy = door(connections_per_minute=60)
    for number in range(256):
        busy.come(f"10.0.0.{number}", 0.0)
    with pytest.raises(Refused, match="too many"):
        busy.come(HERE, 0.0)
    busy.begin("10.0.0.1", 0.0)
    assert busy.come(HERE, 0.0) == 0.0


def test_with_too_many_strangers_the_oldest_makes_room() -> None:
    crowded = door(max_strangers=2, max_strangers_per_address=2)
    first, second = come(crowded, HERE, 1.0), come(crowded, THERE, 2.0)
    assert crowded.too_many(second) is None
    third = come(crowded, THERE, 3.0)
    assert crowded.too_many(third) is first
    first.leaving = True
    assert crowded.too_many(third) is None


def test_an_address_with_too_many_strangers_loses_its_own_oldest() -> None:
    crowded = door(max_strangers=100, max_strangers_per_address=1)
    other, first = come(crowded, THERE, 0.0), come(crowded, HERE, 1.0)
    second = come(crowded, HERE, 2.0)
    assert crowded.too_many(second) is first
    assert not other.leaving


def test_who_logged_in_makes_no_room() -> None:
    crowded = door(max_strangers=1)
    inside = come(crowded)
    assert crowded.enter(inside, "fonds") is None
    assert crowded.too_many(come(crowded, now=1.0)) is None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_connections": 2}, "there are too many connections"),
        ({"max_per_recipient": 2}, "this recipient"),
        ({"max_per_address": 2}, "this address"),
    ],
)
def test_the_third_that_logs_in_leaves_and_room_comes_back(limits: dict[str, int], reason: str) -> None:
    full = door(**limits)
    first, second, third = (come(full) for _ in range(3))
    assert full.enter(first, "fonds") is full.enter(second, "fonds") is None
    assert reason in (full.enter(third, "fonds") or "")
    full.leave(third)
    full.leave(first)
    assert full.enter(come(full), "fonds") is None


def test_a_recipient_does_not_take_the_places_of_another() -> None:
    full = door(max_per_recipient=1)
    assert full.enter(come(full), "fonds") is None
    assert full.enter(come(full), "other") is None


def test_failures_in_a_row_lock_an_address_out_for_longer_and_longer() -> None:
    strict = door(login_failures=3, lockout_seconds=60)
    assert fail(strict, 7) == [0.0, 0.0, 5.0, 10.0, 20.0, 40.0, 60.0]
    with pytest.raises(Refused, match="locked out after 7"):
        strict.come(HERE, 59.9)
    assert strict.come(THERE, 0.0) == 0.0
    assert strict.come(HERE, 60.0) == 60.0


def test_a_login_that_succeeds_forgives_the_failures_before_it() -> None:
    strict = door(login_failures=3)
    fail(strict, 2)
    strict.enter(come(strict), "fonds")
    assert fail(strict, 2) == [0.0, 0.0]


def test_failures_are_forgotten_after_an_hour() -> None:
    strict = door(login_failures=3)
    fail(strict, 2)
    assert fail(strict, 1, now=3601.0) == [0.0]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_of_ipv6_a_network_is_one_address(first: str, second: str, same: bool) -> None:
    strict = door(login_failures=1)
    fail(strict, 1, first)
    if same:
        with pytest.raises(Refused):
            strict.come(second, 0.0)
    else:
        assert strict.come(second, 0.0) == 0.0


def test_what_is_refused_all_the_time_is_a_line_once_in_a_while_with_their_number() -> None:
    strict = door(login_failures=1, lockout_seconds=900)
    fail(strict, 9)
    lines = []
    for tenth in range(150):  # fifteen seconds
        with pytest.raises(Refused) as refused:
            strict.come(HERE, tenth / 10)
        lines += [refused.value.line] if refused.value.line else []
    assert [line.partition("(")[2].split()[0] for line in lines] == ["1", "100"]


def test_the_memory_for_addresses_is_bounded() -> None:
    strict = door(login_failures=1)
    fail(strict, 1)
    for number in range(10_000):
        strict.leave(come(strict, f"10.0.{number // 256}.{number % 256}"))
    assert strict.come(HERE, 0.0) == 0.0  # forgotten
