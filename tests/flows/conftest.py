"""Every test of the path has a sender and a recipient with real parts."""

from tests.delivery_world import make_world, world

__all__ = ["make_world", "world"]
