"""Mutation deliveries: what changed since the last one that the recipient got, whatever happened in between."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import polars as pl
import pytest
from click.testing import CliRunner
from sqlalchemy import update

from apps.cli.agreement import agreement as agreement_command
from apps.cli.deliver import deliver as deliver_command
from apps.cli.open_delivery import open_delivery as open_command
from core.database import writing
from core.errors import DeliveryBusy, DeliveryStateError, RowsInvalid, UnusableInput
from core.period import Period
from core.settings import Settings
from flows.steps import lifecycle, path
from flows.steps.drift import drift
from flows.steps.order import Mode, Order
from keys.private.opening import open_envelope
from keys.sshsig import Namespace
from ledger.tables import deliveries
from schemas.manifest import Manifest, Pakbon
from tests.delivery_world import AGREEMENT, MARCH, NOW
from tests.flows.test_rerun import stop_before

APRIL, MAY = Period.parse("2026-04"), Period.parse("2026-05")
CODE = "mutatie"
ROWS = 20  # few: each of the 256 ranges in which a key lies costs the same, with one key or a thousand


def mutation_document(world, **custom):
    """Only the key is required; no row is chosen by the period."""
    document = world.document(**{"mutations": {"column": CODE}, "filter": None, "empty": "deliver"} | custom)
    properties = document["schema"][0]["properties"]
    for each in properties:
        each["primaryKey"] = each["name"] == "id"
    codes = [
        {"value": value, "label": label} for value, label in (("N", "Nieuw"), ("W", "Gewijzigd"), ("V", "Vervallen"))
    ]
    properties.append({"name": CODE, "logicalType": "string", "required": True, "enum": codes})
    return document


@pytest.fixture
def mutating(make_world):
    """A world with an agreement over the mutations of all rows."""
    world = make_world(ROWS)
    world.conclude(mutation_document(world))
    return world


def opened(world, name, period=MARCH, edition=1):
    with (world.published(edition, period) / f"{name}.age").open("rb") as file:
        return open_envelope(file, [world.identity]).read()


def told(world, period=MARCH, edition=1):
    return pl.read_parquet(io.BytesIO(opened(world, "people.parquet", period, edition)))


def pakbon_of(world, period=MARCH, edition=1) -> Pakbon:
    return Pakbon.from_bytes(opened(world, "pakbon.json", period, edition))


def counts(world, period=MARCH, edition=1):
    found = pakbon_of(world, period, edition).mutations
    return found.new, found.changed, found.ended


def deliver(world, period=MARCH, mode=Mode.RESUME, reason="", *, full=False, **more):
    return path.run(world.services, Order(AGREEMENT, period, "tester", mode, reason, full), **more)


def change_source(world, change):
    change(pl.read_parquet(world.source)).write_parquet(world.source)


def raise_amounts(*ids):
    """The rows with these ids get another amount."""
    return lambda rows: rows.with_columns(amount=pl.col("amount") + pl.col("id").is_in(ids).cast(pl.Int64))


def by_code(frame):
    return {code: sorted(frame.filter(pl.col(CODE) == code)["id"].to_list()) for code in "NWV"}


def states(world):
    return sorted(each.name for each in (world.home / "mutations" / AGREEMENT).iterdir())


def test_the_first_delivery_is_the_whole_state_as_new(mutating):
    outcome = deliver(mutating)
    assert outcome.rows == ROWS
    frame = told(mutating)
    assert frame.columns == ["id", "day", "amount", "note", CODE]
    assert by_code(frame) == {"N": list(range(1, ROWS + 1)), "W": [], "V": []}
    source = pl.read_parquet(mutating.source).select("id", "day", "amount", "note")
    assert frame.drop(CODE).sort("id").equals(source)
    assert pakbon_of(mutating).plan.base is None
    assert counts(mutating) == (ROWS, 0, 0)


def test_the_next_delivery_tells_what_is_new_changed_and_ended(mutating):
    deliver(mutating)
    change_source(
        mutating,
        lambda rows: pl.concat(
            [
                raise_amounts(5, 19)(rows).filter(~pl.col("id").is_in([7, 8])),
                rows.tail(1).with_columns(id=pl.lit(5000, pl.Int64)),
            ]
        ),
    )
    deliver(mutating, APRIL)
    frame = told(mutating, APRIL)
    assert by_code(frame) == {"N": [5000], "W": [5, 19], "V": [7, 8]}
    ended = frame.filter(pl.col(CODE) == "V")
    assert ended.drop("id", CODE).null_count().sum_horizontal().item() == 6, "of an ended row only the key is told"
    plan = pakbon_of(mutating, APRIL).plan
    assert (plan.mutations, plan.base.period, plan.base.edition) == (CODE, "2026-03", 1)
    assert [column.name for column in plan.columns] == ["id", "day", "amount", "note"]
    assert counts(mutating, APRIL) == (1, 2, 2)


def test_what_became_null_has_changed_and_what_came_back_is_new(mutating):
    deliver(mutating)
    change_source(
        mutating,
        lambda rows: rows.with_columns(note=pl.when(pl.col("id") != 3).then("note")).filter(pl.col("id") != 4),
    )
    deliver(mutating, APRIL)
    assert by_code(told(mutating, APRIL)) == {"N": [], "W": [3], "V": [4]}
    change_source(mutating, lambda rows: pl.concat([rows, rows.head(1).with_columns(id=pl.lit(4, pl.Int64))]))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [4], "W": [], "V": []}


def test_nothing_changed_is_an_empty_delivery(mutating):
    deliver(mutating)
    change_source(mutating, lambda rows: rows.sort("note", descending=True).with_columns(secret=pl.lit("other")))
    assert deliver(mutating, APRIL).rows == 0
    assert told(mutating, APRIL).schema == told(mutating).schema


def test_a_column_stored_in_another_width_has_not_changed(mutating):
    deliver(mutating)
    change_source(mutating, lambda rows: rows.with_columns(pl.col("id").cast(pl.UInt16)))
    assert deliver(mutating, APRIL).rows == 0


def test_a_delivery_that_was_refused_is_no_base(mutating):
    deliver(mutating)
    change_source(mutating, lambda rows: pl.concat([raise_amounts(1)(rows), rows.head(1)]))
    with pytest.raises(RowsInvalid, match="primaryKey"):
        deliver(mutating, APRIL)
    assert len(states(mutating)) == 1, "what it would have left behind is gone"
    change_source(mutating, lambda rows: raise_amounts(2)(rows.head(ROWS)))
    deliver(mutating, APRIL)
    assert by_code(told(mutating, APRIL)) == {"N": [], "W": [1, 2], "V": []}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: pl.concat([rows, rows.filter(pl.col("id") == 9)]),
        lambda rows: rows.with_columns(id=pl.when(pl.col("id") != 9).then("id")),
        lambda rows: rows.with_columns(pl.col("id").cast(pl.String)),
    ],
    ids=["twice", "absent", "another type"],
)
def test_a_key_that_is_none_refuses_the_delivery(mutating, spoil):
    deliver(mutating)
    change_source(mutating, spoil)
    with pytest.raises(RowsInvalid):
        deliver(mutating, APRIL)
    assert not mutating.published(1, APRIL).exists()


def test_what_is_sealed_and_not_published_is_no_base(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    with pytest.raises(KeyboardInterrupt):
        deliver(mutating, APRIL, step=stop_before("publish"))
    change_source(mutating, raise_amounts(2))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [1, 2], "V": []}
    with pytest.raises(DeliveryStateError, match="mutations go forward only"):
        deliver(mutating, APRIL)
    assert not mutating.published(1, APRIL).exists()


def test_what_appeared_and_was_not_recorded_must_be_resumed_first(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    with pytest.raises(KeyboardInterrupt):
        deliver(mutating, APRIL, step=stop_before("record"))
    assert mutating.published(1, APRIL).exists()
    change_source(mutating, raise_amounts(2))
    for asked in ((MAY,), (APRIL, Mode.CORRECT, "mended")):
        with pytest.raises(DeliveryStateError, match="resume it first"):
            deliver(mutating, *asked)
    deliver(mutating, APRIL)
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [2], "V": []}


def test_a_redelivery_leaves_the_state_of_one_that_is_still_to_come(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    with pytest.raises(KeyboardInterrupt):
        deliver(mutating, APRIL, step=stop_before("publish"))
    deliver(mutating, mode=Mode.REDELIVER, reason="lost")
    deliver(mutating, APRIL)
    change_source(mutating, raise_amounts(2))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [2], "V": []}


def test_what_was_sealed_before_another_one_appeared_is_not_published(mutating):
    """The same period end, so that only the comparison stands in the way."""
    deliver(mutating)
    with pytest.raises(KeyboardInterrupt):
        deliver(mutating, APRIL, step=stop_before("publish"))
    last_day = Period.parse("2026-04-30")
    deliver(mutating, last_day)
    with pytest.raises(DeliveryStateError, match="use mode correct"):
        deliver(mutating, APRIL)
    assert deliver(mutating, APRIL, Mode.CORRECT, "another one was first").edition == 2
    assert pakbon_of(mutating, APRIL, 2).plan.base.period == str(last_day)


def test_a_correction_is_compared_with_what_the_corrected_one_was_compared_with(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL)
    change_source(mutating, raise_amounts(2))
    deliver(mutating, APRIL, Mode.CORRECT, "row 2 was missing")
    assert by_code(told(mutating, APRIL, 2)) == {"N": [], "W": [1, 2], "V": []}
    assert pakbon_of(mutating, APRIL, 2).plan.base.period == "2026-03"
    change_source(mutating, raise_amounts(3))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [3], "V": []}
    assert pakbon_of(mutating, MAY).plan.base.edition == 2


def test_the_first_delivery_corrected_is_the_whole_state_again(mutating):
    deliver(mutating)
    change_source(mutating, lambda rows: rows.head(10))
    deliver(mutating, MARCH, Mode.CORRECT, "too many")
    assert counts(mutating, MARCH, 2) == (10, 0, 0)


def test_only_the_last_delivery_can_be_corrected(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL)
    with pytest.raises(DeliveryStateError, match="was followed by delivery:GLA-2026-0007/2026-04/1"):
        deliver(mutating, MARCH, Mode.CORRECT, "wrong")
    with pytest.raises(DeliveryStateError, match="was followed by delivery:GLA-2026-0007/2026-04/1"):
        deliver(mutating, MARCH, Mode.CORRECT, "lost", full=True)
    assert not mutating.published(2).exists()
    deliver(mutating, MARCH, Mode.REDELIVER, "the refusals left it as it was")


def test_a_redelivery_changes_nothing_for_the_next_one(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL)
    mutating.at(NOW + timedelta(hours=1))
    for period in (APRIL, MARCH):
        deliver(mutating, period, Mode.REDELIVER, "lost")
    change_source(mutating, raise_amounts(2))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [2], "V": []}


def test_what_comes_again_while_its_correction_is_stopped_leaves_the_chain_as_it_was(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL)
    change_source(mutating, raise_amounts(2))
    with pytest.raises(KeyboardInterrupt):
        deliver(mutating, APRIL, Mode.CORRECT, "row 2 was missing", step=stop_before("publish"))
    assert deliver(mutating, APRIL, Mode.REDELIVER, "lost").edition == 1
    with pytest.raises(DeliveryStateError, match="was followed by"):
        deliver(mutating, MARCH, Mode.CORRECT, "April is the last one, as before")
    assert deliver(mutating, APRIL).edition == 2
    assert by_code(told(mutating, APRIL, 2)) == {"N": [], "W": [1, 2], "V": []}
    change_source(mutating, raise_amounts(3))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [3], "V": []}


def test_a_period_before_the_last_one_is_refused(mutating):
    deliver(mutating, APRIL)
    with pytest.raises(DeliveryStateError, match="mutations go forward only"):
        deliver(mutating, MARCH)
    with pytest.raises(DeliveryStateError, match="mutations go forward only"):
        deliver(mutating, MARCH, reason="lost", full=True)


def test_two_deliveries_of_an_agreement_are_not_made_at_once(mutating):
    deliver(mutating)

    def other(name, function, *args):
        if name == "publish":
            with pytest.raises(DeliveryBusy, match="come one after another"):
                deliver(mutating, MAY)
        return function(*args)

    deliver(mutating, APRIL, step=other)
    deliver(mutating, MAY)
    assert pakbon_of(mutating, MAY).plan.base.period == "2026-04"


def test_the_whole_state_on_demand_begins_anew(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    outcome = deliver(mutating, APRIL, reason="the recipient lost its copy", full=True)
    assert outcome.rows == ROWS
    assert counts(mutating, APRIL) == (ROWS, 0, 0)
    assert pakbon_of(mutating, APRIL).plan.base is None
    change_source(mutating, raise_amounts(2))
    deliver(mutating, MAY)
    assert by_code(told(mutating, MAY)) == {"N": [], "W": [2], "V": []}


def test_the_whole_state_can_take_the_place_of_a_delivery(mutating):
    deliver(mutating)
    deliver(mutating, APRIL)
    deliver(mutating, APRIL, Mode.CORRECT, "the recipient lost its copy", full=True)
    assert counts(mutating, APRIL, 2) == (ROWS, 0, 0)
    assert deliver(mutating, MAY).rows == 0
    assert pakbon_of(mutating, MAY).plan.base.edition == 2


def test_a_correction_of_the_whole_state_is_the_whole_state(mutating):
    deliver(mutating)
    deliver(mutating, APRIL, reason="the recipient lost its copy", full=True)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL, Mode.CORRECT, "row 1 was wrong")
    assert counts(mutating, APRIL, 2) == (ROWS, 0, 0)
    assert deliver(mutating, MAY).rows == 0


def after_the_same_one(world):
    """April and May both tell what changed since March: what no check lets happen, as if it had."""
    deliver(world)
    deliver(world, APRIL)
    deliver(world, MAY)
    first, second, third = (world.services.ledger.get(AGREEMENT, period, 1) for period in (MARCH, APRIL, MAY))
    sealed = json.loads(third.sealed)
    assert (sealed["state"]["after"], json.loads(second.sealed)["state"]["after"]) == (second.id, first.id)
    sealed["state"]["after"] = first.id
    with writing(world.services.engine) as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == third.id).values(sealed=json.dumps(sealed)))


def test_where_two_come_after_the_same_one_only_the_whole_state_helps(mutating):
    after_the_same_one(mutating)
    june, july = Period.parse("2026-06"), Period.parse("2026-07")
    with pytest.raises(DeliveryStateError, match="--full"):
        deliver(mutating, june)
    deliver(mutating, june, reason="two came after the same one", full=True)
    assert deliver(mutating, july).rows == 0
    assert pakbon_of(mutating, july).plan.base.period == "2026-06"


@pytest.mark.parametrize(("mode", "reason"), [(Mode.RESUME, ""), (Mode.REDELIVER, "lost")])
def test_the_whole_state_needs_a_reason_and_an_extraction(mode, reason):
    with pytest.raises(UnusableInput, match="needs a reason"):
        Order(AGREEMENT, MARCH, "tester", mode, reason, full=True)


def test_the_whole_state_is_asked_only_of_mutations(world):
    world.conclude()
    with pytest.raises(UnusableInput, match=r"no gla\.mutations"):
        deliver(world, reason="lost", full=True)


def test_the_command_delivers_the_whole_state_again(mutating):
    deliver(mutating)
    settings = mutating.services.settings
    words = [AGREEMENT, "2026-03", "--mode", "correct", "--full", "--reason", "lost"]
    done = CliRunner().invoke(deliver_command, words, obj=settings, catch_exceptions=False)
    assert f"{ROWS} rows" in done.output
    assert "holds the same data as edition 1" in done.output


def damaged(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), damaged, lambda path: path.write_bytes(b"")])
def test_a_state_that_is_lost_or_changed_is_never_taken_for_no_difference(mutating, lose):
    deliver(mutating)
    (name,) = states(mutating)
    lose(mutating.home / "mutations" / AGREEMENT / name)
    with pytest.raises(DeliveryStateError, match="--full"):
        deliver(mutating, APRIL)
    assert deliver(mutating, APRIL, reason="the state was lost", full=True).rows == ROWS


def test_another_state_of_ours_is_not_accepted_in_its_place(mutating):
    deliver(mutating)
    change_source(mutating, raise_amounts(1))
    deliver(mutating, APRIL)
    folder = mutating.home / "mutations" / AGREEMENT
    first, second = (folder / name for name in states(mutating))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(DeliveryStateError, match="--full"):
        deliver(mutating, MAY)


def test_what_is_kept_says_nothing_to_who_has_the_disk(mutating):
    deliver(mutating)
    (name,) = states(mutating)
    path_ = mutating.home / "mutations" / AGREEMENT / name
    assert path_.stat().st_mode & 0o077 == 0
    with path_.open("rb") as file:
        inside = open_envelope(file, mutating.services.custody.identities()).read()
    assert b"nota-" not in inside, "only keys and fingerprints are kept, also inside"


def test_only_the_states_that_are_needed_are_kept(mutating):
    for month in range(1, 7):
        deliver(mutating, Period.parse(f"2026-0{month}"))
        assert len(states(mutating)) == min(month, 2)
    deliver(mutating, Period.parse("2026-06"), Mode.CORRECT, "again")
    assert len(states(mutating)) == 2


def test_nothing_is_kept_when_the_agreement_ends(mutating):
    from agreements.rules import AgreementState

    deliver(mutating)
    lifecycle.stop(mutating.services, AGREEMENT, AgreementState.ENDED, "done", "tester")
    assert not (mutating.home / "mutations" / AGREEMENT).exists()


def test_the_ledger_and_the_manifest_tell_no_counts_in_the_open_file(mutating):
    deliver(mutating)
    manifest = (mutating.published() / "manifest.json").read_bytes()
    assert Manifest.from_bytes(manifest).plan_digest == pakbon_of(mutating).plan_digest
    assert b"mutations" not in manifest
    (sealed,) = [json.loads(event["detail"]) for event in mutating.events() if event["action"] == "delivery.sealed"]
    assert sealed["mutations"] == {"new": ROWS, "changed": 0, "ended": 0}


def test_a_full_delivery_keeps_no_state(world):
    world.conclude()
    deliver(world)
    assert not (world.home / "mutations").exists()
    assert pakbon_of(world).mutations is None


def test_an_agreement_shown_says_that_only_changes_are_told(mutating):
    shown = CliRunner().invoke(agreement_command, ["show", AGREEMENT], obj=mutating.services.settings)
    assert "only what changed" in shown.output


def test_drift_does_not_miss_the_column_that_no_source_has(mutating):
    assert drift(mutating.services, AGREEMENT) == []


def test_gla_open_says_what_the_rows_are_compared_with(mutating, tmp_path):
    deliver(mutating)
    change_source(mutating, raise_amounts(1, 2))
    deliver(mutating, APRIL)
    key, signed = tmp_path / "age.key", tmp_path / "agreement.json"
    key.write_text(mutating.identity.secret_text() + "\n")
    key.chmod(0o600)
    canonical = (mutating.home / "agreements" / f"{AGREEMENT}.json").read_bytes()
    signed.write_bytes(canonical)
    signed.with_name("agreement.json.sig").write_text(mutating.signer.sign(canonical, Namespace.AGREEMENT))
    told = []
    for period in (MARCH, APRIL):
        words = [str(mutating.published(1, period)), "-i", str(key), "--agreement", str(signed)]
        words += ["-o", str(tmp_path / str(period))]
        done = CliRunner().invoke(open_command, words, obj=Settings(home=tmp_path / "theirs"), catch_exceptions=False)
        told.append(done.output)
    assert f"The whole state, {ROWS} rows told as new" in told[0]
    assert "What changed since 2026-03, edition 1: 0 new, 2 changed, 0 ended" in told[1]
