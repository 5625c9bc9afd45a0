"""The installed command ends with the documented code and one sentence, whatever goes wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agreements.rules import AgreementState
from core import errors
from flows.steps import lifecycle
from tests.delivery_world import AGREEMENT, make_world_in


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from core.clock import utc_now

    made = make_world_in(tmp_path_factory.mktemp("codes"), clock=utc_now)()
    made.conclude()
    return made


def gla(world, *arguments):
    command = [sys.executable, "-m", "apps.cli.main", *arguments]
    environment = {"GLA_HOME": str(world.home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("deliver", AGREEMENT, "2026-03"), 0),
        (("deliver", AGREEMENT, "2026-03", "--mode", "correct"), errors.UnusableInput.exit_code),
        (
            ("deliver", AGREEMENT, "2026-01", "--mode", "redeliver", "--reason", "x"),
            errors.DeliveryStateError.exit_code,
        ),
        (("deliver", AGREEMENT, "March"), errors.UnusableInput.exit_code),
        (("deliver", AGREEMENT, "2026-11"), errors.DeliveryEmpty.exit_code),
        (("deliver", "GLA-NONE", "2026-03"), errors.UnusableInput.exit_code),
        (("ledger", "verify"), 0),
        (("no-such-command",), 2),
    ],
)
def test_the_exit_code_is_the_documented_one(world, arguments, code):
    done = gla(world, *arguments)
    assert done.returncode == code, done.stderr
    assert (done.stderr.count("\n") >= 1) is (code != 0)


def test_a_revoked_agreement_ends_with_its_own_code(world):
    lifecycle.stop(world.services, AGREEMENT, AgreementState.REVOKED, "misuse", "tester")
    done = gla(world, "deliver", AGREEMENT, "2026-02")
    assert done.returncode == errors.AgreementRevoked.exit_code
    assert done.stderr.startswith("Error: ")
    assert done.stdout == ""


def test_a_tampered_ledger_ends_with_1_and_says_where(world):
    import sqlite3

    with sqlite3.connect(world.home / "gla.db") as database:
        database.execute("DROP TRIGGER events_never_change")
        database.execute("UPDATE events SET actor = 'nobody' WHERE seq = 3")
    database.close()
    done = gla(world, "ledger", "verify")
    assert done.returncode == 1
    assert "3" in done.stderr
