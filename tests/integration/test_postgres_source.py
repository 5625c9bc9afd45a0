"""PostgreSQL as a source on a real server: nothing else is asked of it, and what may go wrong on the way."""

from __future__ import annotations

import time
from datetime import date
from functools import partial

import polars as pl
import psycopg
import pytest

import flows.sources.base
import flows.sources.postgres.session
from core.errors import RowsInvalid, SourceUnavailable, UnusableInput
from core.period import Period
from core.settings import SourceSettings
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.postgres.source import postgres_source
from schemas.filters import parse_filter
from tests.servers.postgres import READER, PostgresServer
from tests.servers.proxy import CuttableProxy
from tests.source_worlds import LIMITS, Postgres

pytestmark = pytest.mark.server

ROWS = 60_000
NUMBERS = pl.DataFrame({"n": range(ROWS), "s": ["some text of a row"] * ROWS, "secret": ["SECRET"] * ROWS})


def plan(*names: str, rows: list[dict] | None = None) -> ExtractionPlan:
    columns = tuple(PlannedColumn(name, name, pl.String()) for name in names)
    return ExtractionPlan(columns, parse_filter(rows), Period.parse("2026-01"))


@pytest.fixture
def world(postgresql_server: PostgresServer) -> Postgres:
    return Postgres(postgresql_server, postgresql_server.create_database())


@pytest.fixture
def numbers(world: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 10_000)
    monkeypatch.setattr(flows.sources.postgres.session, "BATCH_BYTES", 64 * 1024)
    world.create(NUMBERS)
    return world


def through(world: Postgres, wire: CuttableProxy, limits: SourceSettings = LIMITS) -> Postgres:
    """The same table, reached over a wire."""
    conninfo = partial(world.conninfo, host="127.0.0.1", port=wire.port)
    world.source = postgres_source("src", "people", conninfo, limits)
    return world


def test_the_server_is_asked_for_the_agreed_columns_and_rows_and_nothing_else(world: Postgres) -> None:
    world.create(pl.DataFrame({"bsn": ["999990019"], "d": [date(2026, 1, 1)], "income": [1], "secret": ["SECRET"]}))
    world.execute("CREATE TABLE others AS SELECT 'SECRET'::text AS secret")
    before = len(world.server.logged())
    rows = [
        {"column": "d", "operator": "greaterOrEqualTo", "bound": "period.start"},
        {"column": "bsn", "operator": "in", "value": ["999990019", "'; DROP TABLE people; --"]},
    ]
    assert pl.concat(world.source.batches(plan("bsn", rows=rows))).to_dict(as_series=False) == {"bsn": ["999990019"]}
    logged = world.server.logged()[before:]
    copied = [line for line in logged.splitlines() if "COPY (SELECT" in line]
    assert len(copied) == 1
    assert 'COPY (SELECT "bsn" AS c0 FROM "public"."people" WHERE "d" >= (SELECT' in copied[0]
    statements = "\n".join(line.partition("execute")[2] or line for line in logged.splitlines() if "LOG:" in line)
    for word in ("income", "secret", "others", "*", "999990019", "DROP", "2026-01-01"):
        assert word not in statements  # values are parameters, which the log shows beside the statements
    assert "BEGIN" in logged
    assert "REPEATABLE READ READ ONLY" in logged


@pytest.mark.parametrize(
    "grant",
    [
        f"GRANT INSERT ON people TO {READER}",
        f"GRANT UPDATE (n) ON people TO {READER}",
        f"GRANT TRUNCATE ON people TO {READER}",
        f"ALTER TABLE people OWNER TO {READER}",
    ],
)
def test_a_role_that_can_change_the_table_is_refused(world: Postgres, grant: str) -> None:
    world.create(NUMBERS[:10])
    assert world.source.schema()
    world.execute(grant)
    for ask in (world.source.schema, lambda: list(world.source.batches(plan("n")))):
        with pytest.raises(UnusableInput, match=r"can change table public\.people"):
            ask()


def test_a_role_that_can_become_one_that_can_write_is_refused(world: Postgres) -> None:
    world.create(NUMBERS[:10])
    world.execute("CREATE ROLE people_changer NOLOGIN")
    world.execute("GRANT DELETE ON people TO people_changer")
    world.execute(f"GRANT people_changer TO {READER} WITH INHERIT FALSE")
    try:
        with pytest.raises(UnusableInput, match="can change table"):
            world.source.schema()
    finally:
        world.execute("DROP OWNED BY people_changer")
        world.execute("DROP ROLE people_changer")


