"""What the rules of a verdict mean, in Dutch, for people who read a report and not the contract."""

from __future__ import annotations

import re

_RULES = {
    "columnMissing": "de kolom ontbreekt",
    "columnNotAgreed": "er zijn kolommen die niet zijn overeengekomen",
    "logicalType": "de waarde is van het afgesproken soort",
    "required": "de waarde is ingevuld",
    "unique": "elke waarde komt één keer voor",
    "primaryKey": "de sleutel is ingevuld en komt één keer voor",
    "minimum": "niet kleiner dan het minimum",
    "maximum": "niet groter dan het maximum",
    "exclusiveMinimum": "groter dan de ondergrens",
    "exclusiveMaximum": "kleiner dan de bovengrens",
    "multipleOf": "een veelvoud van het afgesproken getal",
    "minLength": "niet korter dan afgesproken",
    "maxLength": "niet langer dan afgesproken",
    "pattern": "volgens het afgesproken patroon",
    "format": "in de afgesproken vorm",
    "enum": "een van de afgesproken waarden",
    "minItems": "niet minder onderdelen dan afgesproken",
    "maxItems": "niet meer onderdelen dan afgesproken",
    "uniqueItems": "elk onderdeel komt één keer voor",
    "minProperties": "niet minder velden dan afgesproken",
    "maxProperties": "niet meer velden dan afgesproken",
    "nullValues": "aantal lege waarden",
    "missingValues": "aantal ontbrekende waarden",
    "invalidValues": "aantal ongeldige waarden",
    "duplicateValues": "aantal herhaalde waarden",
    "rowCount": "aantal rijen",
    "bsn": "een geldig burgerservicenummer",
    "rsin": "een geldig RSIN",
    "loonheffingennummer": "een geldig loonheffingennummer",
    "kvk": "een KVK-nummer van acht cijfers",
    "yyyymmdd-partial": "een datum, eventueel met onbekende delen",
    "not-before": "niet eerder dan de andere datum",
    "within-period": "binnen het tijdvak van de levering",
    "sum-equals": "gelijk aan de som van de andere kolommen",
    "foreignKey": "verwijst naar een rij in deze levering",
}
_OPERATORS = {
    "mustBe": "precies",
    "mustNotBe": "alles behalve",
    "mustBeGreaterThan": "meer dan",
    "mustBeGreaterOrEqualTo": "ten minste",
    "mustBeLessThan": "minder dan",
    "mustBeLessOrEqualTo": "ten hoogste",
    "mustBeBetween": "strikt tussen",
    "mustNotBeBetween": "niet strikt tussen",
}
_THRESHOLD = re.compile(r"(\w+) ([-+.e0-9]+)(?: and ([-+.e0-9]+))?( percent)?")


def in_dutch(rule: str) -> str:
    """A few words on `rule`; "" for one that is not known here. What stands in brackets is left to the reader."""
    return _RULES.get(rule.split("(", 1)[0], "")


def threshold_in_dutch(threshold: str | None) -> str:
    """`mustBeLessThan 5 percent` becomes `minder dan 5 procent`; None, no exceptions, becomes `geen uitzonderingen`."""
    if threshold is None:
        return "geen uitzonderingen"
    parts = _THRESHOLD.fullmatch(threshold)
    if parts is None or parts[1] not in _OPERATORS:
        return threshold
    between = f"{parts[2]} en {parts[3]}" if parts[3] else parts[2]
    return f"{_OPERATORS[parts[1]]} {between.replace('.', ',')}{' procent' if parts[4] else ''}"
