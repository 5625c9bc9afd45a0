"""Drafts of agreements need a sender with keys, a source and a recipient."""

from tests.delivery_world import make_world, world

__all__ = ["make_world", "world"]
