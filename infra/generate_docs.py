"""Write the documents that follow from the code, or with --check say which of them are stale.

docs/cli.md (help of every command), docs/exit-codes.md (the tree of errors), docs/performance.md (bench/results.json),
docs/crypto-inventory.md (keys/algorithms.py).
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from apps.cli.main import gla
from core import errors
from keys import algorithms

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- Written by `make docs`; do not edit. -->\n\n"


def cli() -> str:
    """Help of all commands, as `--help` prints it at 100 columns."""
    parts = ["# Commands\n"]
    for path, command in _commands("gla", gla):
        context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            if child is not None:
                yield from _commands(f"{path} {name}", child)


def exit_codes() -> str:
    """Every class of failure with its exit code, who acts, and whether trying again can help."""
    import apps.cli.main  # noqa: F401, PLC0415 - loads the modules that add classes
    import keys.envelope.errors  # noqa: F401, PLC0415

    rows = ["# Exit codes\n", "| code | error | who acts | try again |", "|---|---|---|---|", "| 0 | done | | |"]
    rows.append(
        "| 1 | the answer is no: invalid, different, not proven, not all removed; see the command's help | operator | |"
    )
    for kind in sorted(_tree(errors.GlaError), key=lambda item: (item.exit_code, item.__name__)):
        if not kind.__subclasses__() or kind.exit_code not in {child.exit_code for child in kind.__subclasses__()}:
            again = "yes" if kind.transient else "no"
            rows.append(f"| {kind.exit_code} | {kind.__name__} | {kind.acts} | {again} |")
    tree = inspect.getdoc(errors) or ""
    return "\n".join(rows) + "\n\n" + tree.split("\n\n", 1)[0] + "\n"


def _tree(kind: type[errors.GlaError]) -> Iterator[type[errors.GlaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _tree(child)


def performance() -> str:
    """The table of the last benchmark run."""
    path = ROOT / "bench" / "results.json"
    if not path.exists():
        return "# Performance\n\nNot measured yet: `make bench`.\n"
    results = json.loads(path.read_text(encoding="utf-8"))
    explained = json.loads((ROOT / "bench" / "keys.json").read_text(encoding="utf-8"))
    machine = ", ".join(f"{name}: {value}" for name, value in results["machine"].items())
    rows = [
        "# Performance\n",
        f"Measured by `make bench` on {machine}.\n",
        "| key | value | what it is |",
        "|---|---|---|",
    ]
    rows += [f"| `{key}` | {value:g} | {explained[key]} |" for key, value in results["results"].items()]
    return "\n".join(rows) + "\n"


DOCUMENTS = {
    "docs/cli.md": cli,
    "docs/exit-codes.md": exit_codes,
    "docs/performance.md": performance,
    "docs/crypto-inventory.md": algorithms.as_markdown,
}


def main() -> int:
    """Write all, or with --check compare all; 1 if one is stale."""
    check = "--check" in sys.argv
    stale = []
    for name, make in DOCUMENTS.items():
        path, text = ROOT / name, MARK + make()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stdout.write(f"stale, run make docs: {', '.join(stale)}\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
