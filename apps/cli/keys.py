"""`gla keys`: recipients' keys from registration to revocation.

`statement` is for recipients; it reads no settings, opens no database and needs nothing of the sender's.
"""

from __future__ import annotations

import getpass
import sys
from datetime import datetime
from pathlib import Path

import click

from agreements.registry import keys_of, list_recipients
from apps.cli import own_keys
from apps.cli.key_lines import tell_of_challenge, tell_of_key, tell_of_registered
from core.clock import dutch_date, utc_now
from core.database import reading
from core.errors import UnusableInput
from core.settings import Settings
from flows.steps import possession
from flows.steps.recipients import Validity, read_sealing_key, register, revoke
from flows.steps.rotation import rotate, statement_of
from flows.wiring import open_services
from keys.private.signing import load_signer
from keys.sshsig import Namespace

_LARGEST_ANSWER = 64 * 1024  # characters of a token or a signature

_day = click.DateTime(["%Y-%m-%d"])
_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def keys() -> None:
    """Recipients' keys: register, prove, replace, revoke. Our own: create, rotate-own, history, inventory."""


for _command in own_keys.COMMANDS:
    keys.add_command(_command)


@keys.command()
@click.argument("name")
@click.option(
    "--key", "seal_keys", multiple=True,
    help="age recipient (age1pq1... or age1...), or a file with an OpenPGP or X.509 certificate.",
)  # fmt: skip
@click.option("--ssh", "ssh_keys", multiple=True, help="SSH public key, or a file that holds one.")
@click.option("--valid-from", type=_day, help="First day; today if absent.")
@click.option("--valid-until", type=_day, help="Last day; a certificate may say less.")
@click.pass_obj
def add(
    settings: Settings,
    name: str,
    seal_keys: tuple[str, ...],
    ssh_keys: tuple[str, ...],
    valid_from: datetime | None,
    valid_until: datetime | None,
) -> None:
    """Register keys of recipient NAME, and write the file with which each is proven.

    For a key that is registered already: give it other dates, and a new challenge if it is not proven. An agreement
    has to name the key, or its signer to sign it in (rotate), before anything is sealed to it.
    """
    if not seal_keys and not ssh_keys:
        raise UnusableInput("name at least one key, with --key or --ssh")
    validity = Validity(valid_from and valid_from.date(), valid_until and valid_until.date())
    services = open_services(settings)
    registered = register(services, name, None, seal_keys, ssh_keys, getpass.getuser(), validity)
    tell_of_registered(services, name, registered)


@keys.command()
@click.argument("name")
@click.argument("text", required=False)
@click.option("--signature", type=_file, help="Instead of TEXT: the file that ssh-keygen -Y sign made.")
@click.pass_obj
def prove(settings: Settings, name: str, text: str | None, signature: Path | None) -> None:
    """Take what recipient NAME returned: the TEXT that it found in its challenge file (`-`: read it from the input)."""
    if (text is None) == (signature is None):
        raise UnusableInput("give either the text that the recipient returned, or its --signature")
    services = open_services(settings)
    if signature is not None:
        fingerprint = possession.prove_by_signature(services, name, _text_of(signature), getpass.getuser())
    else:
        returned = sys.stdin.read(_LARGEST_ANSWER) if text == "-" else str(text)
        fingerprint = possession.prove(services, name, returned, getpass.getuser())
    click.echo(f"recipient {name}: {fingerprint} is proven")


@keys.command("list")
@click.argument("name", required=False)
@click.pass_obj
def list_all(settings: Settings, name: str | None) -> None:
    """List keys, of NAME or of everyone: what they may be used for, until when, and which of them expire soon."""
    services = open_services(settings)
    with reading(services.engine) as connection:
        names = [each for each, _ in list_recipients(connection) if name in (None, each)]
        if name is not None and not names:
            raise UnusableInput(f"there is no recipient {name[:60]!r}: run gla recipient list")
        for each in names:
            click.echo(each)
            for key in keys_of(connection, each):
                tell_of_key(key, services.clock())


@keys.command("rotate")
@click.argument("name")
@click.argument("statement", type=_file)
@click.argument("signature", type=_file)
@click.pass_obj
def rotate_key(settings: Settings, name: str, statement: Path, signature: Path) -> None:
    """Replace a key of NAME by a STATEMENT that NAME signed with the SSH key that signed its agreements.

    This writes a challenge that only the holder of both keys can open. Once it is answered (gla keys prove),
    deliveries are sealed to both keys for a while, and then to the new one.
    """
    services = open_services(settings)
    done = rotate(services, name, statement.read_bytes(), _text_of(signature), getpass.getuser())
    click.echo(f"recipient {name}: {done.key.fingerprint} replaces {done.old_fingerprint} from {done.valid_from}")
    if done.challenge is None:
        click.echo("It was signed in and proven before: nothing is left to do.")
        return
    click.echo("Send this file to the recipient, who opens it with the old key and what comes out with the new one:")
    tell_of_challenge(services, name, done.challenge, _opened_twice(done.challenge.file_name))


@keys.command("revoke")
@click.argument("name")
@click.argument("fingerprint")
@click.option("--reason", required=True, help="Why; the ledger keeps it.")
@click.pass_obj
def revoke_key(settings: Settings, name: str, fingerprint: str, reason: str) -> None:
    """Stop all use of a key of NAME, now and for good; a delivery that is on its way to it does not appear.

    What an SSH key signed in (rotate) stops counting with it.
    """
    revoke(open_services(settings), name, fingerprint, getpass.getuser(), reason)
    click.echo(f"recipient {name}: {fingerprint} is revoked")


@keys.command("statement")
@click.option("--recipient", required=True, help="Your name at the sender, as in your agreement (gla.recipient).")
@click.option("--old", "old_fingerprint", required=True, help="Fingerprint of the key that is replaced.")
@click.option("--new", "new_key", required=True, help="Your new public key, or the file that holds it.")
@click.option("--valid-from", type=_day, help="First day of the new key; today if absent.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--sign", "key_file", type=_file, metavar="SSHKEY", help="Sign it too, into FILE.sig.")
def statement_file(
    recipient: str,
    old_fingerprint: str,
    new_key: str,
    valid_from: datetime | None,
    output: Path,
    key_file: Path | None,
) -> None:
    """For recipients: write the statement that replaces your key. Sign it, and send FILE and FILE.sig to the sender."""
    first = valid_from.date() if valid_from else dutch_date(utc_now())
    key = read_sealing_key(new_key)
    content = statement_of(recipient, old_fingerprint, key, first)
    output.write_bytes(content)
    click.echo(f"{output}: {key.fingerprint} replaces {old_fingerprint} from {first}")
    if key_file is None:
        click.echo(f"Sign it: ssh-keygen -Y sign -n {Namespace.ROTATION} -f ~/.ssh/id_ed25519 {output}")
        return
    signature = output.with_name(f"{output.name}.sig")
    signature.write_text(load_signer(key_file).sign(content, Namespace.ROTATION), encoding="ascii")
    click.echo(f"{signature}: signed")


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST_ANSWER).decode("utf-8", "replace")


def _opened_twice(name: str) -> str:
    return {
        ".age": f"age -d -i OLDKEY {name} | age -d -i NEWKEY   (post-quantum: gla envelope decrypt instead of age -d)",
        ".pgp": f"gpg -d {name} | gpg -d",
        ".p7m": f"openssl cms -decrypt -inform DER -in {name} -inkey OLDKEY | "
        "openssl cms -decrypt -inform DER -inkey NEWKEY",
    }[Path(name).suffix]