def test_rows_that_a_policy_hides_are_an_error_and_not_a_smaller_delivery(world: Postgres) -> None:
    world.create(NUMBERS[:10])
    world.execute("ALTER TABLE people ENABLE ROW LEVEL SECURITY")
    world.execute("CREATE POLICY few ON people USING (n < 5)")
    with pytest.raises(SourceUnavailable, match="BYPASSRLS"):
        list(world.source.batches(plan("n")))


def test_a_table_that_may_not_be_read_says_what_to_grant(world: Postgres) -> None:
    world.create(NUMBERS[:10])
    world.execute(f"REVOKE SELECT ON people FROM {READER}")
    world.execute(f"GRANT SELECT (n) ON people TO {READER}")
    assert pl.concat(world.source.batches(plan("n"))).height == 10  # a grant of single columns is enough
    with pytest.raises(SourceUnavailable, match="grant it SELECT"):
        list(world.source.batches(plan("n", "secret")))


def test_a_view_is_read_in_an_order_that_does_not_hang_on_the_planner(world: Postgres) -> None:
    world.create(NUMBERS[:100].sample(fraction=1, shuffle=True, seed=1))
    world.execute("CREATE VIEW shown AS SELECT n % 7 AS rest, s FROM people")
    world.execute(f"GRANT SELECT ON shown TO {READER}")
    source = postgres_source("src", "shown", world.conninfo, LIMITS)
    rest = pl.concat(source.batches(plan("rest", "s")))["rest"].to_list()
    assert rest == sorted(rest)


def test_an_index_does_not_change_the_order(numbers: Postgres) -> None:
    rows = [{"column": "n", "operator": "lessThan", "value": 5000}]
    numbers.execute("UPDATE people SET s = s WHERE n < 100")  # moves these rows to the end
    before = pl.concat(numbers.source.batches(plan("n", rows=rows)))
    numbers.execute("CREATE INDEX by_n ON people (n)")
    numbers.execute("ANALYZE people")
    after = pl.concat(numbers.source.batches(plan("n", rows=rows)))
    assert before["n"].to_list() == after["n"].to_list() != sorted(before["n"].to_list())


def test_values_that_no_type_of_ours_holds_are_null_and_counted(world: Postgres) -> None:
    world.execute("CREATE TABLE people (d date, t timestamp, z timestamptz, c time, m numeric(5,2))")
    world.execute(f"GRANT SELECT ON people TO {READER}")
    world.execute(
        "INSERT INTO people VALUES ('infinity', '-infinity', 'infinity', '24:00', 'NaN'),"
        " ('0044-03-15 BC', '10000-01-01', '2026-01-01+00', '00:00', '1.50'), (NULL, NULL, NULL, NULL, NULL)"
    )
    lost: dict[str, int] = {}
    frame = pl.concat(world.source.batches(plan("d", "t", "z", "c", "m"), lost.__setitem__))
    assert lost == {"d": 2, "t": 2, "z": 1, "c": 1, "m": 1}
    assert frame.null_count().row(0) == (3, 3, 2, 2, 2)
    with pytest.raises(RowsInvalid, match="column d has 2 values"):
        list(world.source.batches(plan("d")))


def test_types_of_text_are_text_and_compared_as_such(world: Postgres) -> None:
    world.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    world.execute("CREATE DOMAIN code AS varchar(5)")
    world.execute("CREATE TABLE people (e mood, u uuid, c char(4), v code)")
    world.execute(f"GRANT SELECT ON people TO {READER}")
    world.execute("INSERT INTO people VALUES ('sad', '00000000-0000-0000-0000-00000000000a', 'ab', 'x')")
    assert set(world.source.schema().values()) == {pl.String()}
    for column, value, found in [("e", "sad", 1), ("u", "00000000-0000-0000-0000-00000000000a", 1), ("v", "x", 1),
                                 ("c", "ab", 0), ("c", "ab  ", 1)]:  # fmt: skip
        rows = [{"column": column, "operator": "equals", "value": value}]
        assert sum(frame.height for frame in world.source.batches(plan("e", "c", rows=rows))) == found


def test_a_type_without_counterpart_is_refused_with_the_column(world: Postgres) -> None:
    world.execute("CREATE TYPE text AS (hidden text)")
    world.execute("CREATE TABLE people (n numeric, j jsonb, o public.text, ok int)")
    world.execute(f"GRANT SELECT ON people TO {READER}")
    world.execute("INSERT INTO people VALUES (1, '{}', NULL, 1)")
    assert world.source.schema() == dict.fromkeys("njo", pl.Unknown()) | {"ok": pl.Int32()}
    assert pl.concat(world.source.batches(plan("ok"))).height == 1
    for name in "njo":
        with pytest.raises(UnusableInput, match=rf"column {name} as a type .* offer a view"):
            list(world.source.batches(plan(name)))


