"""Recipients' keys and challenges as lines on a terminal: no table, since a fingerprint is to be copied unbroken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from agreements.standing import RecipientKey, Standing, warning_due
from core.clock import dutch_date, from_rfc3339
from flows.steps.possession import Challenge
from flows.steps.recipients import Registered
from flows.wiring import Services
from keys.sshsig import Namespace

_OPEN_WITH = {  # by the suffix of the challenge's file
    ".age": "age -d -i KEYFILE {file}       (a post-quantum key: gla envelope decrypt -i KEYFILE {file})",
    ".pgp": "gpg -d {file}",
    ".p7m": "openssl cms -decrypt -inform DER -in {file} -inkey KEYFILE",
    ".txt": f"ssh-keygen -Y sign -n {Namespace.POSSESSION} -f SSHKEY {{file}}",
}


def tell_of_key(key: RecipientKey, now: datetime) -> None:
    """One line: purpose, kind, fingerprint, and what may be done with it."""
    click.echo(f"  {key.purpose:<5} {key.kind:<10} {key.fingerprint}  {_state(key, now)}")


def tell_of_registered(services: Services, name: str, registered: Sequence[Registered]) -> None:
    """What to compare with the recipient, and what to send to it."""
    click.echo(f"recipient {name}: compare these fingerprints with the recipient over another channel")
    for each in registered:
        tell_of_key(each.key, services.clock())
    challenges = [each.challenge for each in registered if each.challenge is not None]
    if challenges:
        click.echo("\nSend these files to the recipient, who proves with each that it holds one key:")
    for challenge in challenges:
        tell_of_challenge(services, name, challenge)


def tell_of_challenge(services: Services, name: str, challenge: Challenge, by: str = "") -> None:
    """The file, how it is answered, until when, and what the operator does with the answer."""
    path = challenge.path(services)
    signs = path.suffix == ".txt"
    answer = by or _OPEN_WITH[path.suffix].format(file=path.name)
    click.echo(f"\n  {path}")
    click.echo(f"    the recipient:  {answer}")
    if signs:
        click.echo(f"    its signature:  gla keys prove {name} --signature {path.name}.sig")
        click.echo("                    (not needed from who signs an agreement with this key: that proves it too)")
    else:
        click.echo(f"    what it prints: gla keys prove {name} gla-proof-...")
    click.echo(f"    before:         {dutch_date(challenge.expires)}")


def _state(key: RecipientKey, now: datetime) -> str:
    standing = key.standing(now)
    left = key.time_left(now)
    if standing is Standing.REVOKED or left is None:
        return standing
    if standing is Standing.EXPIRED:
        return f"{standing} on {key.last_day()}"
    starts = f" from {dutch_date(from_rfc3339(key.valid_from))}" if standing is Standing.NOT_YET_VALID else ""
    warning = f", WARNING: {left.days} days left" if warning_due(key, now) is not None else ""
    return f"{standing}{starts} until {key.last_day()}{warning}"
