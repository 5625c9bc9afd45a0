"""A disk that fails under what is staged: every failure is told, and none shows a path of ours."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from core.errors import GlaError, StorageFull, Unexpected
from flows.steps.staging import disk_errors, staged_file


@pytest.mark.parametrize(
    ("failure", "expected", "told"),
    [
        (OSError(errno.ENOSPC, "no", "/secret"), StorageFull, "is full"),
        (OSError(errno.EDQUOT, "no", "/secret"), StorageFull, "is full"),
        (OSError(errno.EIO, "no", "/secret"), Unexpected, "EIO"),
        (OSError("/secret"), Unexpected, "no reason given"),  # a library's own
    ],
)
def test_a_failure_of_the_disk_is_told_without_the_path(failure: OSError, expected: type[GlaError], told: str) -> None:
    with pytest.raises(expected, match=told) as caught, disk_errors():
        raise failure
    assert "secret" not in str(caught.value)


def test_a_file_that_was_not_written_is_not_taken_for_one_that_was(tmp_path: Path) -> None:
    with pytest.raises(Unexpected), staged_file(tmp_path, "part.age"):
        raise OSError("not written whole")
