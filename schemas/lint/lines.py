"""On which line of a YAML or JSON file a place of the document stands."""

from __future__ import annotations

from contextlib import suppress

import yaml

from schemas.odcs import Path


class Lines:
    """The lines of one file that `schemas.reader` has read already, so that its size and depth are bounded."""

    def __init__(self, data: bytes) -> None:
        self._root: yaml.Node | None = None
        with suppress(yaml.YAMLError, ValueError):  # JSON that is no YAML, such as one with tabs
            self._root = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.CSafeLoader)

    def of(self, path: Path) -> int | None:
        """The line, from 1, of the innermost part of `path` that the file has."""
        node = self._root
        line = None if node is None else node.start_mark.line + 1
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line on which a child begins (that of its key, if it has one), and the child."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child = node.value[step]
        return child.start_mark.line + 1, child
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    return None
