"""`gla envelope`: encrypt, decrypt and inspect files in the age format, shaped like `age` and its companions.

Standard input and output where no file, or `-`, is named. An output file appears whole or not at all; what goes to
standard output before a defect is found cannot be taken back, and the exit code says so.

What only one command needs is imported by it: encrypting small files, or many, is mostly start-up.
"""

from __future__ import annotations

import errno
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from core.errors import Cancelled, GlaError, StorageFull, UnusableInput
from core.files import new_file
from keys.envelope.armor import ArmorWriter
from keys.envelope.reading import BinaryReader
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import BinaryWriter, seal_stream

if TYPE_CHECKING:
    from keys.private.kinds import PrivateKey

_STANDARD = Path("-")
_PRIVATE = 0o600
_PUBLIC = 0o666  # less the umask, as any new file

_path = click.Path(path_type=Path)
_output_option = click.option("-o", "--output", type=_path, metavar="OUT", help="Write to this file.")
_input_argument = click.argument("source", type=_path, required=False, metavar="[IN]")


@click.group()
def envelope() -> None:
    """Encrypt, decrypt and inspect files in the age format."""


@envelope.command()
@click.option("--x25519", is_flag=True, help="A classical key, for recipients whose tools know no hybrid keys.")
@click.option("-o", "--output", type=_path, metavar="FILE", help="Write the private key to this new file (mode 0600).")
def keygen(*, x25519: bool, output: Path | None) -> None:
    """Make a private key; hybrid post-quantum (age1pq1...) unless --x25519 is given."""
    from core.clock import to_rfc3339, utc_now  # noqa: PLC0415
    from keys.private.identities import generate_identity  # noqa: PLC0415

    identity = generate_identity("x25519" if x25519 else "hybrid")
    text = f"# created: {to_rfc3339(utc_now())}\n# public key: {identity.recipient}\n{identity.secret_text()}\n"
    if output in (None, _STANDARD):
        click.echo(text, nl=False)
    else:
        with _explained(), new_file(output, mode=_PRIVATE, replace=False) as file:
            file.write(text.encode())
    click.echo(f"Public key: {identity.recipient}", err=True)


@envelope.command()
@click.option("-r", "--recipient", "recipients", multiple=True, required=True, help="A public key; may be repeated.")
@click.option("-a", "--armor", is_flag=True, help="Write text (PEM) instead of binary.")
@_output_option
@_input_argument
def encrypt(recipients: tuple[str, ...], source: Path | None, output: Path | None, *, armor: bool) -> None:
    """Encrypt IN so that the owner of any RECIPIENT key can open it."""
    parsed = [parse_recipient(text) for text in recipients]
    if output is None and not armor and sys.stdout.isatty():
        raise UnusableInput("refusing to write binary to the terminal: use -o FILE or -a (or '-o -' to insist)")
    with _explained(), _files(source, output, mode=_PUBLIC) as (plain, sealed):
        text = ArmorWriter(sealed) if armor else None
        seal_stream(plain, text or sealed, parsed)
        if text is not None:
            text.close()


@envelope.command()
@click.option("-i", "--identity", "key_files", type=_path, multiple=True, required=True, metavar="KEYFILE")
@_output_option
@_input_argument
def decrypt(key_files: tuple[Path, ...], source: Path | None, output: Path | None) -> None:
    """Decrypt IN with a private key from KEYFILE (may be repeated).

    KEYFILE holds age identities, an OpenPGP private key, or an RSA private key with its certificate (PEM); IN is what
    was sealed to it.
    """
    from keys.private.kinds import open_into  # noqa: PLC0415

    if _STANDARD in key_files and source in (None, _STANDARD):
        raise UnusableInput("the key and the encrypted file cannot both come from standard input")
    with _explained():
        keys = [key for path in key_files for key in _read_keys(path)]
        with _files(source, output, mode=_PRIVATE) as (sealed, plain):
            open_into(sealed, keys, plain)


@envelope.command(name="inspect")
@click.option("--json", "as_json", is_flag=True, help="For programs: the fields of age-inspect, and the chunks.")
@_input_argument
def inspect_file(source: Path | None, *, as_json: bool) -> None:
    """Tell what an age file is without opening it: kinds of recipients, strength, form, size.

    Nothing of it is authenticated: only decrypting proves that a file is genuine and whole.
    """
    from keys.envelope.inspection import inspect  # noqa: PLC0415

    with _explained(), _opened(source) as sealed:
        found = inspect(sealed)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    click.echo(f"recipients:   {len(found.stanza_kinds)}")
    for kind, count in sorted(Counter(found.stanza_kinds).items()):
        click.echo(f"  {count} x {kind}")
    click.echo(f"post-quantum: {found.post_quantum}")
    click.echo(f"armored:      {'yes' if found.armored else 'no'}")
    click.echo(f"content:      {found.payload_size} bytes in {found.chunks} chunks")


def _read_keys(path: Path) -> list[PrivateKey]:
    from apps.cli.key_files import KEY_FILE_LIMIT, ask_passphrase  # noqa: PLC0415
    from keys.private.kinds import parse_private_keys  # noqa: PLC0415

    with _opened(path) as file:
        return parse_private_keys(file.read(KEY_FILE_LIMIT), ask_passphrase)


@contextmanager
def _files(source: Path | None, output: Path | None, *, mode: int) -> Iterator[tuple[BinaryReader, BinaryWriter]]:
    """Both ends; standard input and output where no file is named."""
    with ExitStack() as stack:
        reader = stack.enter_context(_opened(source))
        if output in (None, _STANDARD):
            yield reader, sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        if source not in (None, _STANDARD) and output.exists() and output.samefile(source):
            raise UnusableInput("the input and the output are the same file")
        yield reader, stack.enter_context(new_file(output, mode=mode))


@contextmanager
def _opened(source: Path | None) -> Iterator[BinaryReader]:
    if source in (None, _STANDARD):
        yield cast("io.BufferedReader", sys.stdin.buffer)
        return
    with source.open("rb", buffering=0) as file:
        yield file


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of the operating system in our words; they hold names and reasons, no data."""
    try:
        yield
    except OSError as error:
        raise _explanation(error) from None


def _explanation(error: OSError) -> GlaError:
    if isinstance(error, BrokenPipeError):
        return Cancelled("whoever was reading the output has stopped")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("there is no space left for the output")
    place = f"{error.filename2 or error.filename}: " if error.filename else ""
    return UnusableInput(f"{place}{error.strerror or 'input or output failed'}")
