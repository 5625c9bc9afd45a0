"""The two threads that seal and open files: order, ends and failures, with files, pipes and targets that break."""

from __future__ import annotations

import _thread
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import EnvelopeError
from keys.envelope.errors import PayloadInvalid
from keys.envelope.relay import RELAY_CHUNKS, Ahead, Relay, threads_for
from keys.envelope.seal import seal_stream
from keys.envelope.stream import CHUNK, Batch
from keys.private.identities import generate_identity
from keys.private.opening import decrypt_file, open_into

KEY = generate_identity("x25519")
ROUND = RELAY_CHUNKS * CHUNK
Seal = Callable[..., bytes]


def patterned(size: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


@pytest.mark.parametrize("size", [0, 1, ROUND - 1, ROUND, ROUND + 1, 2 * ROUND, 5 * ROUND, 5 * ROUND + CHUNK + 3])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_files_of_every_size_come_back(size: int, threads: int, tmp_path: Path, seal: Seal) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(patterned(size))
    with plain.open("rb", buffering=0) as source, (tmp_path / "sealed").open("wb", buffering=0) as target:
        assert threads_for(source, target) == 2
        seal_stream(source, target, [KEY.recipient])
    for sealed in ((tmp_path / "sealed").read_bytes(), seal(patterned(size), KEY)):
        back = io.BytesIO()
        open_into(io.BytesIO(sealed), [KEY], back, threads=threads)
        assert back.getvalue() == patterned(size)


def test_what_may_block_is_passed_on_by_one_thread(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with io.FileIO(reading) as pipe, io.FileIO(writing, "w"), (tmp_path / "file").open("wb") as file:
        assert threads_for(pipe, file) == 1
        assert threads_for(file, file) == 2
    assert threads_for(io.BytesIO()) == 1
    assert threads_for(object()) == 1


class InPieces(io.RawIOBase):
    """A source that gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        part, self._rest = self._rest[: min(len(buffer), 1000)], self._rest[min(len(buffer), 1000) :]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize(
    ("size", "fills"),
    [
        (0, [(0, True)]),
        (9, [(9, True)]),
        (10, [(10, True)]),
        (11, [(10, False), (1, True)]),
        (20, [(10, False), (10, True)]),
    ],
)
def test_the_last_batch_is_known_when_it_is_read(size: int, fills: list[tuple[int, bool]]) -> None:
    ahead, room, data = Ahead(InPieces(patterned(size))), memoryview(bytearray(11)), b""
    for expected in fills:
        assert ahead.fill(room) == expected
        data += bytes(room[: expected[0]])
    assert data == patterned(size)


def run_relay(
    count: int,
    *,
    read: Callable[[int], None] = lambda _: None,
    work: Callable[[int, bool], None] = lambda _number, _final: None,
    write: Callable[[int], None] = lambda _: None,
    threads: int = 2,
) -> None:
    """A relay of `count` batches; the steps are told the number."""
    numbers = iter(range(count))

    def reading(_batch: Batch) -> bool:
        number = next(numbers)
        read(number)
        return number == count - 1

    def number_of(batch: Batch) -> int:
        return batch.first // RELAY_CHUNKS

    Relay(
        reading, lambda batch, final: work(number_of(batch), final), lambda batch: write(number_of(batch))
    ).run(threads)  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_order_is_kept_when_an_early_batch_takes_long(threads: int) -> None:
    written: list[int] = []
    finals: list[int] = []

    def work(number: int, final: bool) -> None:
        time.sleep(0.002 if number % 2 == 0 else 0)
        if final:
            finals.append(number)

    run_relay(40, work=work, write=written.append, threads=threads)
    assert written == list(range(40))
    assert finals == [39]


def test_both_threads_take_part() -> None:
    seen: set[str] = set()
    both = threading.Event()

    def work(_number: int, _final: bool) -> None:
        seen.add(threading.current_thread().name)
        if len(seen) == 2:
            both.set()
        assert both.wait(60)

    run_relay(20, work=work, threads=2)
    assert seen == {threading.main_thread().name, "envelope"}


@pytest.mark.parametrize("step", ["read", "work", "write"])
@pytest.mark.parametrize("bad", [0, 1, 7, 19])
def test_a_failure_of_any_step_is_raised_and_nothing_is_written_after_it(step: str, bad: int) -> None:
    written: list[int] = []

    def fail(number: int, *_: object) -> None:
        if number == bad:
            raise OSError(28, "No space left on device")

    def write(number: int) -> None:
        if step == "write":
            fail(number)
        written.append(number)

    steps: dict[str, Callable[..., None]] = {} if step == "write" else {step: fail}
    with pytest.raises(OSError, match="No space"):
        run_relay(20, write=write, **steps)
    assert written == list(range(len(written)))
    assert len(written) <= bad
    assert not [thread for thread in threading.enumerate() if thread.name == "envelope"]


def test_an_interrupt_ends_the_helper_too() -> None:
    written: list[int] = []

    def write(number: int) -> None:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        time.sleep(0.001)
        written.append(number)

    with pytest.raises(KeyboardInterrupt):
        run_relay(1000, write=write)
    assert len(written) < 1000
    assert not [thread for thread in threading.enumerate() if thread.name == "envelope"]


def test_an_interrupt_while_waiting_for_the_helper_is_not_lost() -> None:
    main = threading.main_thread()

    def read(_number: int) -> None:
        if threading.current_thread() is not main:
            time.sleep(0.002)

    def work(_number: int, final: bool) -> None:
        if threading.current_thread() is main:
            time.sleep(0.002)
        elif final:  # the main thread has nothing left to do but to wait
            time.sleep(0.05)
            _thread.interrupt_main()
            time.sleep(0.05)

    def until_the_helper_gets_the_last_batch() -> None:
        for _ in range(1000):
            run_relay(2, read=read, work=work)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            until_the_helper_gets_the_last_batch()
    finally:
        signal.signal(signal.SIGINT, before)


class BreaksAt(io.BytesIO):
    """A target with room for `room` bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_what_a_full_disk_took_never_opens() -> None:
    target = BreaksAt(4 * ROUND)
    with pytest.raises(OSError, match="No space"):
        seal_stream(io.BytesIO(patterned(9 * ROUND)), target, [KEY.recipient])
    with pytest.raises(EnvelopeError):
        open_into(io.BytesIO(target.getvalue()), [KEY], io.BytesIO(), threads=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_good_chunks_come_before_the_error_and_never_the_bad_one(threads: int, seal: Seal) -> None:
    plain = patterned(9 * CHUNK)
    sealed = bytearray(seal(plain, KEY))
    sealed[-4 * (CHUNK + 16) - 5] ^= 1  # in the fifth chunk
    released = io.BytesIO()
    with pytest.raises(PayloadInvalid):
        open_into(io.BytesIO(sealed), [KEY], released, threads=threads)
    assert released.getvalue() == plain[: 4 * CHUNK]


@pytest.mark.parametrize("cut", [1, 16, 17, CHUNK + 16, 3 * (CHUNK + 16)])
def test_a_cut_file_leaves_no_output(cut: int, seal: Seal, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(seal(patterned(6 * CHUNK), KEY)[:-cut])
    with pytest.raises(PayloadInvalid):
        decrypt_file(tmp_path / "in", tmp_path / "out", [KEY])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
