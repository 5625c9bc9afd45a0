"""`gla demo`: the whole main job on synthetic data, through real parts, with every claim checked.

A sender and a recipient live in one folder here, but use only what they would have in reality: the recipient gets the
offered agreement, an SFTP address and nothing else.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl
from polars.testing import assert_frame_equal
from rich.console import Console

from apps.cli import receiving
from apps.cli.fetching import fetch
from apps.cli.history import history
from apps.cli.ledger import ledger
from apps.cli.local_stack import LocalStack
from apps.cli.ops import PREFECT_FILE
from apps.cli.prefect_api import final_state, start_run
from apps.cli.receipt_files import send_receipt, write_receipt
from core.errors import Unexpected
from core.period import Period
from core.settings import Settings
from flows.sources.synthetic import generate
from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from flows.steps.pickups import record_pickups
from flows.steps.possession import prove
from flows.steps.receipts import take_receipts
from flows.steps.recipients import register
from flows.wiring import Services, open_services
from keys.private.custody import Role
from keys.private.identities import generate_identity, parse_identities
from keys.private.opening import open_envelope
from keys.private.signing import Signer, load_signer
from keys.sshsig import Namespace
from transports.sftp import SftpDestination, SftpTransport

AGREEMENT = "GLA-2026-0001"
PRODUCT = "inkomstenverhoudingen"
RECIPIENT = "pensioenfonds-voorbeeld"
KVK = "90000102"  # a test number of the trade register
PERIOD = "2026-03"
COLUMNS = (
    "bsn", "loonheffingennummer", "nummer_ikv", "code_soort_ikv",
    "datum_aanvang_tijdvak", "datum_einde_tijdvak", "aantal_verloonde_uren", "sv_loon",
)  # fmt: skip


@dataclass(frozen=True)
class Recipient:
    """What the recipient has on its own machine: two keys and a folder."""

    folder: Path

    @property
    def age_key(self) -> Path:
        return self.folder / "age.key"

    @property
    def ssh_key(self) -> Path:
        return self.folder / "id_ed25519"


@click.command()
@click.option("--rows", default=300_000, show_default=True, help="Rows of synthetic data.")
@click.option("--seed", default=1, show_default=True)
@click.pass_obj
def demo(settings: Settings, rows: int, seed: int) -> None:
    """Run the main job: agreement, delivery through Prefect, SFTP, opening, and a comparison of every value."""
    home = settings.home / "demo"
    shutil.rmtree(home, ignore_errors=True)
    own = settings.model_copy(update={"home": home, "database_url": None})
    console = Console()
    started = time.monotonic()
    services = open_services(own)
    with LocalStack(own, PREFECT_FILE) as stack:
        with _step(console, 1, "start a Prefect server in the background"):
            stack.begin_server()
        source = home / "source" / f"{PRODUCT}.parquet"
        with _step(console, 2, f"make {rows:,} rows of synthetic {PRODUCT} (BSNs from the test range)"):
            source.parent.mkdir(parents=True)
            generate(PRODUCT, source, rows, seed)
            services.sources.add(PRODUCT, str(source))
        recipient = Recipient(home / "recipient")
        with _step(console, 3, f"{RECIPIENT} makes its keys (post-quantum age, SSH), and proves the first"):
            _register(services, recipient)
        with _step(
            console, 4, f"agreement {AGREEMENT}: {len(COLUMNS)} columns, one month; offered, signed by both, active"
        ):
            signed = _conclude(services, recipient)
        with _step(console, 5, "deploy the flows; start a worker and the drop zone"):
            stack.start_dropzone()
            stack.wait_for_server()
            stack.deploy()
            stack.start_worker()
        with _step(console, 6, f"deliver {PERIOD} through Prefect: {stack.ui_url}"):
            _deliver(stack.api_url, console)
        fetched = recipient.folder / "fetched"
        with _step(console, 7, f"{RECIPIENT} fetches it: sftp -P {stack.dropzone_port} {RECIPIENT}@127.0.0.1"):
            host_key = services.custody.public_key(Role.DROPZONE_HOST).line
            fetch(stack.dropzone_port, host_key, RECIPIENT, recipient.ssh_key, fetched)
        delivery = next(fetched.glob(f"{AGREEMENT}/{PERIOD}/edition-1"))
        opened = recipient.folder / "opened"
        with _step(console, 8, "gla open: sender's signature, digests, decryption, counts"):
            _open(recipient, signed, delivery, opened)
        with _step(console, 9, "compare every row and column with the source"):
            compared = _compare(source, opened / f"{PRODUCT}.parquet")
        with _step(console, 10, f"{RECIPIENT} confirms it: a receipt, signed with its SSH key, into receipts/"):
            _confirm(stack.dropzone_port, host_key, recipient, delivery)
        with _step(console, 11, "record what was fetched and confirmed; verify the ledger"):
            record_pickups(services)
            take_receipts(services)
            _run(own, ledger.commands["verify"], checkpoints=None, public_key=None, key_history=None)
    console.print(
        f"\n[bold]{compared:,} rows x {len(COLUMNS)} columns equal to the source[/bold], opened only by its key"
    )
    _run(own, history)
    console.print(f"Everything is in {home} ({time.monotonic() - started:.0f} s). Next: make up, or the README.")


@contextmanager
def _step(console: Console, number: int, text: str) -> Iterator[None]:
    """One line per step: what happens, then how long it took."""
    started = time.monotonic()
    with console.status(text):
        yield
    console.print(
        f"[green]✓[/green] {number:>2}  {text}  [dim]{time.monotonic() - started:.1f} s[/dim]", highlight=False
    )


def _run(settings: Settings, command: click.Command, **parameters: Any) -> None:
    click.Context(command, obj=settings).invoke(command, **parameters)


def _register(services: Services, recipient: Recipient) -> None:
    recipient.folder.mkdir(parents=True, mode=0o700)
    identity = generate_identity("hybrid")
    signer = Signer.generate()
    recipient.age_key.write_text(identity.secret_text() + "\n", encoding="ascii")
    recipient.ssh_key.write_bytes(signer.private_file())
    for path in (recipient.age_key, recipient.ssh_key):
        path.chmod(0o600)
    age, _ssh = register(services, RECIPIENT, KVK, [str(identity.recipient)], [signer.public_key.line])
    if age.challenge is None:
        raise Unexpected("a new key was registered without a challenge")
    with age.challenge.path(services).open("rb") as challenge:
        prove(services, RECIPIENT, open_envelope(challenge, [identity]).read().decode(), "demo")


def _conclude(services: Services, recipient: Recipient) -> Path:
    """Draft, offer, sign, accept, activate; returns the recipient's own signed copy."""
    document = draft(services, AGREEMENT, PRODUCT, RECIPIENT, COLUMNS, "datum_aanvang_tijdvak", PRODUCT)
    document["description"] = {"purpose": "Uitvoering van de pensioenregeling (Wet SUWI art. 73 lid 1 onder a)"}
    document["customProperties"] += [{"property": "gla.sums", "value": ["sv_loon"]}]
    _, offered = lifecycle.offer(services, as_yaml(document).encode(), "demo")
    own_copy = recipient.folder / offered.name
    shutil.copy(offered, own_copy)
    signature = own_copy.with_name(own_copy.name + ".sig")
    signature.write_text(load_signer(recipient.ssh_key).sign(own_copy.read_bytes(), Namespace.AGREEMENT))
    lifecycle.accept(services, AGREEMENT, signature.read_text(), "demo")
    lifecycle.activate(services, AGREEMENT, "demo")
    return own_copy


