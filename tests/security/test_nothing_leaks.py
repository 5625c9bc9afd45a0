"""After a full run at DEBUG, plaintext and keys are only where they belong, whatever form they could have taken."""

from __future__ import annotations

import base64
import gzip
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_ssh_private_key

from core.clock import utc_now
from flows.steps.pickups import record_pickups
from keys.roles import SSH_ROLES
from tests.delivery_world import AGREEMENT, AMOUNT, World, make_world_in
from tests.participants_world import numbers_for_tests
from tests.prefect_world import PrefectWorld, prefect_world
from tests.security.forms import pattern
from tests.security.planting import age_bytes
from tests.security.scanner import Pattern, files, hits
from tests.subjects_world import rows, with_clients

pytestmark = pytest.mark.timeout(900)  # seconds, with the start of a Prefect server, on a busy machine

PEOPLE = numbers_for_tests(900)[600:]
PLAINTEXT = {
    "text": re.compile(rb"nota-\d{6}"),
    "a column that was not agreed": re.compile(rb"geheim-\d{6}"),
    "an amount": re.compile(rb"8[78]80000\d{6}"),
    "a citizen number": re.compile("|".join(PEOPLE).encode()),
    "an amount in binary": re.compile(re.escape((AMOUNT + 600).to_bytes(8, "little"))),
}
KINDS = {
    ".db", ".db-wal", ".db-shm", ".json", ".jsonl", ".age", ".sig", ".log", ".toml", ".lock", ".txt", ".set", "",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectWorld]:
    """Deliveries that succeed and that fail on data, through Prefect and the command line, all at DEBUG."""
    folder = tmp_path_factory.mktemp("leaks")
    temporary = folder / "home" / "tmp"
    temporary.mkdir(parents=True)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        with prefect_world(make_world_in(folder, clock=utc_now), log_level="DEBUG", document=_limited) as prefect:
            form = {"agreement": AGREEMENT, "mode": "resume", "reason": "", "requested_by": "tester"}
            done = prefect.finished(prefect.start("deliver/deliver", period="2026-03", **form))
            assert done["type"] == "COMPLETED", done
            for period, spoil in (("2026-01", _break_the_rules), ("2026-02", _cut)):
                spoil(prefect.world.source)
                failed = prefect.finished(prefect.start("deliver/deliver", period=period, **form))
                assert failed["type"] == "FAILED", failed
            _gla(prefect, "deliver", AGREEMENT, "2026-01")
            with_clients(prefect.world, rows(PEOPLE), agreement_id="GLA-2026-0015")
            _gla(prefect, "deliver", "GLA-2026-0015", "2026-03")
            for options in ([], ["--correction"], ["--json", "--logboek", str(folder / "home" / "rows.json")]):
                _gla(prefect, "subject", "--reason", "zaak 12", *options, typed=PEOPLE[0])
            _gla(prefect, "subject", "--reason", f"over {PEOPLE[1]}"[:-1], typed=PEOPLE[1][:-1])
            _gla(prefect, "history", "--html", str(folder / "home" / "history.json"))
            record_pickups(prefect.world.services)
            yield prefect
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def _limited(world: World) -> dict[str, Any]:
    """An agreement with rules on the columns that hold the canaries."""
    document = world.document()
    for column in document["schema"][0]["properties"]:
        if column["name"] == "amount":
            column["logicalTypeOptions"] = {"minimum": 8_800_000_000_000}
        if column["name"] == "note":
            column["logicalTypeOptions"] = {"pattern": "^nota-"}
    return document


def _break_the_rules(source: Path) -> None:
    rows = pl.read_parquet(source)
    rows.with_columns(pl.col("amount") - 100_000_000_000, note="x" + pl.col("note")).write_parquet(source)


def _cut(source: Path) -> None:
    """What is left of a file whose copying was interrupted."""
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 3])


def _gla(prefect: PrefectWorld, *arguments: str, typed: str = "") -> None:
    environment = {**prefect.stack.environment, "GLA_LOG_LEVEL": "DEBUG"}
    command = [sys.executable, "-m", "apps.cli.main", *arguments]
    with (prefect.world.home / "logs" / "cli.log").open("ab") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=log, check=False, input=typed.encode())


def secrets(prefect: PrefectWorld) -> dict[str, Pattern]:
    """Every private key of ours and of the recipient, in every form."""
    custody, world = prefect.world.services.custody, prefect.world
    files = {f"our key {role}": custody.path(role).read_bytes() for role in SSH_ROLES}
    files["the recipient's SSH key"] = world.signer.private_file()
    found: dict[str, Pattern] = {"any private key": re.compile(rb"PRIVATE KEY-----|AGE-SECRET-KEY")}
    for name, content in files.items():
        key = load_ssh_private_key(content, None)
        raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        found[name] = pattern(raw, content.split(b"\n")[3])
    found["the recipient's key"] = pattern(age_bytes(world.identity.secret_text()))
    return found


def test_plaintext_is_in_no_file_of_the_home(run):
    assert hits(run.world.home, PLAINTEXT) == []


def test_keys_are_only_in_our_own_0600_files(run):
    keys = run.world.services.settings.keys_dir
    assert hits(run.world.home, secrets(run), exempt=(keys,)) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700


def test_people_were_asked_for_and_found(run):
    rows = (run.world.home / "rows.json").read_text().splitlines()
    assert len(rows) == 1
    assert (run.world.home / "logs" / "cli.log").read_text().count("1 delivery searched") >= 2


def test_only_known_kinds_of_files_are_written(run):
    unknown = [path for path in files(run.world.home) if path.suffix not in KINDS]
    assert unknown == []


def test_logs_at_debug_were_really_written(run):
    log = (run.world.home / "logs" / "prefect-worker.log").read_text()
    assert "DEBUG" in log


def test_the_scanner_finds_what_it_looks_for(tmp_path):
    text = b"before nota-000123 after" * 3
    (tmp_path / "a.gz").write_bytes(gzip.compress(text))
    (tmp_path / "b").write_bytes(zstandard.compress(text))
    (tmp_path / "c.json").write_bytes(b'{"result": "' + base64.b64encode(text) + b'"}')
    (tmp_path / "d.json").write_bytes(b'{"result": "' + base64.b64encode(gzip.compress(text)) + b'"}')
    make_world_in(tmp_path)()
    found = hits(tmp_path, PLAINTEXT)
    for expected in ("a.gz: text", "b: text", "c.json: text", "people.parquet: text", "people.parquet: an amount"):
        assert expected in found
