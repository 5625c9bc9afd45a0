"""Fixed width (`gla.format: fixed`): which characters of a record hold which column, decided by the contract alone.

docs/formats.md describes the layout in full, for who writes a reader. A column whose width the contract does not fix is
refused here with its name, so when an agreement is drafted, linted or offered and not on the day of delivery.

>>> from schemas.table import Column, Table
>>> [(it.start, it.width) for it in layout(Table("t", (Column("n", "n", "integer", {"minimum": -9, "maximum": 99}),)))]
[(2, 3)]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from core.errors import UnusableInput
from core.period import Period
from schemas.logical_types import INTEGER_FORMATS, read_literal
from schemas.table import Column, Table
from schemas.written import form_width, written_form

VERSION = 1  # of the layout; a reader refuses another
END = "\r\n"
HEADER, ROW, TRAILER = "V", "G", "S"  # voorloop, gegevens, sluit: the first character of each record
VERSION_WIDTH, ID_WIDTH, DAY_WIDTH = 2, 200, 8  # a day is yyyyMMdd; an agreement's id has at most 200 characters
COUNT_WIDTH, SUM_WIDTH = 15, 32  # of the trailer; a sum has a sign and 31 digits
MOST_CHARACTERS = 10_000  # of a record: a longer one is better delivered as CSV or Parquet
MOST_DIGITS = 38  # of a number, which must fit into 128 bits
DATE_FORM = "%Y%m%d"  # of a date whose format the contract does not give

_RULE_WIDTHS = {"bsn": 9, "rsin": 9, "loonheffingennummer": 12, "kvk": 8, "yyyymmdd-partial": 8}
_PERIOD_FORMS = ("yyyyMMdd", "yyyy-MM-dd")
_UUID_WIDTH = 36
_MOST_DECIMALS = 18

Kind = Literal["text", "number", "boolean", "moment"]


@dataclass(frozen=True)
class Field:
    """A column in the records of a file. `start` counts characters from 1; `form` is that of a moment (chrono)."""

    column: Column
    start: int
    width: int
    kind: Kind
    signed: bool = False
    decimals: int = 0
    form: str | None = None

    @property
    def digits(self) -> int:
        """Of a number: how many digits there are, before and after the point."""
        return self.width - self.signed - (self.decimals > 0)


def layout(table: Table) -> tuple[Field, ...]:
    """The fields of a record in the contract's order; `UnusableInput` names a column whose width is not fixed."""
    fields: list[Field] = []
    start = 1 + len(ROW)
    for column in table.columns:
        field = _field(column, start)
        fields.append(field)
        start += field.width
        if start - 1 > MOST_CHARACTERS:
            raise UnusableInput(
                f"column {column.name} ends after character {MOST_CHARACTERS} of the record: use another gla.format"
            )
    return tuple(fields)


def header(agreement_id: str, period: Period) -> str:
    """The first record: nothing in it changes between two deliveries of the same rows."""
    days = f"{period.start:%Y%m%d}".zfill(DAY_WIDTH) + f"{period.last_day:%Y%m%d}".zfill(DAY_WIDTH)
    return f"{HEADER}{VERSION:0{VERSION_WIDTH}}{agreement_id:<{ID_WIDTH}}{days}{END}"


def trailer(rows: int, sums: Mapping[str, int]) -> str:
    """The last record: the number of data records, and the sum of each column of `gla.sums`, in that order."""
    told = "".join(f"{total:+0{SUM_WIDTH}}" for total in sums.values())
    return f"{TRAILER}{rows:0{COUNT_WIDTH}}{told}{END}"


def _field(column: Column, start: int) -> Field:
    match column.logical_type:
        case "string":
            return Field(column, start, _text_width(column), "text")
        case "integer":
            return _number(column, start, *_integer_bounds(column))
        case "number":
            decimals = _decimals(column)
            return _number(column, start, _low(column), _high(column), decimals)
        case "boolean":
            return Field(column, start, 1, "boolean")
        case "date":
            return _moment(column, start, written_form(column) or DATE_FORM)
        case "time" | "timestamp":
            return _moment(column, start, written_form(column))
        case other:
            raise UnusableInput(f"column {column.name} is an {other}, which fixed width cannot hold")


