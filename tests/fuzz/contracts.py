"""Contracts that are nearly right: grown by the grammar of ODCS and of our rules, or changed (document, event, text).

Everything follows from one number, so that a finding is that number.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from schemas.odcs import _known_keys
from schemas.reader import read_document

CANARY = "KANARIE-7f3a9c"  # planted wherever a message has no business
ROOT = Path(__file__).parents[2]
_BIG = 10**39
# fmt: off
INTEGERS: list[Any] = [0, 1, -1, 2, 7, 40, 127, 128, 255, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, _BIG, -_BIG]
NUMBERS = [*INTEGERS, 0.0, -0.0, 0.1, 0.5, 1e-9, 5e-324, 1e-300, 1e15, 1e22, 1e300, 1.7976931348623157e308, -1e308]
STEPS = [1, 2, 3, 0.5, 0.1, 1e-9, 5e-324, 1e308, 2**63, 2**64, _BIG]
LENGTHS = [0, 1, 2, 3, 100, 2**31, 2**63, 2**64, _BIG, 1.0]
PATTERNS = [
    "^a+$", "", "a{0}", "(", "[", r"\d", r"\p{L}{20}", "(?=a)", "(a+)+$", r"\b", "[^]", "[a--b]", r"\u00e9", "^$", "a|",
    r"[\w-z]", "((((a{50}){50}){50}))", "(?<n>a)", r"\1", "[z-a]", "\x00", "é\U0001f600", "a{1001}", "]", "}",
]
MOMENTS_OF = {
    "date": ["2026-01-01", "9999-12-31"],
    "timestamp": ["2026-01-01T00:00:00", "2026-03-29T02:30:00", "2026-01-01T00:00:00Z"],
    "time": ["12:00:00", "23:59:59.999999"],
}
MOMENTS = [
    *MOMENTS_OF["timestamp"], "2026-02-30", "0000-00-00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00",
    "24:00:00", "20260101",
]
FORMATS_OF = {
    "string": ["email", "uuid", "ipv4", "ipv6", "uri", "hostname", "byte", "password"],
    "integer": ["i8", "i16", "i32", "u64", "i128", "u128"],
    "number": ["f32", "f64"],
    "date": ["yyyy-MM-dd", "yyyyMMdd", "dd-MM-yyyy"],
    "time": ["HH:mm:ss", "HH:mm:ss.SSS"],
    "timestamp": ["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ssXXX", "dd-MM-yyyy HH:mm", "yyyyMMdd"],
}
FORMATS = ["'T'", "yyyy", "XXX", "", "%Y", "QQQ", "'", "f16", "i7", "nonsense"]
ZONES = ["UTC", "Europe/Amsterdam", "Etc/UTC", "../../etc/passwd", "", "Etc/GMT+14", "localtime", "posixrules"]
TYPES = ["string", "integer", "number", "boolean", "date", "timestamp", "time", "array", "object", "map", "vector"]
SIMPLE, USABLE = TYPES[:7], TYPES[:9]
GOOD_NAMES = ["a", "b", "c", "n", "été", "x y", "a.b", "a[]", "id"]
NAMES = [*GOOD_NAMES, "*", "^a$", "a/b", "..", "", " ", "A", "\U0001f600", "x" * 200]
TEXTS = ["", " ", "a", CANARY, "null", "true", "1", "\x00", "\u2028", "\ud7ff", "\ufeff", "e\u0301", "a" * 1000]
COLUMN_METRICS = ["nullValues", "missingValues", "invalidValues", "duplicateValues"]
TABLE_METRICS = ["rowCount", "duplicateValues"]
OPERATORS = [
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
    "mustBeBetween", "mustNotBeBetween",
]
RULES: list[Any] = [
    "bsn", "rsin", "loonheffingennummer", "kvk", "yyyymmdd-partial", "within-period", "nonsense", 7, None,
]
CODE_LISTS = ["soort-ikv/2022", "aard-arbeidsverhouding/2022", "nonsense/1", "../x/1", "/", ""]
_BOUNDS = ["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]
OPTIONS: dict[str, list[str]] = {
    "string": ["minLength", "maxLength", "pattern", "format"],
    "integer": [*_BOUNDS, "multipleOf"],
    "number": [*_BOUNDS, "multipleOf"],
    "date": _BOUNDS,
    "timestamp": [*_BOUNDS, "timezone", "defaultTimezone"],
    "time": [*_BOUNDS, "timezone", "defaultTimezone"],
    "array": ["minItems", "maxItems", "uniqueItems"],
    "object": ["minProperties", "maxProperties", "required"],
}
TOKENS = [
    "&a ", "*a", "<<: ", "!!str ", "!!python/object:os.system ", "!x ", "| ", ">-\n", "- ", "? ", ": ", "{", "}", "[",
    "]", "\t", "\ufeff", "%YAML 1.1\n", "%TAG ! x:\n", "---\n", "...\n", "\x85", "\u2028", "\x00", "\r", "#", "'", '"',
    "\\", '"\\ud800"', "0x10", "1e999", ".inf", ".nan", "9" * 50, "~", "null", "yes", ",", "\n", "  ", CANARY,
]
# fmt: on


class Maker:
    """One contract for one number."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._oddness = self.random.choice(
            [0.0, 0.0, 0.01, 0.05, 0.2]
        )  # most faults are only seen where all else is right

    def contract(self) -> bytes:
        """Nearly always close to a contract; sometimes only text."""
        pick = self.random.random()
        if pick < 0.65:
            return self._written(self._grown())
        document = self._changed(self.random.choice(_corpus()))
        if pick < 0.85:
            return self._written(document)
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
        return (self._events(text) if pick < 0.92 else self._text(text)).encode("utf-8", "surrogatepass")

    def pick(self, choices: list[Any]) -> Any:
        return self.random.choice(choices)

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def odd(self) -> bool:
        return self.maybe(self._oddness)

    # -- by the grammar

    def _grown(self) -> dict[str, Any]:
        document: dict[str, Any] = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0"}
        document["status"] = "active"
        document["schema"] = [self._table() for _ in range(1 if self.maybe(0.9) else 2)]
        return self._changed(document) if self.odd() else document

    def _table(self) -> dict[str, Any]:
        names = [self.pick(NAMES)] if self.odd() else self.random.sample(GOOD_NAMES, self.random.choice([1, 1, 2, 3]))
        table: dict[str, Any] = {"name": "t", "properties": [self._column(name, names, 0) for name in names]}
        if self.maybe(0.3):
            table["quality"] = [self._quality(names, TABLE_METRICS) for _ in range(self.random.randint(1, 2))]
        if self.maybe(0.1):
            table["relationships"] = [{"from": f"t.{self.pick(names)}", "to": self._reference(names)}]
        return table

    def _column(self, name: str, names: list[str], level: int) -> dict[str, Any]:
        kind = self.pick(TYPES if self.odd() else USABLE if self.maybe(0.3) else SIMPLE)
        column: dict[str, Any] = {"name": name} | self._typed(kind, names, level)
        for key in ("required", "unique", "primaryKey"):
            if self.maybe(0.15):
                column[key] = self.pick([False, None, 1, CANARY]) if self.odd() else True
        if self.maybe(0.05):
            column["primaryKeyPosition"] = self._any() if self.odd() else self.pick(INTEGERS[:5])
        if self.maybe(0.3):
            column["quality"] = [self._quality(names, COLUMN_METRICS) for _ in range(self.random.randint(1, 2))]
        if self.maybe(0.25):
            column["customProperties"] = [self._own(names) for _ in range(self.random.randint(1, 2))]
        if self.maybe(0.1):
            column["physicalName"] = self.pick(NAMES if self.odd() else GOOD_NAMES)
        if self.maybe(0.1):
            column["relationships"] = [{"to": self._reference(names)}]
        return column

    def _typed(self, kind: str, names: list[str], level: int) -> dict[str, Any]:
        typed: dict[str, Any] = {"logicalType": kind}
        options = {key: self._option(kind, key) for key in OPTIONS.get(kind, []) if self.maybe(0.3)}
        if options:
            typed["logicalTypeOptions"] = options
        if self.maybe(0.2):
            values = [self._value(kind) for _ in range(self.random.randint(1, 3))]
            values = values if self.odd() else list({str(value): value for value in values}.values())
            typed["enum"] = [{"value": value, "description": CANARY} for value in values]
        if kind == "array" and level < 9:
            typed["items"] = self._typed(self.pick(USABLE), names, level + 1)
        if kind == "object" and level < 9:
            typed["properties"] = [
                self._column(name, names, level + 1) for name in self.random.sample(GOOD_NAMES[:4], 2)
            ]
        return typed

    def _option(self, kind: str, key: str) -> Any:  # noqa: PLR0911 - one for each kind of option
        if self.odd():
            return self._any()
        if key == "required":
            return self.random.sample(GOOD_NAMES[:4], 1)
        if key in ("timezone", "uniqueItems"):
            return self.maybe(0.7)
        if key.startswith(("min", "max")) and not key.endswith("imum"):
            return self.pick(LENGTHS)
        if key == "multipleOf":
            return self.pick(STEPS)
        if key == "format":
            return self.pick(FORMATS if self.odd() else FORMATS_OF[kind])
        special = {"pattern": PATTERNS, "defaultTimezone": ZONES}
        return self.pick(special[key]) if key in special else self._value(kind)

    def _value(self, kind: str) -> Any:
        if self.odd():
            return self._any()
        if kind in ("integer", "number"):
            return self.pick(NUMBERS if kind == "number" else INTEGERS)
        if kind in MOMENTS_OF and not self.maybe(0.1):
            return self.pick(MOMENTS_OF[kind])
        if kind in MOMENTS_OF:
            return self.pick(MOMENTS)
        return self.maybe(0.5) if kind == "boolean" else self.pick(TEXTS)

    def _quality(self, names: list[str], metrics: list[str]) -> dict[str, Any]:
        rule: dict[str, Any] = {"type": self.pick(TEXTS)} if self.odd() else {"metric": self.pick(metrics)}
        operator = self.pick(OPERATORS)
        bound = sorted([self.pick(NUMBERS), self.pick(NUMBERS)]) if operator.endswith("Between") else self.pick(NUMBERS)
        rule[operator] = self._any() if self.odd() else bound
        if self.maybe(0.3):
            rule["unit"] = self.pick(["rows", "percent"]) if not self.odd() else CANARY
        if self.maybe(0.2):
            rule["severity"] = self.pick(["error", "warning", "info"]) if not self.odd() else CANARY
        arguments = {"invalidValues": ["validValues", "pattern"], "missingValues": ["missingValues"]}
        keys = [*arguments, "properties"] if self.odd() else arguments.get(rule.get("metric", ""), [])
        if metrics is TABLE_METRICS and rule.get("metric") == "duplicateValues":
            keys = ["properties"]
        if keys:
            rule["arguments"] = self._arguments(names, self.pick(keys))
        return rule

    def _arguments(self, names: list[str], key: str) -> dict[str, Any]:
        values = [self._value(self.pick(SIMPLE)) for _ in range(self.random.randint(0, 3))]
        choices = {
            "validValues": values,
            "missingValues": values,
            "pattern": self.pick(PATTERNS),
            "properties": names[:2],
        }
        return {key: self._any() if self.odd() or key not in choices else choices[key]}

    def _own(self, names: list[str]) -> dict[str, Any]:
        rule: Any = self.pick(RULES)
        if self.maybe(0.4):
            rule = self.pick(
                [
                    {"rule": "not-before", "column": self.pick(names)},
                    {"rule": "sum-equals", "columns": names[:2]},
                    {"rule": "sum-equals", "columns": names[:1], "over": "delivery"},
                    {"rule": "within-period", "format": self.pick(["yyyyMMdd", "yyyy-MM-dd", CANARY])},
                    {"rule": self.pick(RULES), CANARY: 1},
                ]
            )
        if self.maybe(0.2):
            return {"property": "gla.codeList", "value": self.pick(CODE_LISTS)}
        return {"property": self.pick(["gla.x", "other"]) if self.odd() else "gla.rule", "value": rule}

    def _reference(self, names: list[str]) -> Any:
        name = self.pick(names)
        if self.odd():
            return self.pick([CANARY, [f"t.{name}"] * 2, "", f"other.{name}", self._any()])
        return self.pick([f"t.{name}", f"schema/t/properties/{name}"])

    def _any(self) -> Any:
        simple = [None, True, CANARY, [], {}, [CANARY], {CANARY: CANARY}, *INTEGERS[:8], *TEXTS, *PATTERNS, *MOMENTS]
        return self.pick(simple)

    # -- by change

    def _changed(self, document: Any) -> Any:
        copy = json.loads(json.dumps(document))
        for _ in range(self.random.choice([1, 1, 1, 3])):
            self._change(copy)
        return copy

    def _change(self, document: Any) -> None:
        parent, key = self.random.choice(_places(document))
        other_parent, other_key = self.random.choice(_places(self.random.choice(_corpus())))
        changes: list[Callable[[], Any]] = [
            self._any,
            lambda: other_parent[other_key],
            lambda: self.pick(NUMBERS),
            lambda: [parent[key]],
            lambda: {"a": parent[key]},
            lambda: self._column("a", ["a", "b"], 0),
        ]
        pick = self.random.random()
        if pick < 0.15:
            del parent[key]
        elif pick < 0.25 and isinstance(parent, list):
            parent.extend([parent[key]] * self.random.choice([1, 1, 30]))
        elif pick < 0.35 and isinstance(parent, dict):
            parent[self.pick([*_vocabulary(), CANARY])] = self._any()
        else:
            parent[key] = json.loads(json.dumps(self.pick(changes)()))

    def _written(self, document: Any) -> bytes:
        if self.maybe(0.5):
            return json.dumps(document, ensure_ascii=self.maybe(0.5)).encode("utf-8", "surrogatepass")
        return yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False).encode(
            "utf-8", "replace"
        )

    def _events(self, text: str) -> str:
        events = list(yaml.parse(text, Loader=yaml.CSafeLoader))
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(2, len(events) - 2)
            event = events[at]
            if isinstance(event, yaml.ScalarEvent):
                event.style = self.pick(["'", '"', "|", ">", None])
                event.anchor = self.pick([None, None, "a"])
                event.tag = self.pick([None, None, "!x", "tag:yaml.org,2002:python/object:os.system", "!"])
                event.implicit = (event.tag is None, event.tag is None)
            elif isinstance(event, yaml.CollectionStartEvent):
                event.anchor, event.flow_style = self.pick([None, "a", "b"]), self.maybe(0.5)
            events.insert(
                self.random.randrange(2, len(events) - 2), self.pick([event, yaml.AliasEvent(self.pick("ab"))])
            )
        try:
            return str(yaml.emit(events, Dumper=yaml.CDumper))
        except (yaml.YAMLError, ValueError, TypeError):
            return self._text(text)

    def _text(self, text: str) -> str:
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(text) + 1)
            length = self.random.choice([0, 1, 2, 10, 50])
            new = self.pick([*TOKENS, text[at : at + 60] * self.random.choice([1, 2, 50]), ""])
            text = text[:at] + new + text[at + length :]
        return text


@functools.cache
def _corpus() -> list[Any]:
    """The products, and what is small enough of the examples of ODCS where they are beside the project."""
    files = sorted((ROOT / "schemas/products").glob("*.yaml"))
    examples = ROOT.parent / "shared/vectors/odcs"
    files += sorted(each for each in examples.glob("*.yaml") if each.stat().st_size < 20_000)
    return [_small(read_document(file.read_bytes(), "the example")) for file in files]


def _small(document: dict[str, Any]) -> dict[str, Any]:
    """With two tables of four columns at most: searching is faster."""
    document["schema"] = (document.get("schema") or [])[:2]
    for table in document["schema"]:
        table["properties"] = (table.get("properties") or [])[:4]
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every place of a document as (parent, key)."""
    found, waiting = [], [document]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        found += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    return found or [([document], 0)]


@functools.cache
def _vocabulary() -> list[str]:
    """Every key that the standard's schema knows."""
    return sorted(_known_keys())
