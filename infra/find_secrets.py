"""Refuse a commit that holds a private key, a host of a package registry, a path of a machine, or a possible real BSN.

Reads every file that git tracks or would track. Run by `make check`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from stdnum.nl import bsn

# Each pattern is written so that it does not match itself.
PATTERNS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,}"),
    "package registry": re.compile(r"(?:pypi|pythonhosted|npmjs|yarnpkg)\.(?:org|com)|registry\.npm|deb\.debian"),
    "path of a machine": re.compile(r"(?<![\w./])/(?:home|root|Users|work)/[\w.]+/"),
}
_NINE_DIGITS = re.compile(r"(?<![0-9A-Za-z_.:+/=-])[0-9]{9}(?![0-9A-Za-z_.:+/=-])")
_TEST_BSN = re.compile(r"9[0-9]{8}|111222333|123456782|111111110|444444440")
_GENERATED = {"requirements.lock", "requirements-dev.lock", "tests/npm/package-lock.json"}  # hashes only, by tools


def tracked_files() -> list[Path]:
    """Files of the working tree that git tracks or does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")  # noqa: S603
    return [Path(name) for name in sorted(set(names)) if name and Path(name).is_file()]


def findings(path: Path) -> list[str]:
    """One line per finding, without the secret itself."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        found += [f"{path}:{number}: {what}" for what, pattern in PATTERNS.items() if pattern.search(line)]
        if str(path) not in _GENERATED:
            possible = [match for match in _NINE_DIGITS.findall(line) if bsn.is_valid(match)]
            if any(not _TEST_BSN.fullmatch(match) for match in possible):
                found.append(f"{path}:{number}: a BSN outside the test range")
    return found


def main() -> int:
    """Print what was found; 1 if anything was."""
    found = [line for path in tracked_files() for line in findings(path)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