@pytest.mark.parametrize("secret", ["no string at all", "", "postgresql://u:geheim@[h/d"])
def test_a_secret_that_is_no_connection_string_is_not_shown(secret: str) -> None:
    source = postgres_source("src", "people", lambda: secret, LIMITS)
    with pytest.raises(UnusableInput, match="no connection string") as caught:
        source.schema()
    assert "geheim" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_password_that_is_refused_is_not_shown(world: Postgres) -> None:
    source = postgres_source("src", "people", partial(world.conninfo, user="nobody", password="geheim"), LIMITS)
    with pytest.raises(SourceUnavailable) as caught:
        source.schema()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("percent", [10, 50, 99])
def test_a_connection_that_is_cut_is_an_error_and_never_a_shorter_result(numbers: Postgres, percent: int) -> None:
    whole = ROWS * 41  # bytes of answers: 19 of each row are fixed, and a few more for the start
    with CuttableProxy(numbers.server.socket, every=whole * percent // 100) as wire:
        with pytest.raises(SourceUnavailable, match="cannot be reached or read") as caught:
            list(through(numbers, wire).source.batches(plan("n", "s")))
        assert caught.value.transient


def test_a_session_that_the_server_ends_is_an_error_too(numbers: Postgres) -> None:
    """libpq hears of it in words of the server, and not by a reset."""
    with CuttableProxy(numbers.server.socket) as wire:
        frames = through(numbers, wire).source.batches(plan("n", "s"))
        wire.pause_after(600_000)
        next(frames)
        numbers.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{READER}'")
        wire.resume()
        with pytest.raises(SourceUnavailable, match="cannot be reached or read"):
            list(frames)


def test_a_server_that_restarts_ends_the_reading_and_can_be_read_again(numbers: Postgres) -> None:
    with CuttableProxy(numbers.server.socket) as wire:
        frames = through(numbers, wire).source.batches(plan("n", "s"))
        wire.pause_after(600_000)
        next(frames)
        numbers.server.restart()  # it ends the session, while the wire carries nothing
        wire.resume()
        with pytest.raises(SourceUnavailable):
            list(frames)
    with CuttableProxy(numbers.server.socket) as wire:
        assert sum(frame.height for frame in through(numbers, wire).source.batches(plan("n"))) == ROWS


def test_a_server_that_is_down_is_unavailable(numbers: Postgres) -> None:
    numbers.server.stop()
    try:
        with pytest.raises(SourceUnavailable, match="see whether its server runs"):
            numbers.source.schema()
    finally:
        numbers.server.start()


def test_a_statement_that_takes_too_long_is_ended_by_the_server(world: Postgres) -> None:
    world.create(NUMBERS[:3])
    world.execute("CREATE VIEW slow AS SELECT n, pg_sleep(10)::text AS s FROM people")
    world.execute(f"GRANT SELECT ON slow TO {READER}")
    source = postgres_source("src", "slow", world.conninfo, SourceSettings(statement_seconds=0.5))
    with pytest.raises(SourceUnavailable, match="GLA_SOURCES__STATEMENT_SECONDS"):
        list(source.batches(plan("n", "s")))


def test_a_table_that_somebody_holds_is_waited_for_only_so_long(world: Postgres) -> None:
    world.create(NUMBERS[:3])
    source = postgres_source("src", "people", world.conninfo, SourceSettings(statement_seconds=0.5))
    with psycopg.connect(world.conninfo(user="postgres")) as holder:
        holder.execute("LOCK TABLE people")
        with pytest.raises(SourceUnavailable, match="did not answer in time"):
            list(source.batches(plan("n")))


def test_a_source_that_says_nothing_any_more_is_given_up(numbers: Postgres) -> None:
    """The connection stays open and carries nothing: neither the server nor the network notices."""
    with CuttableProxy(numbers.server.socket) as wire:
        source = through(numbers, wire, SourceSettings(idle_seconds=1)).source
        assert source.schema()
        frames = source.batches(plan("n", "s"))
        wire.pause_after(600_000)
        assert next(frames).height == 10_000
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="did not answer for 1 seconds"):
            list(frames)
        assert time.monotonic() - started < 15


def test_rows_written_while_reading_are_not_seen(numbers: Postgres) -> None:
    with CuttableProxy(numbers.server.socket) as wire:
        frames = through(numbers, wire).source.batches(plan("n", "s"))
        wire.pause_after(600_000)
        first = next(frames)
        numbers.append(NUMBERS[:100])
        numbers.execute("DELETE FROM people WHERE n > 59000")
        numbers.execute("UPDATE people SET n = -n")
        wire.resume()
        assert pl.concat([first, *frames])["n"].to_list() == list(range(ROWS))
