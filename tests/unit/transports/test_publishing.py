"""Publishing: what is there already, what was left behind, and a far side that does not keep what it got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import DeliveryBusy, DestinationUnreachable, ReadBackMismatch, StorageFull, UnusableInput
from core.ids import new_id
from transports.base import Receipt
from transports.directory import DirectoryTransport
from transports.publishing import publish

DELIVERY = "GLA-1/2026-03/edition-1"


class Recorder(DirectoryTransport):
    """A folder that counts what is written to it, and breaks where it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writes = 0
        self.fail_at_put: int | None = None
        self.keep_bytes: int | None = None  # a server that says yes and keeps less
        self.fail_at_rename = False

    def put(self, source: Path, name: str) -> Receipt:
        self.writes += 1
        if self.writes == self.fail_at_put:
            raise StorageFull("full")
        receipt = super().put(source, name)
        if self.keep_bytes is not None:
            with self._path(name).open("r+b") as file:
                file.truncate(self.keep_bytes)
        return receipt

    def rename(self, old: str, new: str) -> None:
        if self.fail_at_rename:
            raise DestinationUnreachable("gone")
        super().rename(old, new)


@pytest.fixture
def far(tmp_path: Path) -> Path:
    folder = tmp_path / "far"
    folder.mkdir()
    return folder


@pytest.fixture
def recorder(far: Path) -> Recorder:
    return Recorder(far)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name in ["data.age", "manifest.json"]:
        made[name] = tmp_path / name
        made[name].write_bytes(name.encode() * 1000)
    return made


def visible(far: Path) -> list[str]:
    paths = [path.relative_to(far) for path in far.rglob("*") if path.is_file()]
    return sorted(str(path) for path in paths if not any(part.startswith(".") for part in path.parts))


def test_publishing_the_same_delivery_again_writes_nothing_and_gives_the_same_receipts(
    recorder: Recorder, files: dict[str, Path]
) -> None:
    first = publish(recorder, files, DELIVERY, "1")
    assert recorder.writes == 2
    assert publish(recorder, files, DELIVERY, "2") == first
    assert recorder.writes == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "data.age").write_bytes(b"x" * 8000),
        lambda folder: (folder / "data.age").write_bytes(b"shorter"),
        lambda folder: (folder / "data.age").unlink(),
        lambda folder: (folder / "extra.age").write_bytes(b""),
    ],
    ids=["same size, other bytes", "other size", "a file less", "a file more"],
)
def test_a_delivery_that_is_there_with_other_content_is_refused_and_left_alone(
    recorder: Recorder, files: dict[str, Path], far: Path, change
) -> None:
    publish(recorder, files, DELIVERY, "1")
    change(far / DELIVERY)
    before = {path: path.read_bytes() for path in (far / DELIVERY).iterdir()}
    with pytest.raises(ReadBackMismatch):
        publish(recorder, files, DELIVERY, "2")
    assert {path: path.read_bytes() for path in (far / DELIVERY).iterdir()} == before
    assert recorder.writes == 2


@pytest.mark.parametrize("put", [1, 2])
def test_a_disk_that_fills_up_while_writing_shows_nothing_and_keeps_nothing(
    recorder: Recorder, files: dict[str, Path], far: Path, put: int
) -> None:
    recorder.fail_at_put = put
    with pytest.raises(StorageFull):
        publish(recorder, files, DELIVERY, "1")
    assert [path for path in far.rglob("*") if path.is_file()] == []


def test_a_far_side_that_keeps_less_than_it_got_is_noticed_and_nothing_is_published(
    recorder: Recorder, files: dict[str, Path], far: Path
) -> None:
    recorder.keep_bytes = 100
    with pytest.raises(ReadBackMismatch, match=r"data\.age"):
        publish(recorder, files, DELIVERY, "1")
    assert visible(far) == []


