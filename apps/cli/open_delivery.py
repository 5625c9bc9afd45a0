"""`gla open`: the recipient verifies a delivery, has bad parts of it fetched again, and decrypts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from apps.cli import damage, receiving, repairing
from apps.cli.copies import Copy, named_copy
from apps.cli.key_files import read_key_file
from apps.cli.receipt_files import send_receipt, write_receipt
from core.errors import GlaError, ManifestInvalid, SignerUnknown, UnusableInput
from core.settings import Settings
from core.text import printable
from keys.private.signing import Signer, load_signer
from schemas.manifest import Manifest, MutationCounts, Pakbon

_KNOWN_HOSTS = Path("~/.ssh/known_hosts")
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("open")
@click.argument("delivery", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("-i", "--identity", "identities", multiple=True, help="Your key file; may be repeated.", type=_FILE)
@click.option(
    "--agreement", help="Your signed copy of the agreement (FILE, with FILE.sig beside it). Needed the first time.",
    type=_FILE,
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="New folder for the opened files; default DIR-opened."
)
@click.option("--check", is_flag=True, help="Only check, and with --from repair; opens nothing and needs no key.")
@click.option(
    "--from", "sources", multiple=True, metavar="FOLDER|sftp://USER@HOST:PORT",
    help="Fetch what is bad or missing in DIR, and nothing else, from this copy; may be repeated.",
)  # fmt: skip
@click.option(
    "--sender-history",
    type=_FILE,
    help="The sender's published key history, where DIR has none or you got a newer one.",
)
@click.option("--ssh-key", type=_FILE, help="Your private SSH key, for --from sftp://... and --ack.")
@click.option(
    "--ack", is_flag=True,
    help="Sign a receipt with --ssh-key; it goes into the drop zone of --from sftp://..., or you put it there.",
)  # fmt: skip
@click.option(
    "--known-hosts", type=click.Path(path_type=Path, dir_okay=False), default=_KNOWN_HOSTS, show_default=True,
    help="Where the server's host key stands, for --from sftp://...",
)  # fmt: skip
@click.pass_obj
def open_delivery(
    settings: Settings, delivery: Path, identities: Sequence[Path], agreement: Path | None, out: Path | None,
    sources: Sequence[str], sender_history: Path | None, ssh_key: Path | None, known_hosts: Path, *, check: bool,
    ack: bool,
) -> None:  # fmt: skip
    """Verify the delivery in DIR against your own agreement, decrypt it, and check digests and counts.

    The sender's key comes from the agreement that you signed, or is remembered from the first time; never from DIR.
    Where the sender replaced it since, the old key signed the new one in.
    With --from, a download that was interrupted, damaged or not begun is completed first: each part is compared with
    the signed manifest before it is written. Nothing is opened before the whole delivery is as it was sent.
    """
    if not identities and not check:
        raise click.UsageError("Missing option '-i' / '--identity': your key file.")
    signer = _receipt_signer(ssh_key) if ack else None
    pins = settings.home / "pins"
    copies = [named_copy(text, delivery, ssh_key, known_hosts.expanduser()) for text in sources]
    keys = [key for path in identities for key in read_key_file(path)]
    trust, manifest = _trusted(delivery, agreement, pins, copies, sender_history)
    console = Console(stderr=True)
    _make_whole(delivery, manifest, copies, console)
    if check:
        click.echo(f"{_name(manifest)}: whole and authentic; nothing was opened")
        _confirm(delivery, signer, copies)
        return
    named = delivery if delivery.name not in ("", "..") else delivery.resolve()  # `gla open .`
    target = out or named.with_name(f"{named.name}-opened")
    with _bar(console, sum(file.size for file in manifest.files)) as show:
        pakbon = receiving.open_files(delivery, manifest, keys, target, show)
    if receiving.pin(pins, trust):
        click.echo(
            f"Note: what was remembered of agreement {trust.agreement} is replaced by your copy of it.", err=True
        )
    _print(manifest, pakbon, target)
    _confirm(delivery, signer, copies)


def _receipt_signer(ssh_key: Path | None) -> Signer:
    if ssh_key is None:
        raise click.UsageError("--ack needs --ssh-key: the private SSH key that signed the agreement")
    return load_signer(ssh_key)


def _confirm(delivery: Path, signer: Signer | None, copies: Sequence[Copy]) -> None:
    """With `--ack`: the receipt, signed, to the first drop zone among the copies."""
    if signer is None:
        return
    files = write_receipt(delivery, signer)
    server = next((copy for copy in copies if copy.open_root is not None), None)
    if server is None or server.open_root is None:
        click.echo(f"receipt: put {' and '.join(str(file) for file in files)} into receipts/ in the drop zone")
        return
    with server.open_root() as root:
        send_receipt(root, files)
    click.echo(f"receipt sent to {server.name}; a copy is {files[0]}")


def _trusted(
    delivery: Path, agreement: Path | None, pins: Path, copies: Sequence[Copy], sender_history: Path | None
) -> tuple[receiving.Trust, Manifest]:
    """The manifest, verified. One that is missing or not the sender's is fetched, if there are copies."""
    own = receiving.trust_from_agreement(agreement, delivery) if agreement else None

    def check(folder: Path) -> tuple[receiving.Trust, Manifest]:
        trust = receiving.with_histories(own or receiving.pinned(pins, folder), pins, folder, sender_history)
        return trust, receiving.verified_manifest(folder, trust)

    try:
        return check(delivery)
    except (UnusableInput, ManifestInvalid, SignerUnknown) as error:
        wrong: GlaError = error
    claimed = receiving.claimed(delivery)
    if not copies or (claimed is not None and own is not None and claimed.agreement != own.agreement):
        raise wrong
    delivery.mkdir(parents=True, exist_ok=True)
    return repairing.fetched_manifest(delivery, copies, check, claimed)


