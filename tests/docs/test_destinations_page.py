"""docs/destinations.md names every option of a destination, and its commands do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.cli.destination import destination
from core.settings import Settings
from transports import s3_upload
from transports.registry import Destinations
from transports.s3_client import _ATTEMPTS, S3Destination
from transports.sftp import SftpDestination
from transports.trying import LEFTOVER_DAYS

PAGE = (Path(__file__).resolve().parents[2] / "docs/destinations.md").read_text(encoding="utf-8")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxMDN5J0vkp1vjnnPPV6qLzwoAGb6nNwE0n6jx1bX0b"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=None)


def run(settings: Settings, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(destination, words, obj=settings)
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def test_every_option_is_there() -> None:
    told = CliRunner().invoke(destination, ["add", "--help"]).output
    options = set(re.findall(r"--[a-z-]+", told)) - {"--help", "--host-key-"}
    assert {"--host-key", "--agent", "--bastion", "--lock-days", "--megabits"} <= options
    assert [option for option in options if f"`{option}`" not in PAGE] == []


def test_the_commands_that_register_work_as_they_stand(settings: Settings) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("gla destination add ")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line.replace("ssh-ed25519 AAAA...", HOST_KEY), comments=True)
        assert run(settings, *words[2:])[0] == 0
    code, told = run(settings, "list")
    assert code == 0
    assert told.split() == ["archive", "s3://deliveries/gla", "partner", "sftp://gla@sftp.example.org/deliveries"]
    assert (settings.config_dir / "destinations.json").stat().st_mode & 0o777 == 0o600


def test_what_has_an_id_stays_where_it_is_unless_it_moved(settings: Settings) -> None:
    """Else what was delivered would be looked for, and taken for removed, at another server."""
    host = ("--identity", "/etc/gla/partner", "--host-key", HOST_KEY)
    bucket = ("--endpoint", "https://s3.example.org", "--secret", "file:archive.key")
    first, second = "sftp://gla@one.example.org/x", "sftp://gla@two.example.org/x"
    assert run(settings, "add", "partner", first, *host)[0] == 0
    assert run(settings, "add", "partner", first, *host, "--megabits", "8")[0] == 0
    assert run(settings, "add", "archive", "s3://deliveries/x", *bucket)[0] == 0
    for words in (
        ("partner", second, *host),
        ("partner", "s3://deliveries/x", *bucket),
        ("archive", "s3://deliveries/y", *bucket),
        ("archive", "s3://deliveries/x", "--endpoint", "https://s3.example.com", *bucket[2:]),
    ):
        code, told = run(settings, "add", *words)
        assert code != 0
        assert "registered already for another place" in told
    assert run(settings, "list")[1].split() == ["archive", "s3://deliveries/x", "partner", first]
    assert run(settings, "add", "partner", second, *host, "--moved")[0] == 0
    assert second in run(settings, "list")[1]


def test_every_number_is_that_of_the_code() -> None:
    s3 = S3Destination.__dataclass_fields__
    assert f"{s3_upload._PART_BYTES // 2**20} MiB go in parts, four at a time" in PAGE
    assert (s3["connections"].default, _ATTEMPTS, LEFTOVER_DAYS) == (4, 4, 7)
    assert s3["stall_seconds"].default == SftpDestination.__dataclass_fields__["stall_seconds"].default == 60


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["s3://bucket", "--secret", "env:X"], "needs --endpoint"),
        (["s3://bucket", "--endpoint", "https://h", "--secret", "env:X", "--host-key", HOST_KEY], "--host-key"),
        (["s3://bucket", "--endpoint", "http://far.example", "--secret", "env:X"], "https://"),
        (["s3://bucket", "--endpoint", "https://h", "--secret", "AKIA:secret"], "env:NAME or file:PATH"),
        (["s3://B", "--endpoint", "https://h", "--secret", "env:X"], "s3://BUCKET"),
        (["s3://bucket", "--endpoint", "https://h", "--secret", "env:X", "--encryption", "rot13"], "AES256"),
        (["sftp://a@h/x", "--host-key", HOST_KEY], "needs --identity"),
        (["sftp://a@h/x", "--host-key", HOST_KEY, "--identity", "k", "--lock-days", "3"], "--lock-days"),
        (["sftp://a@h/x", "--host-key", "none", "--identity", "k"], "host key"),
        (["ftp://a@h/x", "--host-key", HOST_KEY, "--identity", "k"], "sftp://USER@HOST"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said_and_nothing_is_registered(settings: Settings, words: list[str], told: str) -> None:
    code, output = run(settings, "add", "partner", *words)
    assert code != 0
    assert told in output
    assert "AKIA" not in output
    assert Destinations(settings.config_dir).list() == []


def test_our_own_drop_zone_cannot_be_registered(settings: Settings) -> None:
    code, output = run(settings, "add", "dropzone", "sftp://a@h/x", "--host-key", HOST_KEY, "--identity", "k")
    assert code != 0
    assert "our own drop zone" in output
