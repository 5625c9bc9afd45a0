"""The Merkle tree over events, hashed as RFC 6962 says (section 2.1). Pure: positions and hashes, no database, no keys.

Event `n` (from 1) is leaf `n - 1`. When it comes, it completes the subtrees of 2, 4, 8 ... leaves that end with it, as
many as `n` has factors of two; so each node is made once, is never changed, and is kept with the event that completed
it. A node is named by its level (0: a leaf) and the event that it ends with.

>>> completed(12), peaks(11)
(2, [(3, 8), (1, 10), (0, 11)])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
_LEAF, _NODE = b"\x00", b"\x01"

Span = tuple[int, int]
"""Leaves from (the first is 0) and to (not included)."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def completed(seq: int) -> int:
    """How many subtrees, apart from the leaf itself, event `seq` completes."""
    return (seq & -seq).bit_length() - 1


def peaks(size: int, start: int = 0) -> list[tuple[int, int]]:
    """The complete subtrees, largest first, that make up `size` leaves after the first `start`, as (level, end).

    `start` must be a multiple of the largest of them, as it is for every subtree that RFC 6962 speaks of.
    """
    found, end = [], start
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            end += 1 << level
            found.append((level, end))
    return found


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash over subtrees as `peaks` has them."""
    *rest, result = hashes
    for left in reversed(rest):
        result = node_hash(left, result)
    return result


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Which subtrees prove leaf `index` in a tree of `size` leaves: PATH of RFC 6962, 2.1.1."""
    return _path(index, 0, size)


def consistency_spans(first: int, second: int) -> list[Span]:
    """Which subtrees prove that a tree of `first` leaves is the beginning of one of `second`: PROOF of 2.1.2."""
    return _proof(first, 0, second, whole=True) if 0 < first < second else []


def _path(index: int, start: int, end: int) -> list[Span]:
    if end - start == 1:
        return []
    middle = _middle(start, end)
    if index < middle:
        return [*_path(index, start, middle), (middle, end)]
    return [*_path(index, middle, end), (start, middle)]


def _proof(size: int, start: int, end: int, *, whole: bool) -> list[Span]:
    if size == end:
        return [] if whole else [(start, end)]
    middle = _middle(start, end)
    if size <= middle:
        return [*_proof(size, start, middle, whole=whole), (middle, end)]
    return [*_proof(size, middle, end, whole=False), (start, middle)]


def _middle(start: int, end: int) -> int:
    """After the largest power of two that is smaller than the number of leaves."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def is_included(leaf: bytes, index: int, size: int, proof: Iterable[bytes], root: bytes) -> bool:
    """Whether `leaf` is leaf `index` of the tree with this size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and result == root


def is_beginning(first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether the first tree is the beginning of the second (RFC 9162, 2.1.4.2)."""
    if not 0 < first < second:
        return first == second and not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    if not path:
        return False
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and before == first_root and after == second_root
