"""A draft is an agreement that can be offered as it is: whatever the source's columns and types are."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, date, datetime, time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnusableInput
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml, draft
from flows.steps.recipients import register, revoke
from schemas.agreement import load_agreement
from schemas.compiler import compile_table
from schemas.reader import read_document
from tests.delivery_world import AGREEMENT

FRAME = pl.DataFrame(
    {
        "whole": pl.Series([1, 2], dtype=pl.Int16),
        "big": pl.Series([1, 2], dtype=pl.UInt64),
        "ratio": pl.Series([1.5, 2], dtype=pl.Float32),
        "money": pl.Series(["1.50", "2.00"]).cast(pl.Decimal(10, 2)),
        "yes": [True, False],
        "text": ["a", None],
        "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
        "day": [date(2026, 3, 1), date(2026, 3, 31)],
        "moment": pl.Series(["2026-03-01T12:00:00", "2026-03-31T23:59:59.5"]).str.to_datetime(time_unit="us"),
        "zoned": pl.Series([datetime(2026, 3, 1, tzinfo=UTC)] * 2, dtype=pl.Datetime("us", "UTC")),
        "local": pl.Series([datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 21, 59, tzinfo=UTC)]).cast(
            pl.Datetime("us", "Europe/Amsterdam")
        ),
        "clock": [time(12), time(23, 59)],
    }
)


def source(world, frame, name="own.parquet"):
    file = world.home.parent / name
    frame.write_parquet(file) if name.endswith("parquet") else frame.write_csv(file)
    world.services.sources.add("own", str(file))


def drafted(world, *columns, period_column=None):
    return draft(world.services, AGREEMENT, "own", "fonds", columns, period_column)


def loaded(document):
    agreement = load_agreement(as_yaml(document).encode())
    compile_table(agreement.contract.table)
    return agreement


def delivered(world, document):
    world.conclude(document | {"slaProperties": []})
    return path.run(world.services, world.order()).rows


@pytest.mark.parametrize("period_column", [None, "day", "moment", "zoned", "local"])
def test_draft_of_a_parquet_source_is_delivered_as_it_is(world, period_column):
    source(world, FRAME)
    document = drafted(world, period_column=period_column)
    agreement = loaded(document)
    assert [column.name for column in agreement.contract.table.columns] == FRAME.columns
    assert delivered(world, document) == 2


def test_draft_of_a_csv_source_is_delivered_as_it_is(world):
    columns = ["whole", "ratio", "yes", "text", "day", "moment", "zoned", "clock"]
    source(world, FRAME.select(columns), "own.csv")
    document = drafted(world, period_column="day")
    types = {column.name: column.logical_type for column in loaded(document).contract.table.columns}
    assert (types["whole"], types["yes"], types["text"], types["day"]) == ("integer", "boolean", "string", "date")
    assert delivered(world, document) == 2


@pytest.fixture
def funds(world):
    """A database with two tables that are alike, registered with those that are named."""
    database = world.home.parent / "funds.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for number, table in enumerate(("fund_a", "fund_b", "fund_a"), start=1):
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER, note TEXT)")
            connection.execute(f"INSERT INTO {table} VALUES ({number}, '{table}')")
        connection.commit()
    return lambda *tables: world.services.sources.add("funds", str(database), tables=tables)


@pytest.mark.parametrize("named", ["physicalName", "name"])
@pytest.mark.parametrize("at_first", [("fund_a",), ("fund_a", "fund_b")])
def test_another_table_that_is_registered_later_does_not_take_the_place_of_the_agreed_one(
    world, funds, at_first, named
):
    funds(*at_first)
    document = draft(world.services, AGREEMENT, "funds", "fonds", (), None, source_table="fund_a")
    if named == "name":
        document["schema"][0]["name"] = document["schema"][0].pop("physicalName")
    world.conclude(document | {"slaProperties": []})
    funds("fund_b")
    with pytest.raises(UnusableInput, match="does not offer the table of the contract"):
        path.run(world.services, world.order())
    assert world.visible_files() == []
    funds("fund_b", "fund_a")
    assert path.run(world.services, world.order()).rows == 2


def test_draft_of_a_database_with_one_table_names_it_and_is_delivered_as_it_is(world, funds):
    funds("fund_a")
    document = draft(world.services, AGREEMENT, "funds", "fonds", (), None)
    assert (document["schema"][0]["name"], document["schema"][0]["physicalName"]) == ("funds", "fund_a")
    assert delivered(world, document) == 2


def test_draft_of_files_names_no_table(world):
    source(world, FRAME)
    assert "physicalName" not in drafted(world)["schema"][0]


def test_only_the_named_columns_in_their_order(world):
    source(world, FRAME)
    columns = [column.name for column in loaded(drafted(world, "text", "whole")).contract.table.columns]
    assert columns == ["text", "whole"]


@pytest.mark.parametrize("name", ["*", "^.*$", "", " a", "a\nb", "x" * 201, "\u202ea"])
def test_column_with_a_name_that_no_contract_may_hold(world, name):
    source(world, pl.DataFrame({"good": [1], name: [1]}))
    with pytest.raises(UnusableInput, match="--column"):
        drafted(world)
    assert [column.name for column in loaded(drafted(world, "good")).contract.table.columns] == ["good"]


@pytest.mark.parametrize(
    "name",
    ["no", "null", "true", "y", "e1", "naïef", "Ω", "__class__", "Trip ID", "1a", "a-b", "a.b", "naam; drop table"],
)
def test_column_with_a_name_that_yaml_could_misread(world, name):
    source(world, pl.DataFrame({name: [1]}))
    assert [column.name for column in loaded(drafted(world)).contract.table.columns] == [name]


@pytest.mark.parametrize("column", ["nothing", "SECRET"])
def test_column_that_the_source_lacks(world, column):
    source(world, FRAME)
    with pytest.raises(UnusableInput, match=f"no column {column}"):
        drafted(world, column)
    with pytest.raises(UnusableInput, match=f"no column {column}"):
        drafted(world, period_column=column)


@pytest.mark.parametrize("column", ["whole", "ratio", "yes", "clock"])
def test_period_column_that_holds_no_dates(world, column):
    source(world, FRAME)
    with pytest.raises(UnusableInput, match=column):
        drafted(world, period_column=column)


def test_column_of_a_type_that_no_agreement_delivers(world):
    source(world, pl.DataFrame({"list": [[1]]}))
    with pytest.raises(UnusableInput, match="no agreement can deliver"):
        drafted(world)


def test_recipient_without_valid_keys(world):
    source(world, FRAME)
    revoke(world.services, "fonds", world.identity.recipient.fingerprint)
    with pytest.raises(UnusableInput, match="no valid keys"):
        drafted(world)


@pytest.mark.parametrize("kvk", ["08888888", "00000009", "01234567", "12345678"])
def test_kvk_number_that_looks_like_a_number(world, kvk):
    from keys.private.identities import generate_identity
    from keys.private.signing import Signer

    signer = Signer.generate().public_key.line
    register(world.services, "other", kvk, [str(generate_identity("x25519").recipient)], [signer])
    source(world, FRAME)
    document = draft(world.services, AGREEMENT, "own", "other", (), None)
    assert loaded(document).recipient_kvk == kvk
    lifecycle.offer(world.services, as_yaml(document).encode(), "tester")


def test_it_begins_on_the_dutch_day_and_ends_a_year_later(world):
    source(world, FRAME)
    world.at(datetime(2027, 12, 31, 23, 30, tzinfo=UTC))
    agreement = loaded(drafted(world))
    assert (agreement.valid_from, agreement.valid_until) == (date(2028, 1, 1), date(2029, 1, 1))
    world.at(datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert loaded(drafted(world)).valid_until == date(2029, 2, 28)


TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]))  # no name of ours has others
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON))
def test_any_document_reads_back_as_it_was(document):
    document = {"id": "x"} | document
    assert read_document(as_yaml(document).encode(), "it") == document


@given(st.from_regex(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?", fullmatch=True))
def test_text_that_looks_like_a_number_stays_text(text):
    assert read_document(as_yaml({"id": "x", "value": text}).encode(), "it")["value"] == text


def test_a_draft_names_the_post_quantum_keys_where_the_recipient_has_both_kinds(world):
    from flows.steps.recipients import register
    from keys.private.identities import generate_identity

    other = generate_identity("x25519").recipient
    register(world.services, "fonds", "90000102", [str(other)], [])
    keys = next(item for item in world.document()["customProperties"] if item["property"] == "gla.recipientKeys")
    assert keys["value"] == [world.identity.recipient.fingerprint]
    world.conclude()
