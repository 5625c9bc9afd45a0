"""What a recipient has of an agreement that was revoked goes, at once and everywhere; what it has of others stays."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agreements.rules import AgreementState
from apps.cli.agreement import agreement as agreement_command
from apps.cli.history_page import render
from apps.cli.retention import retention as retention_command
from core.errors import AgreementRevoked
from core.period import Period
from flows.steps import lifecycle, path
from flows.steps.accounts import write_accounts
from flows.steps.draft import as_yaml
from flows.steps.order import Mode
from flows.steps.retention import over, remove_what_is_over
from keys.sshsig import Namespace
from ledger import expiry
from ledger.history import HistoryRow, history
from ledger.states import REVOKED, State
from ledger.verify import verify
from schemas.accounts import Account
from tests.delivery_world import AGREEMENT, MARCH, NOW, RECIPIENT, World
from tests.flows.test_rerun import stop_before
from transports.directory import DirectoryTransport

OTHER = "GLA-2026-0008"
FEBRUARY = Period.parse("2026-02")


@pytest.fixture
def both(world: World) -> World:
    """A delivery under each of two agreements with one recipient, and a correction of the first."""
    world.conclude()
    canonical = world.offer(world.document() | {"id": OTHER})
    lifecycle.accept(world.services, OTHER, world.signer.sign(canonical, Namespace.AGREEMENT), "tester")
    lifecycle.activate(world.services, OTHER, "tester")
    path.run(world.services, world.order())
    path.run(world.services, world.order(Mode.CORRECT, "better data"))
    path.run(world.services, replace(world.order(), agreement_id=OTHER))
    return world


def agreements_seen(world: World) -> set[str]:
    return {name.partition("/")[0] for name in world.visible_files()}


def staged(world: World) -> set[str]:
    found = world.services.settings.staging_dir.glob("*/*/manifest.json")
    return {json.loads(path.read_bytes())["agreement"] for path in found}


def account(world: World) -> Account:
    [account] = write_accounts(world.services).accounts
    return account


def rows(world: World, agreement: str = AGREEMENT) -> dict[int, HistoryRow]:
    return {row.edition: row for row in history(world.services.engine) if row.agreement == agreement}


def revoke(world: World) -> Any:
    return lifecycle.stop(world.services, AGREEMENT, AgreementState.REVOKED, "wrong recipient", "tester")


def run(command: Any, world: World, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=world.services.settings)


def test_its_deliveries_go_at_once_and_those_of_the_other_one_stay(both: World) -> None:
    done = revoke(both)
    assert sorted(done.gone) == [f"{AGREEMENT}/2026-03/1", f"{AGREEMENT}/2026-03/2"]
    assert agreements_seen(both) == staged(both) == {OTHER}
    assert account(both).revoked == (AGREEMENT,)
    assert {edition: row.state for edition, row in rows(both).items()} == {1: State.SUPERSEDED, 2: State.EXPIRED}
    assert all(row.removed for row in rows(both).values())
    assert rows(both)[2].reason == REVOKED
    assert "de afspraak is ingetrokken" in render([rows(both)[2]], NOW)
    assert rows(both, OTHER)[1].state == State.PUBLISHED
    events = both.events()
    assert remove_what_is_over(both.services).gone == []
    assert both.events() == events, "and nothing more happens"
    assert verify(both.services.engine, []).deliveries == 3


def test_an_agreement_that_ended_keeps_what_was_delivered_until_its_end(both: World) -> None:
    done = lifecycle.stop(both.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
    assert (done.gone, over(both.services)) == ([], [])
    assert remove_what_is_over(both.services).gone == []
    assert agreements_seen(both) == staged(both) == {AGREEMENT, OTHER}
    assert account(both).revoked == ()


def test_one_that_ended_is_revoked_when_what_was_delivered_must_go_after_all(both: World) -> None:
    lifecycle.stop(both.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
    assert sorted(revoke(both).gone) == [f"{AGREEMENT}/2026-03/1", f"{AGREEMENT}/2026-03/2"]
    assert agreements_seen(both) == staged(both) == {OTHER}
    assert account(both).revoked == (AGREEMENT,)


def test_who_has_no_other_agreement_is_no_longer_let_in(world: World) -> None:
    world.conclude()
    path.run(world.services, world.order())
    revoke(world)
    assert write_accounts(world.services).accounts == ()
    assert world.visible_files() == []


def test_a_revocation_elsewhere_is_nobody_elses(both: World) -> None:
    revoke(both)
    document = json.loads((both.services.settings.dropzone_dir / "accounts.json").read_bytes())
    assert [(each["name"], each["revoked"]) for each in document["accounts"]] == [(RECIPIENT, [AGREEMENT])]


def test_what_does_not_go_is_hidden_and_told_and_goes_later(both: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(13, "no")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryTransport, "rename", refuse)
        done = run(agreement_command, both, "revoke", AGREEMENT, "--reason", "wrong recipient")
    assert done.exit_code == 1
    assert f"agreement {AGREEMENT}: revoked" in done.output
    assert done.output.count("Not removed: ") == 1, "the others have the same destination"
    assert AGREEMENT in agreements_seen(both)
    assert account(both).revoked == (AGREEMENT,)
    monkeypatch.setattr("apps.cli.retention.open_existing", lambda _: both.services)
    told = run(retention_command, both, "run", "--dry-run").output
    assert f"{AGREEMENT}/2026-03/2 to {RECIPIENT}: {REVOKED}" in told
    assert "2 deliveries would be removed" in told
    assert run(retention_command, both, "run").exit_code == 0
    assert agreements_seen(both) == {OTHER}
    verify(both.services.engine, [])


def test_what_is_not_found_is_told_and_all_else_goes_at_once(both: World) -> None:
    shutil.rmtree(both.published(1))
    done = revoke(both)
    assert done.gone == [f"{AGREEMENT}/2026-03/2"]
    assert len(done.problems) == 1
    assert remove_what_is_over(both.services).gone == [f"{AGREEMENT}/2026-03/1"]


def test_the_command_says_what_went(both: World) -> None:
    done = run(agreement_command, both, "revoke", AGREEMENT, "--reason", "wrong recipient")
    assert done.exit_code == 0, done.output
    assert f"{AGREEMENT}/2026-03/2 is removed" in done.output


def test_a_crash_after_the_revocation_is_made_good(both: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(expiry, "begin", killed)
        with pytest.raises(Killed):
            revoke(both)
    assert account(both).revoked == (AGREEMENT,)
    assert len(remove_what_is_over(both.services).gone) == 2
    assert agreements_seen(both) == {OTHER}


def test_what_a_worker_holds_goes_when_it_is_done(both: World) -> None:
    """It comes again at the moment of the revocation: it does not appear, and what was there goes later."""
    shutil.rmtree(both.published(2))

    def revoked_meanwhile(name: str, function: Any, *given: Any) -> Any:
        if name == "publish":
            done = revoke(both)
            assert done.gone == [f"{AGREEMENT}/2026-03/1"]
            assert [problem.partition(":")[0] for problem in done.problems] == [f"{AGREEMENT}/2026-03/2"]
        return function(*given)

    with pytest.raises(Exception, match="revoked"):
        path.run(both.services, both.order(Mode.REDELIVER, "lost"), revoked_meanwhile)
    assert agreements_seen(both) == {OTHER}
    assert len(remove_what_is_over(both.services).problems) == 1, "it was lost before"
    assert remove_what_is_over(both.services).gone == [f"{AGREEMENT}/2026-03/2"]
    assert staged(both) == {OTHER}


def test_what_was_sealed_and_never_appeared_goes_too(both: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        path.run(both.services, both.order(period=FEBRUARY), stop_before("publish"))
    assert f"{AGREEMENT}/2026-02/1" in revoke(both).gone
    assert staged(both) == {OTHER}


def test_what_appeared_and_was_not_recorded_goes_too(both: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        path.run(both.services, both.order(period=FEBRUARY), stop_before("record"))
    assert both.published(1, FEBRUARY).exists()
    done = revoke(both)
    assert (f"{AGREEMENT}/2026-02/1" in done.gone, done.problems) == (True, [])
    assert agreements_seen(both) == staged(both) == {OTHER}
    assert remove_what_is_over(both.services).gone == []
    verify(both.services.engine, [])


def test_what_appears_at_the_moment_of_the_revocation_is_told_and_goes_at_once(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything was asked for the last time, and the rename comes after the revocation."""
    rename, told = DirectoryTransport.rename, []

    def late(self: DirectoryTransport, old: str, new: str) -> None:
        if new.endswith("2026-02/edition-1"):
            told.append(revoke(both))
        rename(self, old, new)

    monkeypatch.setattr(DirectoryTransport, "rename", late)
    with pytest.raises(AgreementRevoked, match="it is removed again"):
        path.run(both.services, both.order(period=FEBRUARY))
    assert [problem.partition(":")[0] for problem in told[0].problems] == [f"{AGREEMENT}/2026-02/1"]
    assert len(told[0].gone) == 2, "the others went"
    assert agreements_seen(both) == staged(both) == {OTHER}
    row = next(row for row in history(both.services.engine) if row.period == "2026-02")
    assert (row.state, row.reason) == (State.EXPIRED, REVOKED)
    verify(both.services.engine, [])


def test_an_offer_is_written_as_before(both: World) -> None:
    """A new agreement with the same recipient after a revocation: only the revoked one is hidden."""
    revoke(both)
    lifecycle.offer(both.services, as_yaml(both.document() | {"id": "GLA-2026-0009"}).encode(), "tester")
    assert account(both).revoked == (AGREEMENT,)
    assert path.run(both.services, replace(both.order(), agreement_id=OTHER, period=MARCH)).done_before