def test_a_failure_at_the_last_moment_shows_nothing_and_the_next_attempt_succeeds(
    recorder: Recorder, files: dict[str, Path], far: Path
) -> None:
    recorder.fail_at_rename = True
    with pytest.raises(DestinationUnreachable):
        publish(recorder, files, DELIVERY, "1")
    assert visible(far) == []
    recorder.fail_at_rename = False
    publish(recorder, files, DELIVERY, "2")
    assert visible(far) == [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"]


@pytest.mark.parametrize("token", ["1", "9"], ids=["the same attempt", "an earlier attempt"])
def test_staging_left_behind_by_an_attempt_at_this_delivery_is_removed(
    recorder: Recorder, files: dict[str, Path], far: Path, token: str
) -> None:
    left = far / f"GLA-1/2026-03/.staging-edition-1-{token}"
    left.mkdir(parents=True)
    (left / "data.age").write_bytes(b"half")
    publish(recorder, files, DELIVERY, "1")
    assert recorder.list("GLA-1/2026-03") == ["edition-1"]


@pytest.mark.parametrize("later", [3, 11])
def test_a_worker_that_was_overtaken_leaves_what_the_later_attempt_writes(
    recorder: Recorder, files: dict[str, Path], far: Path, later: int
) -> None:
    delivery = new_id()
    left = far / f"GLA-1/2026-03/.staging-edition-1-{delivery}{later}"
    left.mkdir(parents=True)
    (left / "data.age").write_bytes(b"half")
    with pytest.raises(DeliveryBusy):
        publish(recorder, files, DELIVERY, f"{delivery}2")
    assert (left / "data.age").read_bytes() == b"half"
    publish(recorder, files, DELIVERY, f"{delivery}{later + 1}")
    assert recorder.list("GLA-1/2026-03") == ["edition-1"]


def test_staging_of_another_delivery_is_left_alone(recorder: Recorder, files: dict[str, Path], far: Path) -> None:
    others = [far / f"GLA-1/2026-03/.staging-{name}" for name in ["edition-11-1", "edition-1-b-1", "edition-2-1"]]
    for other in others:
        other.mkdir(parents=True)
    publish(recorder, files, DELIVERY, "1")
    assert all(other.is_dir() for other in others)


def test_a_worker_that_lost_its_lease_loses_its_staging_and_cannot_publish(
    recorder: Recorder, files: dict[str, Path], far: Path
) -> None:
    class Slow(Recorder):
        def rename(self, old: str, new: str) -> None:
            publish(recorder, {"data.age": files["data.age"]}, DELIVERY, "2")  # the new holder was faster
            super().rename(old, new)

    with pytest.raises(Exception, match="already exists"):
        publish(Slow(far), files, DELIVERY, "1")
    assert visible(far) == [f"{DELIVERY}/data.age"]
    assert recorder.list("GLA-1/2026-03") == ["edition-1"]


@pytest.mark.parametrize("token", ["", "1-2", ".", "../x", "é"])
def test_a_token_that_is_not_letters_and_digits_is_refused(
    recorder: Recorder, files: dict[str, Path], token: str
) -> None:
    with pytest.raises(UnusableInput):
        publish(recorder, files, DELIVERY, token)


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", ""])
def test_a_file_name_that_climbs_or_hides_is_refused_before_anything_is_written(
    recorder: Recorder, files: dict[str, Path], far: Path, name: str
) -> None:
    with pytest.raises(UnusableInput):
        publish(recorder, {name: files["data.age"]}, DELIVERY, "1")
    assert list(far.iterdir()) == []


def test_a_delivery_without_files_or_without_a_folder_above_it_is_refused(
    recorder: Recorder, files: dict[str, Path]
) -> None:
    with pytest.raises(UnusableInput):
        publish(recorder, {}, DELIVERY, "1")
    with pytest.raises(UnusableInput):
        publish(recorder, files, "edition-1", "1")


def test_an_interrupt_leaves_no_staging_behind(recorder: Recorder, files: dict[str, Path], far: Path) -> None:
    class Interrupted(Recorder):
        def read(self, name: str, offset: int = 0) -> Iterator[bytes]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(Interrupted(far), files, DELIVERY, "1")
    assert recorder.list("GLA-1/2026-03") == []
