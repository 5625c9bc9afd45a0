"""Mutations and participants together: nobody outside the set in force is told of, also not that a row ended."""

from __future__ import annotations

import pytest

from core.period import Period
from flows.steps import lifecycle, path
from flows.steps.draft import as_yaml, draft
from flows.steps.order import Order
from keys.sshsig import Namespace
from schemas.manifest import Pakbon
from tests.delivery_world import AGREEMENT, RECIPIENT, VALID_UNTIL
from tests.flows.test_mutations import opened
from tests.participants_world import PEOPLE, delivered, send, set_clients

CODES = [{"value": "N"}, {"value": "W"}, {"value": "V"}]
A, B, C, D = PEOPLE[:4]


@pytest.fixture
def limited(world):
    """An agreement over the mutations of clients who are participants; A, B and C are."""
    set_clients(world, [A, B, C, D])
    world.services.sources.add("clients", str(world.home / "clients.parquet"))
    document = draft(world.services, AGREEMENT, "clients", RECIPIENT, ("bsn", "day", "amount"), None)
    terms = {each["property"]: each["value"] for each in document["customProperties"]}
    terms |= {"gla.validFrom": "2026-01-01", "gla.validUntil": VALID_UNTIL, "gla.empty": "header-only"}
    terms |= {"gla.participants": {"column": "bsn", "maximum": 10}, "gla.mutations": {"column": "code"}}
    document["customProperties"] = [{"property": name, "value": value} for name, value in terms.items()]
    columns = document["schema"][0]["properties"]
    columns[0]["primaryKey"] = True
    columns.append({"name": "code", "logicalType": "string", "enum": CODES})
    agreement, _ = lifecycle.offer(world.services, as_yaml(document).encode(), "tester")
    lifecycle.accept(world.services, AGREEMENT, world.signer.sign(agreement.canonical, Namespace.AGREEMENT), "tester")
    lifecycle.activate(world.services, AGREEMENT, "tester")
    send(world, [A, B, C])
    return world


def deliver(world, month):
    """The mutations of a month, as what happened to whom."""
    period = Period.parse(f"2026-{month:02}")
    path.run(world.services, Order(AGREEMENT, period, "tester"))
    return dict(delivered(world, world.published(1, period)).select("bsn", "code").iter_rows())


def test_only_participants_are_told_of(limited):
    assert deliver(limited, 1) == {A: "N", B: "N", C: "N"}


def test_who_is_no_participant_any_more_is_not_told_as_ended(limited):
    deliver(limited, 1)
    send(limited, [A, B])
    assert deliver(limited, 2) == {}


def test_who_becomes_a_participant_is_new_also_for_the_second_time(limited):
    deliver(limited, 1)
    send(limited, [A, D], "deelnemers-2.csv.age")
    assert deliver(limited, 2) == {D: "N"}
    send(limited, [A, B, D], "deelnemers-3.csv.age")
    assert deliver(limited, 3) == {B: "N"}


def test_a_row_about_a_participant_that_is_gone_has_ended(limited):
    deliver(limited, 1)
    set_clients(limited, [B, C, D])
    changed = deliver(limited, 2)
    assert changed[A] == "V"
    assert D not in changed


def test_the_plan_names_the_set_and_the_base(limited):
    deliver(limited, 1)
    deliver(limited, 2)
    plan = Pakbon.from_bytes(opened(limited, "pakbon.json", Period.parse("2026-02"))).plan
    assert plan.participants is not None
    assert (plan.base.period, plan.mutations) == ("2026-01", "code")
    assert plan.snapshot is not None
