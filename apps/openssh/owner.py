"""The user whose folder the drop zone is: what root writes there must be that user's, for the flows to take it away."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int

    @classmethod
    def of(cls, path: Path) -> Owner:
        status = path.stat()
        return cls(status.st_uid, status.st_gid)

    @property
    def name(self) -> str:
        """As the system knows the user; KeyError if it does not."""
        return pwd.getpwuid(self.uid).pw_name

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Everything that is made or opened in the block is done as this user. For a program with one thread."""
        uid, gid = os.geteuid(), os.getegid()
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(uid)
            os.setegid(gid)
