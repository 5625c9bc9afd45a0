"""kill -9 before every effect that a run has outside itself, and another run: the same end. Design invariant 4.

The points are found by watching a run (`tests.crash.points`), so a new step is a new point and is killed at too. In
`make test` that is every point of a delivery, on both databases; of what else can be done to one, the steps that a
plain delivery does not have, and every fourth of the other points. In `make soak` it is every point of all, on both.
"""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.crash.fixtures import copies, nurseries
from tests.crash.matrix import Copy, Matrix, points_of, problems, step_of
from tests.crash.nursery import Nursery
from tests.crash.points import END
from tests.crash.scenarios import SCENARIOS
from tests.soak import soaking

__all__ = ["copies", "nurseries"]

pytestmark = pytest.mark.timeout(1_800)  # seconds, for one scenario on a machine with much other work

ON_POSTGRESQL = SCENARIOS if soaking() else ["deliver"]


@pytest.fixture(scope="module")
def steps_of_a_delivery(nurseries: SimpleQueue[Nursery], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    matrix = Matrix(nurseries, tmp_path_factory.mktemp("steps"), "deliver")
    return {step_of(point) for point in points_of(matrix.tried())}


@pytest.mark.soak
@pytest.mark.parametrize(
    ("scenario", "copies"),
    [
        *((name, "sqlite") for name in SCENARIOS),
        *(pytest.param(name, "postgresql", marks=pytest.mark.server) for name in ON_POSTGRESQL),
    ],
    indirect=["copies"],
)
def test_killed_anywhere_it_ends_as_if_nothing_had_happened(
    request: pytest.FixtureRequest, nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path, scenario: str
) -> None:
    deep = soaking()  # then who tries again is killed too, at each point that only such a one passes
    whole = deep or scenario == "deliver"
    known = set() if whole else request.getfixturevalue("steps_of_a_delivery")
    found = Matrix(nurseries, tmp_path, scenario, copies).explored(deep=deep, known=None if whole else known)
    visited = {each.killed_at[-1] for each in found if each.killed_at}
    passed = {point for each in (found if deep else found[:1]) for point in points_of(each)}
    if whole:
        assert visited == passed, "every point was killed at"
    else:
        steps = {step_of(point) for point in visited}
        assert {step_of(point) for point in passed} <= known | steps, "every step was killed at, here or in a delivery"
    assert END in visited
    assert len(visited) > 3
    first = len(points_of(found[0]))
    print(f"{request.node.callspec.id}: an undisturbed run has {first} points; killed at {len(visited)}")
    assert problems(found) == []