def _make_whole(delivery: Path, manifest: Manifest, copies: Sequence[Copy], console: Console) -> None:
    """Check every file, repair what can be, and check that again; `ManifestInvalid` says what is still wrong."""
    with _bar(console, sum(file.size for file in manifest.files)) as show:
        damaged = damage.find_damage(delivery, manifest.files, show)
    if not damaged:
        return
    if not copies:
        raise ManifestInvalid(f"{damaged[0]}: fetch it again, or only what is bad with --from")
    before = {each.file.filename: (str(each), len(each.bad)) for each in damaged}
    try:
        with _bar(console, sum(each.bad_bytes for each in damaged)) as show:
            repairing.repair(delivery, damaged, copies, manifest, show)
    finally:  # what was put right stays, also if the rest cannot be
        for each in damaged:
            text, count = before[each.file.filename]
            click.echo(f"{text}; repaired {count - len(each.bad)} of {count} parts")
    with _bar(console, sum(each.file.size for each in damaged)) as show:
        left = damage.find_damage(delivery, tuple(each.file for each in damaged), show)
    if left:
        raise ManifestInvalid(f"{left[0]}, in the given copies too: name another copy with --from, or ask the sender")


@contextmanager
def _bar(console: Console, total: int) -> Iterator[damage.Progress]:
    """On a terminal, how far a step is; the name of the file stands before it."""
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(name: str, done: int) -> None:
            bar.update(task, advance=done, description=name)

        yield show


def _name(manifest: Manifest) -> str:
    return f"{manifest.agreement}, {manifest.period}, edition {manifest.edition}"


def _mutations(pakbon: Pakbon, counts: MutationCounts) -> str:
    base = None if pakbon.plan is None else pakbon.plan.base
    if base is None:
        return f"The whole state, {counts.new:,} rows told as new: it takes the place of what you have"
    told = f"{counts.new:,} new, {counts.changed:,} changed, {counts.ended:,} ended"
    return f"What changed since {base.period}, edition {base.edition}: {told}"


def _print(manifest: Manifest, pakbon: Pakbon, target: Path) -> None:
    click.echo(f"{_name(manifest)}: whole and authentic")
    for file in pakbon.files:  # no table: a path is to be copied, so it is never wrapped
        click.echo(f"  {target / file.filename}  {file.rows:,} rows, {file.size:,} bytes")
    for column, value in pakbon.sums.items():
        click.echo(f"sum of {column}: {value}")
    if pakbon.mutations is not None:
        click.echo(_mutations(pakbon, pakbon.mutations))
    if manifest.supersedes:
        why = "" if pakbon.reason is None else f": {printable(pakbon.reason)}"
        click.echo(f"This edition replaces edition {manifest.supersedes}{why}.")
