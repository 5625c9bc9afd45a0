"""The commands in docs/participants.md, run as they stand by a recipient over the real drop zone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.settings import DropzoneSettings
from flows.steps import path
from flows.steps.incoming import take_incoming
from keys.roles import Role
from tests.delivery_world import AGREEMENT, RECIPIENT, World, make_world, world
from tests.participants_world import PEOPLE, as_csv, delivered, with_participants
from tests.servers.dropzone import Dropzone

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "participants.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\S+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))


class Recipient:
    """A folder with the recipient's key, agreement and list, in which the page's commands are run."""

    blocks = BLOCKS

    def __init__(self, fund: World, folder: Path, port: int, sftp: str) -> None:
        self.fund, self.folder, self.port = fund, folder, port
        (folder / "id_ed25519").write_bytes(fund.signer.private_file())
        (folder / "id_ed25519").chmod(0o600)
        shutil.copy(fund.home / "agreements" / f"{AGREEMENT}.json", folder)
        host_key = fund.services.custody.public_key(Role.DROPZONE_HOST).line
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
        options = f"-F none -i {folder}/id_ed25519 -o UserKnownHostsFile={folder}/known_hosts"
        (folder / "bin").mkdir()
        (folder / "bin" / "sftp").write_text(f'#!/bin/sh\nexec {sftp} {options} "$@"\n')  # what a user has configured
        (folder / "bin" / "sftp").chmod(0o700)
        programs = f"{folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": programs, "GLA_HOME": str(folder / "home")}

    def run(self, *names: str) -> str:
        return self.run_text("\n".join(self.blocks[name] for name in names))

    def sftp(self, command: str) -> str:
        return self.run_text(f"echo '{command}' | sftp -b - -P PORT YOU@HOST")

    def run_text(self, script: str) -> str:
        key = str(self.fund.services.custody.identities()[0].recipient)
        for word, value in {
            "SENDERS-KEY": key, "PORT": str(self.port), "YOU@HOST": f"{RECIPIENT}@127.0.0.1", "GLA-1": AGREEMENT,
        }.items():  # fmt: skip
            script = script.replace(word, value)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def recipient(world, tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Recipient]:
    for name in ("jq", "ssh-keygen"):
        require_program(name)
    fund = with_participants(world)
    folder = tmp_path / "recipient"
    folder.mkdir()
    zone = fund.services.settings.dropzone_dir
    with Dropzone(zone, fund.services.custody.path(Role.DROPZONE_HOST), DropzoneSettings(port=0)) as server:
        yield Recipient(fund, folder, server.port, require_program("sftp"))


def test_every_block_of_the_page_that_can_be_run_is_run_here():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in BLOCKS if f'"{name}"' not in here] == []
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("sealing", ["seal", "seal-at-once"])
def test_a_list_is_sealed_signed_sent_taken_and_its_report_is_verified(recipient: Recipient, sealing: str):
    fund = recipient.fund
    (recipient.folder / "deelnemers.csv").write_bytes(as_csv(PEOPLE[:3]))
    recipient.run(sealing, "send")
    assert take_incoming(fund.services) == 1
    assert 'Good "gla-participants" signature for sender' in recipient.run("report")
    path.run(fund.services, fund.order())
    assert delivered(fund, fund.published()).get_column("bsn").to_list() == PEOPLE[:3]
