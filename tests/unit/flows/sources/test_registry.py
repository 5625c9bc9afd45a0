"""Registered sources: an agreement can name an id and nothing else."""

import polars as pl
import pytest

from core.errors import SourceUnavailable, UnusableInput
from flows.sources.registry import Sources


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "data dir" / "a.parquet"
    path.parent.mkdir()
    pl.DataFrame({"n": [1]}).write_parquet(path)
    return path


@pytest.fixture
def sources(tmp_path):
    return Sources(tmp_path / "config")


def test_source_is_found_again_by_its_id(sources, parquet):
    sources.add("one", str(parquet))
    sources.add("two", parquet.as_uri())
    assert sources.list() == ["one", "two"]
    assert sources.get("one").path == sources.get("two").path == parquet.resolve()


def test_relative_path_is_remembered_absolutely(sources, parquet, monkeypatch):
    monkeypatch.chdir(parquet.parent)
    sources.add("one", "a.parquet")
    monkeypatch.chdir("/")
    assert list(sources.get("one").schema()) == ["n"]


def test_id_is_given_once(sources, parquet, tmp_path):
    other = tmp_path / "b.csv"
    other.write_text("n\n1\n")
    sources.add("one", str(parquet))
    sources.add("one", str(parquet))
    with pytest.raises(UnusableInput, match="already"):
        sources.add("one", str(other))
    assert sources.get("one").path == parquet.resolve()


@pytest.mark.parametrize("source_id", ["../up", "", "a/b", ".hidden", "a b"])
def test_id_that_is_no_name_is_refused(sources, parquet, source_id):
    with pytest.raises(UnusableInput):
        sources.add(source_id, str(parquet))


@pytest.mark.parametrize("uri", ["sftp://h/x.csv", "https://h/x.parquet", "file://host/x.csv"])
def test_uri_that_is_no_local_file_is_refused(sources, uri):
    with pytest.raises(UnusableInput, match="local path"):
        sources.add("one", uri)


def test_file_that_cannot_be_read_is_not_registered(sources, tmp_path):
    with pytest.raises(SourceUnavailable):
        sources.add("one", str(tmp_path / "absent.parquet"))
    assert sources.list() == []


def test_unknown_id_and_damaged_registry_say_what_to_do(sources, tmp_path):
    with pytest.raises(UnusableInput, match="gla source add"):
        sources.get("absent")
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "sources.json").write_text('{"sources": [1]}')
    with pytest.raises(UnusableInput, match="register the sources again"):
        sources.list()