def _deliver(api_url: str, console: Console) -> None:
    order = {"agreement": AGREEMENT, "period": PERIOD, "mode": "resume", "reason": "", "requested_by": "demo"}
    run = start_run(api_url, "deliver/deliver", **order)
    state = final_state(api_url, run, lambda name: console.print(f"      Prefect: {name}", style="dim"))
    if state["type"] != "COMPLETED":
        raise Unexpected(f"the run ended as {state['name']}: {state.get('message')}")


def _open(recipient: Recipient, signed: Path, delivery: Path, out: Path) -> None:
    def unseen(name: str, done: int) -> None:
        """The step's own line shows that something happens."""

    trust = receiving.trust_from_agreement(signed, delivery)
    manifest = receiving.verified_manifest(delivery, trust)
    receiving.check_files(delivery, manifest, unseen)
    identities = parse_identities(recipient.age_key.read_text(encoding="ascii"))
    receiving.open_files(delivery, manifest, identities, out, unseen)


def _confirm(port: int, host_key: str, recipient: Recipient, delivery: Path) -> None:
    files = write_receipt(delivery, load_signer(recipient.ssh_key))
    with SftpTransport(SftpDestination("127.0.0.1", port, RECIPIENT, "/", host_key, recipient.ssh_key)) as zone:
        send_receipt(zone, files)


def _compare(source: Path, opened: Path) -> int:
    """Every agreed row and column, against a reading of the source that shares no code with the pipeline."""
    period = Period.parse(PERIOD)
    day = pl.col("datum_aanvang_tijdvak")
    expected = (
        pl.read_parquet(source, columns=list(COLUMNS))
        .filter(day.is_between(period.start, period.last_day))
        .sort(pl.all())
    )
    found = pl.read_parquet(opened).sort(pl.all())
    try:
        assert_frame_equal(found, expected.select(found.columns))
    except AssertionError:
        found = found.clear()
    if found.is_empty() or set(found.columns) != set(COLUMNS):
        raise Unexpected("what was opened is not what the source holds")
    return found.height
