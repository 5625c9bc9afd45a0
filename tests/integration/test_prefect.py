"""The flows in a real Prefect server with a real worker: the form, reruns, planning, double triggers."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from apps.cli.local_stack import LocalStack
from apps.cli.ops import PREFECT_FILE
from core.clock import utc_now
from core.errors import Unexpected
from flows.steps import path
from flows.steps.planning import due_deliveries
from ledger.history import Choice, history
from tests.delivery_world import AGREEMENT, MARCH, World, make_world_in
from tests.prefect_world import PrefectWorld, prefect_world

pytestmark = pytest.mark.timeout(900)  # seconds, with the start of a Prefect server, on a busy machine


def nothing_overdue(world: World) -> dict[str, Any]:
    """April is due in two days, so that after three deliveries nothing is overdue and the worker has its hands free."""
    document = world.document()
    days = (utc_now().date() - date(2026, 5, 1)).days + 2
    latency = {"property": "latency", "value": max(days, 0), "unit": "d"}
    others = [item for item in document["slaProperties"] if item["property"] != "latency"]
    document["slaProperties"] = [*others, latency]
    return document


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectWorld]:
    make_world = make_world_in(tmp_path_factory.mktemp("prefect"), clock=utc_now)
    with prefect_world(make_world, document=nothing_overdue) as running:
        yield running


def form(period="2026-03", mode="resume", reason="", requested_by="A. Operator"):
    return {
        "agreement": AGREEMENT, "period": period, "mode": mode, "reason": reason, "requested_by": requested_by,
    }  # fmt: skip


def test_the_form_has_a_drop_down_and_says_what_each_field_is(prefect):
    schema = prefect.deployment("deliver/deliver")["parameter_openapi_schema"]
    fields = schema["properties"]
    assert list(fields) == ["agreement", "period", "requested_by", "mode", "reason", "full"]
    assert schema["required"] == ["agreement", "period", "requested_by"]
    assert all(fields[name].get("description") for name in fields)
    assert schema["definitions"]["Mode"]["enum"] == ["resume", "redeliver", "correct"]


def test_deploying_again_changes_nothing(prefect):
    before = {item["id"] for item in prefect.call("POST", "/deployments/filter", {})}
    prefect.stack.deploy()
    assert {item["id"] for item in prefect.call("POST", "/deployments/filter", {})} == before


def test_an_operator_delivers_and_reruns_from_the_form(prefect):
    state = prefect.finished(prefect.start("deliver/deliver", **form()))
    assert state["type"] == "COMPLETED", state
    assert prefect.world.published().is_dir()

    refused = prefect.finished(prefect.start("deliver/deliver", **form(mode="correct")))
    assert refused["type"] == "FAILED"
    assert "needs a reason" in refused["message"]

    state = prefect.finished(prefect.start("deliver/deliver", **form(mode="correct", reason="amounts corrected")))
    assert state["type"] == "COMPLETED", state
    delivery = prefect.world.services.ledger.get(AGREEMENT, MARCH, 2)
    assert (delivery.actor, delivery.reason) == ("A. Operator", "amounts corrected")


def test_the_form_refuses_a_mode_that_does_not_exist(prefect):
    with pytest.raises(Unexpected, match=r"answered (409|422)"):
        prefect.start("deliver/deliver", **form(mode="again"))


def test_each_step_is_a_task_that_the_operator_sees(prefect):
    run = prefect.start("deliver/deliver", **form(period="2026-01"))
    assert prefect.finished(run)["type"] == "COMPLETED"
    expected = {"agree", "extract, validate, seal", "publish", "record"}
    until = time.monotonic() + 30  # seconds: the server hears of tasks by events, a little after the run's end
    while (names := task_names(prefect, run)) != expected and time.monotonic() < until:
        time.sleep(0.5)
    assert names == expected


def task_names(prefect, run):
    tasks = prefect.call("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return {task["name"].rsplit("-", 1)[0] for task in tasks}


def log_of(prefect, run):
    """What a run wrote, which reaches the server a little after its end."""
    until = time.monotonic() + 60
    while not (lines := prefect.call("POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})):
        assert time.monotonic() < until
        time.sleep(0.5)
    return "\n".join(line["message"] for line in lines)


def artifacts_of(prefect, run):
    found = prefect.call("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
    return {artifact["key"]: artifact["data"] for artifact in found}


def test_the_report_is_an_artifact_of_a_good_and_of_a_refused_run(prefect):
    run = prefect.start("deliver/deliver", **form(period="2026-03"))
    assert prefect.finished(run)["type"] == "COMPLETED"
    shown = artifacts_of(prefect, run)
    assert set(shown) == {"delivery", "validation-report"}
    assert shown["validation-report"].startswith("# Validation report: VALID\n")
    assert "| rows | 310 |" in shown["validation-report"]

    run = prefect.start("deliver/deliver", **form(period="2026-11"))
    refused = prefect.finished(run)
    assert refused["type"] == "FAILED"
    assert "DeliveryEmpty" in refused["message"] or "gla.empty" in refused["message"]
    assert "| rows | 0 |" in artifacts_of(prefect, run)["validation-report"]


def test_two_triggers_at_once_make_one_delivery(prefect):
    runs = [prefect.start("deliver/deliver", **form(period="2026-02")) for _ in range(2)]
    states = [prefect.finished(run) for run in runs]
    assert "COMPLETED" in [state["type"] for state in states]
    for state in states:
        assert state["type"] == "COMPLETED" or "another worker" in state["message"], state
    published = [event for event in prefect.world.events() if event["action"] == "delivery.published"]
    assert [event["object"] for event in published].count(f"delivery:{AGREEMENT}/2026-02/1") == 1


def test_planning_becomes_scheduled_runs_once(prefect):
    for _ in range(2):
        assert prefect.finished(prefect.start("plan/plan"))["type"] == "COMPLETED"
    runs = [run for run in prefect.runs() if "planned" in run["tags"]]
    periods = [run["parameters"]["period"] for run in runs]
    assert len(periods) == len(set(periods))
    assert periods
    horizon = datetime.now(UTC) + timedelta(days=41)
    assert all(datetime.fromisoformat(run["expected_start_time"]) < horizon for run in runs)
    assert {run["parameters"]["requested_by"] for run in runs} == {"planning"}


def test_a_planned_run_that_failed_before_the_ledger_had_anything_of_it_is_planned_again(prefect):
    planned = [run["id"] for run in prefect.runs() if "planned" in run["tags"] and run["state_type"] == "SCHEDULED"]
    failed, cancelled = planned[:2]  # not what the planner's own schedule planned before a test delivered it
    for run, state in ((failed, "FAILED"), (cancelled, "CANCELLED")):
        set_state(prefect, run, type=state, message="LedgerUnavailable")
    plan = prefect.start("plan/plan")
    assert prefect.finished(plan)["type"] == "COMPLETED"
    states = {run["id"]: run["state_type"] for run in prefect.runs() if run["id"] in planned}
    assert states == dict.fromkeys(planned, "SCHEDULED") | {cancelled: "CANCELLED"}
    assert log_of(prefect, plan).count("its run is cancelled, and is not begun again") == 1


def set_state(prefect, run, **state):
    prefect.call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})


def test_the_intake_takes_what_a_recipient_sent_and_prefect_learns_nothing_of_it(prefect):
    area = prefect.world.services.incoming_folder / "fonds" / AGREEMENT
    area.mkdir(parents=True)  # as if the agreement had taken participants
    (area / "deelnemers.csv.age").write_bytes(b"999990019")
    (area / "deelnemers.csv.age.sig").write_bytes(b"")
    run = prefect.start("intake/intake")
    assert prefect.finished(run)["type"] == "COMPLETED"
    assert list(area.iterdir()) == []
    assert "participants.refused" in [event["action"] for event in prefect.world.events()]
    assert artifacts_of(prefect, run) == {}


def test_a_receipt_is_collected_and_nothing_is_removed_before_its_time(prefect):
    fund = prefect.world
    path.run(fund.services, fund.order())  # delivered before, or now
    receipts = fund.services.receipts_folder / "fonds"
    receipts.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256((fund.published() / "manifest.json").read_bytes()).hexdigest()
    for name, text in (("march.ack", digest), ("march.nack", f"{digest}\ncontent")):
        (receipts / name).write_text(text)
        os.utime(receipts / name, (0, 0))
    for name in ("collect/collect", "retention/retention"):
        run = prefect.start(name)
        assert prefect.finished(run)["type"] == "COMPLETED"
        assert artifacts_of(prefect, run) == {}
        if name == "collect/collect":
            assert "does not accept GLA-2026-0007/2026-03/1: content" in log_of(prefect, run)
    assert "delivery.confirmed" in [event["action"] for event in fund.events()]
    assert list(receipts.iterdir()) == []


def test_losing_the_schedulers_database_loses_no_history(prefect):
    """The last of the module: Prefect is stopped, its database deleted, and another one started with nothing in it."""
    world = prefect.world
    path.run(world.services, world.order())  # delivered before, or now
    before, told = list(history(world.services.engine, Choice())), world.events()
    assert "2026-03" in {row.period for row in before}
    due, _ = due_deliveries(world.services)
    prefect.stack.__exit__(None, None, None)
    shutil.rmtree(world.services.settings.prefect_dir)
    assert (list(history(world.services.engine, Choice())), world.events()) == (before, told)
    assert [item.period for item in due_deliveries(world.services)[0]] == [item.period for item in due]
    settings = world.services.settings.model_copy(update={"prefect_api_url": None})
    with LocalStack(settings, PREFECT_FILE) as stack:
        stack.begin_server()
        stack.wait_for_server()
        stack.deploy()
        stack.start_worker()
        empty = PrefectWorld(world, stack)
        assert all(run["state_type"] == "SCHEDULED" for run in empty.runs()), "of its own it knows of nothing"
        for asked in (form(), form(mode="correct", reason="one more")):
            assert empty.finished(empty.start("deliver/deliver", **asked))["type"] == "COMPLETED"
    published = [event["object"] for event in world.events() if event["action"] == "delivery.published"]
    earlier = [event["object"] for event in told if event["action"] == "delivery.published"]
    edition = 1 + len({name for name in earlier if "/2026-03/" in name})
    assert published == [*earlier, f"delivery:{AGREEMENT}/2026-03/{edition}"], "once more for who asked for it"
