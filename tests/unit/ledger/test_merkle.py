"""The tree of RFC 6962: its definition, written down again as it stands there, and every proof in small trees."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ledger.merkle import (
    completed,
    consistency_spans,
    inclusion_spans,
    is_beginning,
    is_included,
    joined,
    leaf_hash,
    node_hash,
    peaks,
)

MOST = 40
LEAVES = [leaf_hash(bytes([number])) for number in range(MOST)]


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + root(leaves[:half]) + root(leaves[half:])).digest()


def proof(spans: list[tuple[int, int]]) -> list[bytes]:
    return [root(LEAVES[start:end]) for start, end in spans]


def test_the_roots_of_the_reference_tree() -> None:
    """From the test vectors of Certificate Transparency, which everyone who implements RFC 6962 uses."""
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in entries]
    assert leaves[0].hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert root(leaves[:2]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("size", range(1, MOST + 1))
def test_the_peaks_join_to_the_root(size: int) -> None:
    hashes = [root(LEAVES[end - (1 << level) : end]) for level, end in peaks(size)]
    assert joined(hashes) == root(LEAVES[:size])


def test_an_event_completes_as_many_subtrees_as_it_has_factors_of_two() -> None:
    assert [completed(seq) for seq in range(1, 17)] == [0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0, 4]
    assert sum(completed(seq) for seq in range(1, 1025)) == 1023  # each node once


@pytest.mark.parametrize("size", range(1, MOST + 1))
def test_every_leaf_is_proven_and_nothing_else(size: int) -> None:
    whole = root(LEAVES[:size])
    for index in range(size):
        path = proof(inclusion_spans(index, size))
        assert is_included(LEAVES[index], index, size, path, whole)
        assert not is_included(LEAVES[index], index, size, path, bytes(32))
        assert not is_included(bytes(32), index, size, path, whole)
        assert not is_included(LEAVES[index], index, size, [*path, bytes(32)], whole)
        assert not is_included(LEAVES[index], index, size, path[:-1], whole) or not path
        others = [other for other in range(size) if other != index]
        assert not any(is_included(LEAVES[index], other, size, path, whole) for other in others)
    assert not is_included(LEAVES[0], size, size, [], whole)
    assert not is_included(LEAVES[0], -1, size, [], whole)


@pytest.mark.parametrize("second", range(1, MOST + 1))
def test_every_beginning_is_proven_and_nothing_else(second: int) -> None:
    after = root(LEAVES[:second])
    for first in range(1, second + 1):
        before, path = root(LEAVES[:first]), proof(consistency_spans(first, second))
        assert is_beginning(first, second, path, before, after)
        assert not is_beginning(first, second, path, bytes(32), after)
        assert not is_beginning(first, second, path, before, bytes(32))
        assert not is_beginning(first, second, [*path, bytes(32)], before, after)
        assert not path or not is_beginning(first, second, path[:-1], before, after)
        assert all(
            not is_beginning(first, second, [*path[:place], bytes(32), *path[place + 1 :]], before, after)
            for place in range(len(path))
        )
    assert not is_beginning(second + 1, second, [], after, after)
    assert not is_beginning(0, second, [], bytes(32), after)


def test_a_leaf_can_be_taken_for_no_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)
