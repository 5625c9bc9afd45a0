"""Registered sources: an agreement can name an id and nothing else."""

import contextlib
import json
import sqlite3

import polars as pl
import pytest

from core.errors import SourceUnavailable, UnusableInput
from flows.sources.registration import Registration, registration
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


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE one (n INTEGER)")
        connection.execute("CREATE TABLE two (s TEXT)")
        connection.commit()
    return path


def test_an_entry_of_an_older_version_is_a_path(sources, parquet, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "sources.json").write_text(f'{{"sources": {{"one": "{parquet}"}}}}')
    assert list(sources.get("one").schema()) == ["n"]


def test_what_a_database_offers_is_said_when_it_is_registered(sources, database):
    with pytest.raises(UnusableInput, match="--table"):
        sources.add("db", str(database))
    with pytest.raises(SourceUnavailable, match="no table three"):
        sources.add("db", str(database), tables=("one", "three"))
    assert sources.list() == []
    sources.add("db", str(database), owner="Register", tables=("one",))
    assert list(sources.get("db").schema()) == list(sources.get("db", "one").schema()) == ["n"]
    assert (sources.registration("db").form, sources.registration("db").owner) == ("sqlite", "Register")


@pytest.mark.parametrize("tables", [("two",), ("one", "two")])
def test_only_a_table_that_is_offered_can_be_named_also_where_it_is_the_only_one(sources, database, tables):
    sources.add("db", str(database), tables=tables)
    assert list(sources.get("db", "two").schema()) == ["s"]
    for name in ("sqlite_schema", "TWO", "one; DROP TABLE two", "three"):
        with pytest.raises(UnusableInput, match="does not offer"):
            sources.get("db", name)


def test_of_several_tables_one_must_be_named(sources, database):
    sources.add("db", str(database), tables=("one", "two"))
    with pytest.raises(UnusableInput, match=r"several tables \(one, two\)"):
        sources.get("db")


def test_tables_can_be_added_to_a_source_and_taken_away(sources, database):
    sources.add("db", str(database), tables=("one",))
    sources.add("db", str(database), tables=("one", "two"))
    assert list(sources.get("db", "one").schema()) == ["n"]
    sources.add("db", str(database), tables=("two",))
    assert list(sources.get("db").schema()) == ["s"]
    with pytest.raises(UnusableInput, match="does not offer"):
        sources.get("db", "one")


@pytest.mark.parametrize(
    "uri", ["postgresql://user:geheim@host/db", "host=h password=geheim", "pkcs11:token=x", "env:"]
)
def test_a_connection_is_registered_by_where_it_is_and_never_itself(sources, tmp_path, uri):
    with pytest.raises(UnusableInput, match="env:NAME or file:PATH") as caught:
        sources.add("db", uri, form="postgresql", tables=("one",))
    assert "geheim" not in str(caught.value)
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("tables", [("one", "one"), ("",), ("a\nb",)])
def test_a_table_is_named_once_and_in_printable_characters(sources, database, tables):
    with pytest.raises(UnusableInput, match="printable"):
        sources.add("db", str(database), tables=tables)


def test_files_offer_no_tables(sources, parquet):
    with pytest.raises(UnusableInput, match="one table"):
        sources.add("one", str(parquet), tables=("n",))


@pytest.mark.parametrize(
    "entry", [1, None, {}, {"form": "files"}, {"form": "oracle", "place": "p", "owner": "", "tables": []}]
)
def test_an_entry_that_is_no_registration_is_refused(sources, tmp_path, entry):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "sources.json").write_text(json.dumps({"sources": {"one": entry}}))
    with pytest.raises(UnusableInput, match="register the sources again"):
        sources.list()


@pytest.mark.parametrize(
    ("uri", "more", "words"),
    [
        ("s3://Bucket!", {}, "s3://BUCKET/PREFIX"),
        ("s3://bucket/x", {"region": "EU"}, "--region"),
        ("s3://bucket/x", {"secret": "AKIA:geheim"}, "--secret"),
        ("s3://bucket/x", {"secret": ""}, "--secret"),
        ("s3://bucket/x", {"endpoint": "http://s3.example.org"}, "--endpoint"),
        ("s3://bucket/x", {"endpoint": "https://user:geheim@s3.example.org"}, "--endpoint"),
        ("s3://bucket/x", {"endpoint": "https://s3.example.org/path"}, "--endpoint"),
        ("s3://bucket/x", {"endpoint": "https://s3.example.org:port"}, "--endpoint"),
        ("s3://bucket/x", {"endpoint": ""}, "--endpoint"),
        ("s3://bucket/x", {"tables": ("one",)}, "one table"),
    ],
)
def test_a_bucket_has_an_endpoint_with_tls_and_its_key_elsewhere(sources, uri, more, words):
    told = {"endpoint": "https://s3.example.org", "region": "eu-1", "secret": "env:KEY"} | more
    with pytest.raises(UnusableInput, match=words) as caught:
        sources.add("one", uri, **told)
    assert "geheim" not in str(caught.value)


def test_a_bucket_is_registered_with_where_its_key_is(tmp_path):
    told = registration("s3://bucket/a/b/", owner="Register", endpoint="https://s3.example.org/", secret="file:s3.key")
    assert told == Registration(
        "s3", "bucket/a/b", "Register", (), "https://s3.example.org", "us-east-1", "file:s3.key"
    )
    assert Registration.from_json(json.loads(json.dumps(told.to_json()))) == told
