"""The promises and terms of a contract as Dutch sentences, with the amounts that belong to them.

>>> from schemas.table import Column
>>> list(promise_words(Column("a", "a", "integer", {"minimum": 0, "maximum": 9999}), {}))
['minimaal 0', 'maximaal 9999']
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.compiler import CompiledTable
from schemas.export.raw import Raw, rule_name
from schemas.filters import Condition
from schemas.rule_words import in_dutch, threshold_in_dutch
from schemas.table import Column

_TYPES = {
    "string": "tekst", "integer": "geheel getal", "number": "getal", "boolean": "waar of onwaar", "date": "datum",
    "timestamp": "datum en tijd", "time": "tijd", "array": "lijst", "object": "samengesteld",
}  # fmt: skip
_OPTIONS = {
    "minimum": "minimaal {}", "maximum": "maximaal {}", "exclusiveMinimum": "meer dan {}",
    "exclusiveMaximum": "minder dan {}", "multipleOf": "een veelvoud van {}", "minLength": "ten minste {} tekens",
    "maxLength": "ten hoogste {} tekens", "pattern": "volgens het patroon {}", "minItems": "ten minste {} onderdelen",
    "maxItems": "ten hoogste {} onderdelen", "minProperties": "ten minste {} velden ingevuld",
    "maxProperties": "ten hoogste {} velden ingevuld",
}  # fmt: skip
_DAYS = {"minimum": "niet voor {}", "maximum": "niet na {}", "exclusiveMinimum": "na {}", "exclusiveMaximum": "voor {}"}
_COMPARED = {
    "equals": "is", "notEquals": "is niet", "lessThan": "kleiner dan", "lessOrEqualTo": "hoogstens",
    "greaterThan": "groter dan", "greaterOrEqualTo": "ten minste", "in": "een van", "isNull": "is leeg",
    "isNotNull": "is ingevuld",
}  # fmt: skip
_BOUNDS = {"period.start": "de eerste dag van het tijdvak", "period.end": "de dag na het tijdvak"}
_SLA = {
    "retention": "Bewaartermijn", "frequency": "Levering", "latency": "Uiterlijk klaar",
    "endofsupport": "Ondersteund tot", "availability": "Beschikbaarheid", "generalavailability": "Beschikbaar vanaf",
    "endoflife": "Einde",
}  # fmt: skip
_UNITS = {
    "d": ("dag", "dagen"), "day": ("dag", "dagen"), "days": ("dag", "dagen"), "month": ("maand", "maanden"),
    "quarter": ("kwartaal", "kwartalen"), "year": ("jaar", "jaar"), "y": ("jaar", "jaar"), "yr": ("jaar", "jaar"),
}  # fmt: skip
_EVERY = {"day": "elke dag", "month": "elke maand", "quarter": "elk kwartaal", "year": "elk jaar"}


def type_words(column: Column) -> str:
    """The type for people, with the form of what has one."""
    form = column.options.get("format")
    return f"{_TYPES[column.logical_type]}{f' ({form})' if form else ''}"


def promise_words(column: Column, raw: Raw) -> Iterator[str]:
    """What holds of every value of a column; required, code list and key are told elsewhere."""
    is_day = column.logical_type in ("date", "timestamp", "time")
    for key, value in column.options.items():
        words = _DAYS.get(key) if is_day else _OPTIONS.get(key)
        if words is not None:
            yield words.format(value)
    if column.options.get("uniqueItems"):
        yield in_dutch("uniqueItems")
    if column.options.get("timezone"):
        yield "met tijdzone"
    if column.unique:
        yield in_dutch("unique")
    yield from (_rule(value) for value in column.rules)
    yield from (f"verwijst naar {' en '.join(to)} in deze levering" for to in column.relationships)
    yield from (_quality(rule) for rule in raw.get("quality") or [])


def _rule(value: Any) -> str:
    name = rule_name(value)
    if isinstance(value, Mapping) and name == "not-before":
        return f"niet eerder dan {value['column']}"
    if isinstance(value, Mapping) and name == "sum-equals":
        over = ", over de hele levering geteld" if value.get("over") else ""
        return f"de som van {' en '.join(value['columns'])}{over}"
    return in_dutch(name) or name


def _quality(rule: Raw) -> str:
    """A library rule as what is counted and how many are allowed; a rule in words as it is written."""
    said = rule.get("description") or ""
    if rule.get("type", "library") != "library":
        return said or rule.get("name") or "regel in woorden"
    operator = next(key for key in rule if key.startswith(("mustBe", "mustNotBe")))
    bounds = rule[operator] if isinstance(rule[operator], list) else [rule[operator]]
    percent = " percent" if rule.get("unit") == "percent" else ""
    allowed = threshold_in_dutch(f"{operator} {' and '.join(map(str, bounds))}{percent}")
    columns = (rule.get("arguments") or {}).get("properties")
    named = f" in {' en '.join(columns)} samen" if columns else ""
    counted = f"{in_dutch(str(rule['metric']))}{named}: {allowed}"
    warns = "" if rule.get("severity", "error") == "error" else " (alleen een waarschuwing)"
    return f"{counted}{warns}{f'. {said}' if said else ''}"


def table_words(compiled: CompiledTable, raw: Raw) -> Iterator[str]:
    """What holds of the rows together."""
    if compiled.table.primary_key:
        yield f"De sleutel is {' + '.join(compiled.table.primary_key)}: elke combinatie komt één keer voor."
    for reference in compiled.references:
        if len(reference.columns) > 1:
            columns, to_columns = " + ".join(reference.columns), " + ".join(reference.to_columns)
            yield f"Elke combinatie van {columns} komt in deze levering voor als {to_columns}."
    yield from (_capital(_quality(rule)) for rule in raw.get("quality") or [])


def condition_words(condition: Condition) -> str:
    """A condition of the filter as people read it: `datum ten minste de eerste dag van het tijdvak`."""
    values = condition.value if isinstance(condition.value, list) else [condition.value]
    compared = ", ".join(_literal(each) for each in values if each is not None)
    told = _BOUNDS[condition.bound] if condition.bound else compared
    return f"{condition.column} {_COMPARED[condition.operator]} {told}".strip()


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "waar" if value else "onwaar"
    return f"“{value}”" if isinstance(value, str) else str(value)


def sla_words(item: Raw) -> tuple[str, str]:
    """A service level as heading and text: `Bewaartermijn`, `30 dagen`."""
    name, value, unit = str(item["property"]), item.get("value"), str(item.get("unit") or "")
    if name.lower() == "frequency" and value == 1 and unit in _EVERY:
        return _SLA["frequency"], _EVERY[unit]
    one, several = _UNITS.get(unit, (unit, unit))
    amount = f"{value} {one if value == 1 else several}".strip()
    after = " na het tijdvak" if name.lower() == "latency" else ""
    said = f". {item['description']}" if item.get("description") else ""
    return _SLA.get(name.lower(), name), f"{amount}{after}{said}"


def price_words(price: Raw) -> str:
    """The price, for example `120,50 EUR per levering`."""
    amount = price.get("priceAmount")
    told = "" if amount is None else f"{amount:.2f}".replace(".", ",")
    unit = f"per {price['priceUnit']}" if price.get("priceUnit") else ""
    return " ".join(part for part in (told, str(price.get("priceCurrency") or ""), unit) if part)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
