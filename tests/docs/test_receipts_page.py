"""The commands in docs/receipts.md, run as they stand by a recipient over the real drop zone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.settings import DropzoneSettings
from flows.steps import path
from flows.steps.receipts import take_receipts
from keys.roles import Role
from ledger.history import HistoryRow, history
from ledger.receipts import cases
from ledger.states import State
from schemas.receipts import Rejection
from tests.delivery_world import AGREEMENT, World, make_world, world
from tests.docs import test_participants_page
from tests.servers.dropzone import Dropzone

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "receipts.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\S+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
FETCHED = f"deliveries/{AGREEMENT}/2026-03/edition-1"


class Recipient(test_participants_page.Recipient):
    """A folder with the recipient's keys, agreement and delivery."""

    blocks = BLOCKS

    def take(self) -> HistoryRow:
        """What the sender has recorded two minutes later."""
        self.fund.at(datetime.now(UTC) + timedelta(minutes=2))
        take_receipts(self.fund.services)
        [row] = history(self.fund.services.engine)
        return row


@pytest.fixture
def recipient(world: World, tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[Recipient]:
    require_program("ssh-keygen")
    world.at(datetime.now(UTC))
    world.conclude()
    path.run(world.services, world.order())
    folder = tmp_path / "recipient"
    folder.mkdir()
    zone = world.services.settings.dropzone_dir
    with Dropzone(zone, world.services.custody.path(Role.DROPZONE_HOST), DropzoneSettings(port=0)) as server:
        it = Recipient(world, folder, server.port, require_program("sftp"))
        (folder / "age.key").write_text(f"{world.identity.secret_text()}\n")
        (folder / "age.key").chmod(0o600)
        signed = ["ssh-keygen", "-q", "-Y", "sign", "-n", "gla-agreement", "-f", "id_ed25519", f"{AGREEMENT}.json"]
        subprocess.run(signed, cwd=folder, check=True, capture_output=True)
        yield it


def fetched(recipient: Recipient) -> None:
    shutil.copytree(recipient.fund.published(), recipient.folder / FETCHED)


def test_every_block_of_the_page_that_can_be_run_is_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in BLOCKS if f'"{name}"' not in here] == []
    assert len(BLOCKS) == 5


def test_a_plain_receipt(recipient: Recipient) -> None:
    fetched(recipient)
    recipient.run("ack", "send-ack")
    row = recipient.take()
    assert (row.state, row.signed) == (State.CONFIRMED, False)


def test_a_signed_receipt(recipient: Recipient) -> None:
    fetched(recipient)
    recipient.run("ack", "sign", "send-ack")
    recipient.sftp("put march.ack.sig receipts/")
    row = recipient.take()
    assert (row.state, row.signed) == (State.CONFIRMED, True)


def test_all_of_it_with_our_program(recipient: Recipient) -> None:
    (recipient.folder / FETCHED).mkdir(parents=True)
    for name in ("manifest.json", "manifest.json.sig"):
        shutil.copy(recipient.fund.published() / name, recipient.folder / FETCHED)
    assert "receipt sent" in recipient.run("open-ack")
    row = recipient.take()
    assert (row.state, row.signed) == (State.CONFIRMED, True)


def test_a_negative_receipt(recipient: Recipient) -> None:
    fetched(recipient)
    recipient.run("nack")
    recipient.sftp("put march.nack receipts/")
    assert recipient.take().case == "content"
    assert len(cases(recipient.fund.services.engine)) == 1


def test_the_page_has_every_reason() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(Rejection)
