"""The commands in docs/history.md and docs/subjects.md, run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.cli.history import history
from apps.cli.subject import subject
from core.period import Period
from flows.steps import path
from flows.steps.order import Order
from tests.delivery_world import World, make_world, world
from tests.subjects_world import PEOPLE, rows, with_clients

__all__ = ["make_world", "world"]
DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = {"history": history, "subject": subject}
LINES = [
    line.split("#")[0].split("<")[0].split(">")[0]
    for page in ("history", "subjects")
    for line in re.findall(r"^gla .*$", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.fixture
def told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The delivery that the pages speak of."""
    for name in ("history", "subject"):
        monkeypatch.setattr(f"apps.cli.{name}.open_existing", lambda _: world.services)
    monkeypatch.chdir(tmp_path)
    with_clients(world, rows(PEOPLE), agreement_id="GLA-2026-0001")
    path.run(world.services, Order("GLA-2026-0001", Period.parse("2026-03"), "tester"))
    return world


def test_every_command_of_the_pages_runs(told: World) -> None:
    assert len(LINES) == 9
    for line in LINES:
        _, command, *arguments = shlex.split(line)
        if "--after" in arguments:
            arguments[arguments.index("--after") + 1] = "GLA-2026-0001/2026-03/1"
        done = CliRunner().invoke(COMMANDS[command], arguments, obj=told.services.settings, input=f"{PEOPLE[0]}\n")
        assert done.exit_code == 0, (line, done.output)
    assert Path("fonds.html").exists()
    assert Path("rows.jsonl").read_text().count("\n") == 1


def test_the_page_names_every_option_of_the_history() -> None:
    page = (DOCS / "history.md").read_text(encoding="utf-8")
    options = {name for each in history.params for name in each.opts if name.startswith("--")}
    assert {name for name in options if name not in page} == {"--delivery"}  # which docs/operations.md explains
