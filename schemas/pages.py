"""How every page for people is made: complete in itself, and whatever somebody typed is escaped."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(name: str, package: str = "schemas", **filters: Callable[..., object]) -> Template:
    """`templates/NAME` of a package. A name in it that nothing was given for is an error."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
