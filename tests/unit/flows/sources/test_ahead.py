"""Reading ahead: the same items, errors where they belong, and no waiting for ever."""

import threading
import time

import pytest

from flows.sources.ahead import Silent, ahead


def numbers(most, made=None):
    for number in range(most):
        if made is not None:
            made.append(number)
        yield number


def nothing():
    """There is nothing to interrupt."""


def test_items_come_in_order_and_end():
    assert list(ahead(numbers(100), 10, nothing)) == list(range(100))


def test_no_more_is_made_than_a_few_ahead():
    made: list[int] = []
    items = ahead(numbers(100, made), 10, nothing)
    next(items)
    time.sleep(0.3)
    assert len(made) <= 4
    items.close()


def test_an_error_is_raised_after_the_items_before_it():
    def broken():
        yield 1
        raise ValueError("broken")

    items = ahead(broken(), 10, nothing)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_what_says_nothing_is_interrupted_and_given_up():
    interrupted, closed = threading.Event(), threading.Event()

    def slow():
        try:
            yield 1
            interrupted.wait(10)
            yield 2
        finally:
            closed.set()

    items = ahead(slow(), 2, interrupted.set)
    assert next(items) == 1
    with pytest.raises(Silent):
        next(items)
    assert closed.wait(5)


def test_what_does_not_hear_is_left_behind():
    release = threading.Event()

    def deaf():
        release.wait(30)
        yield 1

    started = time.monotonic()
    with pytest.raises(Silent):
        next(ahead(deaf(), 0.1, nothing))
    assert time.monotonic() - started < 10
    release.set()


def test_an_interrupt_that_fails_changes_nothing():
    def fail():
        raise RuntimeError("closed already")

    items = ahead(numbers(100), 10, fail)
    assert next(items) == 0
    items.close()


def test_who_stops_early_ends_the_thread_and_closes_what_it_read():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    items = ahead(endless(), 10, nothing)
    next(items)
    items.close()
    assert closed.wait(5)