def _unfixed(column: Column, needed: str) -> UnusableInput:
    return UnusableInput(f"column {column.name} has no fixed width: give it {needed}, or use another gla.format")


def _text_width(column: Column) -> int:
    widths = [_RULE_WIDTHS[rule] for rule in column.rules if isinstance(rule, str) and rule in _RULE_WIDTHS]
    widths += [len(form) for rule in column.rules for form in _PERIOD_FORMS if _form_of(rule) == form]
    if "maxLength" in column.options:
        widths.append(column.options["maxLength"])
    if column.options.get("format") == "uuid":
        widths.append(_UUID_WIDTH)
    if column.enum is not None:
        widths.append(max((len(each) for each in column.enum if isinstance(each, str)), default=0))
    if not widths:
        raise _unfixed(column, "a maxLength or an enum")
    return max(min(widths), 1)


def _form_of(rule: Any) -> Any:
    return rule.get("format") if isinstance(rule, Mapping) else None


def _integer_bounds(column: Column) -> tuple[Fraction, Fraction]:
    lows, highs = [], []
    if column.options.get("format") in INTEGER_FORMATS:
        sign, bits = INTEGER_FORMATS[column.options["format"]]
        lows.append(Fraction(-(2 ** (bits - 1)) if sign == "i" else 0))
        highs.append(Fraction(2 ** (bits - 1) - 1 if sign == "i" else 2**bits - 1))
    if column.enum is not None and (values := [each for each in column.enum if isinstance(each, int)]):
        lows.append(Fraction(min(values)))
        highs.append(Fraction(max(values)))
    if any(word in column.options for word in ("minimum", "exclusiveMinimum")):
        lows.append(_low(column))
    if any(word in column.options for word in ("maximum", "exclusiveMaximum")):
        highs.append(_high(column))
    if not lows or not highs:
        raise _unfixed(column, "a minimum and a maximum")
    return max(lows), min(highs)


def _low(column: Column) -> Fraction:
    return max(_bounds(column, "minimum", "exclusiveMinimum"))


def _high(column: Column) -> Fraction:
    return min(_bounds(column, "maximum", "exclusiveMaximum"))


def _bounds(column: Column, *words: str) -> list[Fraction]:
    """What the contract gives of these; a value may come as near to an exclusive bound as it likes."""
    found = [column.options[word] for word in words if word in column.options]
    if not found:
        raise _unfixed(column, "a minimum and a maximum, and a multipleOf such as 0.01")
    return [Fraction(str(each)) if isinstance(each, float) else Fraction(read_literal(column, each)) for each in found]


def _decimals(column: Column) -> int:
    """How many decimals a multiple of `multipleOf` has at most."""
    step = column.options.get("multipleOf")
    if not isinstance(step, int | float) or isinstance(step, bool):
        raise _unfixed(column, "a minimum and a maximum, and a multipleOf such as 0.01")
    exact = Fraction(str(step))
    decimals = next((at for at in range(_MOST_DECIMALS + 1) if (exact * 10**at).denominator == 1), None)
    if decimals is None:
        raise _unfixed(column, f"a multipleOf of at most {_MOST_DECIMALS} decimals")
    return decimals


def _number(column: Column, start: int, low: Fraction, high: Fraction, decimals: int = 0) -> Field:
    """As many digits before the point as the bound that is furthest from zero."""
    digits = len(str(max(math.floor(abs(low)), math.floor(abs(high)))))
    if digits + decimals > MOST_DIGITS:
        raise _unfixed(column, f"bounds of at most {MOST_DIGITS - decimals} digits")
    signed = low < 0
    width = signed + digits + (decimals + 1 if decimals else 0)
    return Field(column, start, width, "number", signed=signed, decimals=decimals)


def _moment(column: Column, start: int, form: str | None) -> Field:
    if form is None:
        raise _unfixed(column, "a format, such as yyyyMMddHHmmss")
    return Field(column, start, form_width(form), "moment", form=form)
