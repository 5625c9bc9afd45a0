"""What the Open Data Contract Standard itself says of a document: the JSON Schema of ODCS 3.2.0, and nothing more.

The schema is the one in the package `open-data-contract-standard`. A violation names a JSON path and the rule of the
standard that is broken, never a value of the document.

`jsonschema` alone would need exponential time for nested columns (`unevaluatedProperties` judges each level again,
about five times) and quadratic time for long lists of unique items: `_Judgement` remembers, and compares by hash.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft201909Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

Path = tuple[str | int, ...]  # the keys and positions that lead to a place in a document

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_ALTERNATIVES = ("anyOf", "oneOf")
_NO_OTHER_KEYS = ("additionalProperties", "unevaluatedProperties")


@dataclass(frozen=True)
class Violation:
    """`rule` is the keyword of the schema that is broken, `sentence` what it asks for."""

    path: Path
    rule: str
    sentence: str


def violations(document: Mapping[str, Any]) -> list[Violation]:
    """Where `document` breaks the standard, in the order of the schema; what only follows from another is left out."""
    errors = [_innermost(error) for error in _Judgement().of(document)]
    found: dict[Violation, None] = {}  # several parts of the schema may say the same
    paths = [tuple(error.absolute_path) for error in errors if error.validator not in _NO_OTHER_KEYS]
    broken = {path[:length] for path in paths for length in range(len(path) + 1)}
    for error in errors:
        path = tuple(error.absolute_path)
        sentence: str | None = _sentence(error)
        if error.validator == "unevaluatedProperties" and path in broken:
            # a part that breaks a rule is not "evaluated", so that its owner seems to hold an unknown key
            strange = [name for name in _quoted_keys(error.message, _any(error.instance)) if name not in _known_keys()]
            sentence = _unknown(strange) if strange else None
        if sentence is not None:
            found[Violation(path, _rule(error), sentence)] = None
    return list(found)


def first_violation(document: Mapping[str, Any]) -> Violation | None:
    """The first of `violations`, without looking for the others."""
    error = next(_Judgement().of(document), None)
    return None if error is None else Violation(tuple(error.absolute_path), _rule(error), _sentence(error))


def json_path(path: Sequence[str | int]) -> str:
    """`$.schema[0].name`: known-looking keys only; another key is the writer's own text and becomes `*`."""
    text = "$"
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if _PLAIN_KEY.fullmatch(step) else ".*"
    return text


class _Judgement:
    """One validation of one document, which must stay as it is meanwhile: its parts are known by their identity."""

    def __init__(self) -> None:
        self._sound: set[tuple[str, int]] = set()  # definitions of the schema with the parts that obey them

    def of(self, document: Mapping[str, Any]) -> Iterator[ValidationError]:
        keywords = {"$ref": self._ref, "uniqueItems": _unique_items}
        remembering: Any = extend(Draft201909Validator, keywords)  # type: ignore[no-untyped-call]
        errors: Iterator[ValidationError] = remembering(_schema()).iter_errors(document)
        return errors

    def _ref(self, validator: Any, ref: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
        part = (ref, id(instance))
        if part in self._sound:
            return
        errors = Draft201909Validator.VALIDATORS["$ref"](validator, ref, instance, schema)
        first = next(errors, None)
        if first is None:
            self._sound.add(part)
            return
        yield first
        yield from errors


def _unique_items(validator: Any, unique: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:
    del schema
    if unique and validator.is_type(instance, "array") and len(set(map(_hashable, instance))) < len(instance):
        yield ValidationError("the items are not unique")


def _hashable(value: Any) -> Hashable:
    """Equal exactly for values that are equal in JSON: 1 is 1.0, and is not true. Numbers become text, because only
    the hashes of text cannot be made to collide.
    """
    if isinstance(value, dict):
        return frozenset((key, _hashable(each)) for key, each in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (type(value), str(value))


@functools.cache
def _schema() -> Any:
    text = importlib.resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8")
    return json.loads(text)


def _innermost(error: ValidationError) -> ValidationError:
    """The likeliest reason why none of several alternatives holds."""
    return best_match([error]) or error if error.validator in _ALTERNATIVES else error


def _rule(error: ValidationError) -> str:
    return "no logicalType" if _is_untyped(error) else str(error.validator)


def _is_untyped(error: ValidationError) -> bool:
    """Without a logicalType the schema asks for a `map`, which would mislead."""
    in_columns = len(error.absolute_path) > 1 and error.absolute_path[-2] == "properties"
    untyped = isinstance(error.instance, dict) and "logicalType" not in error.instance
    return error.validator == "required" and untyped and in_columns


def _sentence(error: ValidationError) -> str:
    """What the standard asks for, in the words of its schema; of the document only keys that look like keys."""
    rule, asked, found = str(error.validator), _any(error.validator_value), _any(error.instance)
    listed = asked if isinstance(asked, list) else [asked]
    if rule == "required":
        missing = ", ".join(str(name) for name in listed if name not in found)
        return f"lacks {'logicalType' if _is_untyped(error) and 'name' in found else missing}"
    if rule in _NO_OTHER_KEYS:
        return _unknown(_quoted_keys(error.message, found))
    if rule in ("enum", "const", "type"):
        return f"must be {'of type ' if rule == 'type' else ''}{' or '.join(map(str, listed))}"
    if rule in _ALTERNATIVES:
        choices = [" and ".join(each.get("required", ())) for each in asked if isinstance(each, dict)]
        return f"needs exactly one of {', '.join(choices)}" if all(choices) else f"does not obey {rule}"
    return f"must obey {rule} {asked}" if isinstance(asked, int | float | str) else f"does not obey {rule}"


def _any(value: Any) -> Any:
    return value


def _unknown(names: Sequence[str]) -> str:
    told = ", ".join(names)
    return f"has a key that ODCS does not know{f': {told}' if told else ''}"


def _quoted_keys(message: str, found: Any) -> list[str]:
    """The keys that jsonschema quotes in its message, as far as they look like keys."""
    quoted = re.findall(r"'([^']*)'", message)
    return [name for name in quoted if _PLAIN_KEY.fullmatch(name) and name in found]


@functools.cache
def _known_keys() -> frozenset[str]:
    """Every key that the standard has anywhere."""

    def below(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from (key for key in _any(schema.get("properties") or {}) if isinstance(key, str))
        for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
            yield from below(child)

    return frozenset(below(_schema()))
