"""A recipient of rows about people, by citizen number and inside arrays, and what is asked about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from keys.sshsig import Namespace
from tests.delivery_world import AGREEMENT, RECIPIENT, VALID_UNTIL, World
from tests.participants_world import numbers_for_tests

EVERYBODY = numbers_for_tests(400)
PEOPLE, PARTNERS, OTHERS = EVERYBODY[:200], EVERYBODY[200:210], EVERYBODY[300:]
PURPOSE = "vaststellen van pensioenaanspraken"
LAW = "https://wetten.overheid.nl/BWBR0013060#Artikel73"


def rows(numbers: Sequence[str], day: date = date(2026, 3, 1)) -> pl.DataFrame:
    """One row for each number, with a column of partners inside an array of objects."""
    partners = [[{"nummer": each, "sinds": 2020}] for each in PARTNERS]
    partners += [[] for _ in range(len(numbers) - len(partners))]
    return pl.DataFrame(
        {
            "bsn": numbers,
            "day": [day + timedelta(days=at % 30) for at in range(len(numbers))],
            "partners": pl.Series(
                partners[: len(numbers)], dtype=pl.List(pl.Struct({"nummer": pl.String, "sinds": pl.Int64}))
            ),
        }
    )


def document(world: World, agreement_id: str = AGREEMENT, *, rule: bool = True) -> dict[str, Any]:
    made = draft(world.services, agreement_id, "clients", RECIPIENT, ("bsn", "day"), "day")
    inner = [{"name": "nummer", "logicalType": "string"}, {"name": "sinds", "logicalType": "integer"}]
    partners = {"name": "partner", "logicalType": "object", "properties": inner}
    made["schema"][0]["properties"].append({"name": "partners", "logicalType": "array", "items": partners})
    made["description"]["purpose"] = PURPOSE
    made["authoritativeDefinitions"] = [{"type": "legalBasis", "url": LAW}]
    properties = {item["property"]: item["value"] for item in made["customProperties"]}
    properties |= {"gla.validFrom": "2026-01-01", "gla.validUntil": VALID_UNTIL, "gla.empty": "skip"}
    made["customProperties"] = [{"property": name, "value": value} for name, value in properties.items()]
    if rule:
        for each in (made["schema"][0]["properties"][0], inner[0]):
            each["customProperties"] = [{"property": "gla.rule", "value": "bsn"}]
    return made


def conclude(world: World, made: dict[str, Any]) -> None:
    agreement, _ = lifecycle.offer(world.services, as_yaml(made).encode(), "tester")
    signature = world.signer.sign(agreement.canonical, Namespace.AGREEMENT)
    lifecycle.accept(world.services, agreement.id, signature, "tester")
    lifecycle.activate(world.services, agreement.id, "tester")


def set_rows(world: World, *frames: pl.DataFrame) -> None:
    pl.concat(frames).write_parquet(world.source.with_name("clients.parquet"))


def with_clients(world: World, *frames: pl.DataFrame, agreement_id: str = AGREEMENT) -> World:
    """The world with an agreement that is in force over such rows; nothing is delivered yet."""
    set_rows(world, *frames)
    world.services.sources.add("clients", str(world.source.with_name("clients.parquet")))
    conclude(world, document(world, agreement_id))
    return world
