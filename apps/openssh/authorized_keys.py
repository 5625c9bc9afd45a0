"""What sshd asks for at each login (`AuthorizedKeysCommand`): the keys of one name, as the accounts file says now.

It starts in a tenth of a second: no settings, no database, none of our larger modules. It lets nobody in while the zone
does not run, since what would be fetched then would not be recorded.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

LOCK_NAME = ".openssh.lock"  # beside the accounts file; the zone holds it as long as it runs
_KEY_LINE = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]+={0,2}")


def authorized_keys(accounts: Path, name: str) -> list[str]:
    """The lines for sshd. Raises whatever is wrong with the file; who calls this prints nothing then."""
    if not _is_served(accounts.with_name(LOCK_NAME)):
        return []
    document = json.loads(accounts.read_bytes())
    if document["version"] != 1:
        return []
    [keys] = [account["keys"] for account in document["accounts"] if account["name"] == name] or [[]]
    if not all(_KEY_LINE.fullmatch(key) for key in keys):
        return []
    return [f"restrict {key}" for key in keys]


def _is_served(lock: Path) -> bool:
    descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
