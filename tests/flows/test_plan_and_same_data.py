"""What was read is told to the recipient, and "is this the data that I have already?" has an answer."""

from __future__ import annotations

import json

import polars as pl
import pytest

from core.canonical import sha256_hex
from core.errors import ManifestInvalid
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.same_data import is_same
from flows.steps.seal import Sealed
from keys.private.keyed import keyed_digest
from keys.private.opening import open_envelope
from keys.private.rotation import rotate
from keys.private.secret import Secret
from keys.roles import Role
from schemas.manifest import Manifest, Pakbon
from tests.delivery_world import AGREEMENT, MARCH, make_world_in


def pakbon_of(world, edition=1) -> Pakbon:
    with (world.published(edition) / "pakbon.json.age").open("rb") as file:
        return Pakbon.from_bytes(open_envelope(file, [world.identity]).read())


def manifest_of(world, edition=1) -> Manifest:
    return Manifest.from_bytes((world.published(edition) / "manifest.json").read_bytes())


def correct(world):
    return path.run(world.services, world.order(Mode.CORRECT, "looked again"))


def test_the_pakbon_holds_the_plan_and_the_manifest_its_digest(world):
    world.conclude()
    path.run(world.services, world.order())
    pakbon = pakbon_of(world)
    plan = pakbon.plan
    assert plan is not None
    assert [column.name for column in plan.columns] == ["id", "day", "amount", "note"]
    assert (plan.source, plan.period, plan.agreement) == ("people", "2026-03", AGREEMENT)
    assert [condition["bound"] for condition in plan.filter] == ["period.start", "period.end"]
    assert manifest_of(world).plan_digest == pakbon.plan_digest == sha256_hex(plan.to_bytes())


def test_the_ledger_has_the_digest_of_the_plan(world):
    world.conclude()
    path.run(world.services, world.order())
    (sealed,) = [json.loads(event["detail"]) for event in world.events() if event["action"] == "delivery.sealed"]
    assert sealed["plan"] == manifest_of(world).plan_digest
    assert "same_data_as_edition" not in sealed


def test_a_plan_that_is_not_that_of_the_digest_is_refused(world):
    world.conclude()
    path.run(world.services, world.order())
    value = json.loads(pakbon_of(world).to_bytes())
    value["plan"]["source"] = "other"
    with pytest.raises(ManifestInvalid, match="pakbon"):
        Pakbon.from_bytes(json.dumps(value).encode())


def test_a_correction_without_a_difference_says_so(world):
    world.conclude()
    assert path.run(world.services, world.order()).same_as is None
    outcome = correct(world)
    assert (outcome.edition, outcome.same_as) == (2, 1)
    assert [file.checksum for file in pakbon_of(world, 2).files] == [
        file.checksum for file in pakbon_of(world, 1).files
    ]
    sealed = [json.loads(event["detail"]) for event in world.events() if event["action"] == "delivery.sealed"]
    assert sealed[-1]["same_data_as_edition"] == 1


def test_a_correction_with_one_other_value_is_not_the_same(world):
    world.conclude()
    path.run(world.services, world.order())
    rows = pl.read_parquet(world.source)
    rows.with_columns(amount=pl.col("amount") + (pl.col("id") == 700)).write_parquet(world.source)
    assert correct(world).same_as is None


def test_the_mark_is_known_again_after_its_secret_was_replaced(world):
    world.conclude()
    path.run(world.services, world.order())
    files = pakbon_of(world).files
    content = Sealed.from_json(world.services.ledger.get(AGREEMENT, MARCH, 1).sealed).content
    assert is_same(world.services, files, content)
    rotate(world.services.custody, Role.PERSON_DIGESTS)
    assert is_same(world.services, files, content)


def test_who_lacks_the_secret_cannot_try_out_a_content(world, tmp_path):
    world.conclude()
    path.run(world.services, world.order())
    content = Sealed.from_json(world.services.ledger.get(AGREEMENT, MARCH, 1).sealed).content
    (tmp_path / "elsewhere").mkdir()
    other = make_world_in(tmp_path / "elsewhere")()
    assert not is_same(other.services, pakbon_of(world).files, content)


def test_a_record_of_before_there_were_plans_is_read():
    old = '{"token": 1, "rows": 2, "expires": "2026-05-05T12:00:00Z", "keys": ["k"], "files": {"a": [1, "0"]}}'
    assert Sealed.from_json(old).plan is None
    assert Sealed.from_json(old).same_as is None


@pytest.mark.parametrize("purpose", ["", "x" * 17, "é" * 9])
def test_a_purpose_that_does_not_fit_is_refused(purpose):
    with pytest.raises(ValueError, match="purpose"):
        keyed_digest(Secret(b"k" * 32), purpose, b"")


def test_keyed_digests_differ_by_secret_purpose_and_content():
    made = {
        keyed_digest(Secret(secret), purpose, data)
        for secret in (b"k" * 32, b"l" * 32)
        for purpose in ("a", "b")
        for data in (b"", b"x")
    }
    assert len(made) == 8
