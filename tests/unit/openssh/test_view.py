"""What a recipient sees of its folder: what is complete and visible, as it is now, without a byte copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.openssh.view import View
from core.errors import UnusableInput

EDITION = "GLA-1/2026-03/edition-1"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    put(folder / EDITION / "data.age")
    put(folder / EDITION / "manifest.json")
    return folder


@pytest.fixture
def view(tmp_path: Path, source: Path) -> View:
    for name in ("target", "workshop"):
        (tmp_path / name).mkdir()
    return View(source, tmp_path / "target", tmp_path / "workshop", os.getgid())


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def shown(tmp_path: Path) -> set[str]:
    target = tmp_path / "target"
    return {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}


def test_what_is_there_is_shown_as_the_same_file_that_its_group_may_read(tmp_path, view, source):
    view.follow()
    assert shown(tmp_path) == {f"{EDITION}/data.age", f"{EDITION}/manifest.json"}
    seen = tmp_path / "target" / EDITION / "data.age"
    assert seen.samefile(source / EDITION / "data.age")
    assert seen.stat().st_mode & 0o777 == 0o640
    assert seen.parent.stat().st_mode & 0o777 == 0o750
    assert list((tmp_path / "workshop").iterdir()) == []


def test_what_is_hidden_goes_as_a_whole_and_only_where_it_was_named(tmp_path, view, source):
    put(source / "GLA-2/GLA-1/data.age")
    view.follow()
    assert len(shown(tmp_path)) == 3
    view.follow({"GLA-1"})
    assert shown(tmp_path) == {"GLA-2/GLA-1/data.age"}
    assert {path.name for path in (tmp_path / "target").iterdir()} == {"GLA-2"}
    assert list((tmp_path / "workshop").iterdir()) == []
    view.follow({"GLA-1"})
    assert shown(tmp_path) == {"GLA-2/GLA-1/data.age"}


def test_what_appears_and_goes_is_followed(tmp_path, view, source):
    view.follow()
    put(source / "GLA-1/2026-04/edition-1/data.age")
    put(source / "GLA-1/2026-03/edition-2/data.age")
    for path in (source / EDITION).iterdir():
        path.unlink()
    (source / EDITION).rmdir()
    view.follow()
    assert shown(tmp_path) == {"GLA-1/2026-04/edition-1/data.age", "GLA-1/2026-03/edition-2/data.age"}
    assert not (tmp_path / "target" / EDITION).exists()
    assert list((tmp_path / "workshop").iterdir()) == []


def test_another_file_of_the_same_name_takes_its_place(tmp_path, view, source):
    view.follow()
    put(source / EDITION / "new", b"other").rename(source / EDITION / "data.age")
    view.follow()
    assert (tmp_path / "target" / EDITION / "data.age").read_bytes() == b"other"


def test_hidden_names_links_and_pipes_are_not_shown(tmp_path, view, source):
    put(source / "GLA-1/2026-03/.staging-1/data.age")
    put(source / EDITION / ".hidden")
    (source / EDITION / "link").symlink_to("/etc/passwd")
    (source / "up").symlink_to(tmp_path)
    os.mkfifo(source / EDITION / "pipe")
    view.follow()
    assert shown(tmp_path) == {f"{EDITION}/data.age", f"{EDITION}/manifest.json"}


def test_a_recipient_without_a_folder_sees_none(tmp_path, view, source):
    view.follow()
    source.rename(tmp_path / "away")
    view.follow()
    assert shown(tmp_path) == set()


def test_two_file_systems_are_told_of(tmp_path, view, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(UnusableInput, match="on one file system"):
        view.follow()
    assert shown(tmp_path) == set()
