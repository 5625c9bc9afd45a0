"""Every promise of a column is enforced exactly, or refused when the table is compiled."""

from datetime import UTC, date, datetime, time
from decimal import Decimal

import polars as pl
import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.table import Column, Table
from schemas.validation import Validator


def moment(year, month, day):
    return datetime(year, month, day)  # noqa: DTZ001 - ODCS timestamps without a zone


def column(logical_type, options=None, **more):
    return Column("a", "a", logical_type, options or {}, **more)


def failures(col, values, dtype=None):
    """{rule: count} for one column of values."""
    validator = Validator(compile_table(Table("t", (col,))))
    validator.check(pl.DataFrame({"a": pl.Series(values, dtype=dtype)}))
    return {each.rule: each.count for each in validator.finish().failures}


@pytest.mark.parametrize(
    ("logical_type", "accepted", "refused"),
    [
        ("string", [pl.String], [pl.Int64, pl.Binary]),
        ("integer", [pl.Int8, pl.Int64, pl.UInt64, pl.UInt8], [pl.Int128, pl.Float64, pl.String, pl.Boolean]),
        ("number", [pl.Float64, pl.Float32, pl.Int32, pl.Decimal(10, 2)], [pl.String, pl.Boolean, pl.Date]),
        ("date", [pl.Date], [pl.Datetime("us"), pl.String]),
        ("timestamp", [pl.Datetime("ms"), pl.Datetime("ns", "Europe/Amsterdam")], [pl.Date, pl.String]),
        ("time", [pl.Time], [pl.Datetime("us"), pl.String]),
        ("boolean", [pl.Boolean], [pl.Int8, pl.String]),
    ],
)
def test_stored_types_are_judged_by_family(logical_type, accepted, refused):
    for dtype in accepted:
        assert failures(column(logical_type), [None], dtype) == {}, dtype
    for dtype in refused:
        assert failures(column(logical_type), [None], dtype) == {"logicalType": 1}, dtype


def test_a_column_of_the_wrong_type_fails_only_on_its_type():
    assert failures(column("integer", {"minimum": 5}, enum=(7,), unique=True), ["a", "a"]) == {"logicalType": 2}


@pytest.mark.parametrize(
    ("col", "good", "bad"),
    [
        (column("string", {"minLength": 2}), ["ab", "éé", None], ["a", "é", ""]),
        (column("string", {"maxLength": 2}), ["ab", "éé", "\U0001f600\U0001f600"], ["abc"]),
        (column("string", {"pattern": "^[0-9]+$"}), ["12"], ["1a", "", "\u0663"]),
        (column("string", {"pattern": "b"}), ["abc"], ["acd"]),
        (column("string", {"format": "uuid"}), ["123e4567-e89b-12d3-a456-426614174000"], ["123", ""]),
        (column("string", {"format": "email"}), ["a@example.nl"], ["a", "a@", "a b@example.nl"]),
        (column("string", {"format": "ipv4"}), ["192.168.0.255"], ["1.2.3", "256.1.1.1", "1.2.3.4."]),
        (
            column("string", {"format": "ipv6"}),
            ["::", "::1", "1:2:3:4:5:6:7:8", "1::8", "::ffff:10.0.0.1"],
            ["1:2", ":::"],
        ),
        (column("string", {"format": "hostname"}), ["a.example"], ["-a", "a..b"]),
        (
            column("string", {"format": "uri"}),
            ["https://a.nl/?b=%20#c", "urn:a:b"],
            ["a", "//a", "a:%2", "a:b#c#d", "a: b"],
        ),
        (column("string", {"format": "byte"}), ["", "YQ=="], ["a", "Y!=="]),
        (column("integer", {"minimum": 1}), [1, 2], [0, -1]),
        (column("integer", {"exclusiveMinimum": 1}), [2], [1, 0]),
        (column("integer", {"maximum": 1}), [1, 0], [2]),
        (column("integer", {"exclusiveMaximum": 1}), [0], [1, 2]),
        (column("integer", {"minimum": 0.5}), [1], [0]),
        (column("integer", {"maximum": 0.5}), [0], [1]),
        (column("integer", {"minimum": 2**53 + 1}), [2**53 + 1], [2**53]),
        (column("integer", {"multipleOf": 5}), [0, 5, -10], [1, 7]),
        (column("integer", {"multipleOf": 0.5}), [1, 3], []),
        (column("integer", {"multipleOf": 1.5}), [3, -6], [1, 2]),
        (column("number", {"minimum": 0, "maximum": 1}), [0.0, 0.5, 1.0], [-0.1, 1.1]),
        (column("number", {"multipleOf": 0.01}), [19.99, 0.07, 1e6, 4.35], [0.001, 19.999]),
        (column("date", {"minimum": "2026-01-01"}), [date(2026, 1, 1)], [date(2025, 12, 31)]),
        (column("date", {"exclusiveMaximum": "2026-01-01"}), [date(2025, 12, 31)], [date(2026, 1, 1)]),
        (column("date", {"minimum": "01-02-2026", "format": "dd-MM-yyyy"}), [date(2026, 2, 1)], [date(2026, 1, 31)]),
        (column("time", {"maximum": "12:00:00"}), [time(12)], [time(12, 0, 1)]),
        (column("timestamp", {"minimum": "2026-01-01 00:00:00"}), [moment(2026, 1, 1)], [moment(2025, 12, 31)]),
        (column("string", enum=("a", "b", None)), ["a", None], ["c", ""]),
        (column("integer", enum=(1, 2)), [1], [3]),
        (column("number", enum=(1, 2.5)), [1.0, 2.5], [2.0]),
        (column("date", enum=("2026-01-01",)), [date(2026, 1, 1)], [date(2026, 1, 2)]),
        (column("timestamp", enum=("2026-01-01T00:00:00",)), [moment(2026, 1, 1)], [moment(2026, 1, 2)]),
        (column("boolean", enum=(True,)), [True], [False]),
        (column("string", rules=("bsn",)), ["111222333", None], ["123456789", "x", ""]),
    ],
)
def test_option_is_enforced_exactly(col, good, bad):
    assert failures(col, good) == {}
    assert sum(failures(col, [*good, *bad]).values()) == len(bad)


def test_rule_is_named_by_the_odcs_word():
    number = column("integer", {"minimum": 1, "maximum": 2, "multipleOf": 2})
    assert failures(number, [0, 3]) == dict.fromkeys(("minimum", "maximum", "multipleOf"), 1)
    text = column("string", {"pattern": "x"}, required=True, rules=("bsn",))
    assert failures(text, [None, "y"]) == dict.fromkeys(("required", "pattern", "bsn"), 1)


@pytest.mark.parametrize(
    ("option", "value", "dtype", "expected"),
    [
        ("minimum", 2**70, pl.Int8, {"minimum": 1}),
        ("maximum", 2**70, pl.Int8, {}),
        ("maximum", -(2**70), pl.Int64, {"maximum": 1}),
        ("minimum", -1, pl.UInt8, {}),
        ("multipleOf", 2**40, pl.Int8, {"multipleOf": 1}),
        ("format", "i8", pl.Int64, {}),
        ("format", "u8", pl.Int64, {}),
    ],
)
def test_bound_outside_the_stored_type_is_exact(option, value, dtype, expected):
    assert failures(column("integer", {option: value}), [5], dtype) == expected


def test_integer_format_is_a_width_of_values_not_of_storage():
    assert failures(column("integer", {"format": "i8"}), [127, 128, -129], pl.Int64) == {"format": 2}
    assert failures(column("integer", {"format": "u8"}), [-1, 255], pl.Int16) == {"format": 1}
    assert failures(column("integer", {"format": "i32"}), [1], pl.Int16) == {}
    assert failures(column("integer", {"format": "u128"}), [1, -1], pl.Int64) == {"format": 1}
    assert failures(column("number", {"format": "f32"}), [1.0], pl.Float64) == {"logicalType": 1}


def test_decimal_column_is_compared_exactly():
    col = column("number", {"maximum": 0.1, "multipleOf": 0.01}, enum=(0.1, 0.2))
    assert failures(col, [Decimal("0.10"), Decimal("0.20")], pl.Decimal(10, 3)) == {"maximum": 1}
    assert failures(column("number", {"multipleOf": 0.01}), [Decimal("0.105")], pl.Decimal(10, 3)) == {"multipleOf": 1}


@pytest.mark.parametrize(("dtype", "last"), [(pl.Float32, 2**24), (pl.Float64, 2**53)])
def test_whole_bound_that_a_float_cannot_hold_is_exact(dtype, last):
    """After `last` a float has only each second whole number: these are the three around the odd one."""
    values = [float(last), float(last + 2), None]
    for bound in (last + 1, float(last + 1)) if dtype == pl.Float32 else (last + 1,):
        assert failures(column("number", {"minimum": bound}), values, dtype) == {"minimum": 1}
        assert failures(column("number", {"exclusiveMinimum": bound}), values, dtype) == {"exclusiveMinimum": 1}
        assert failures(column("number", {"maximum": bound}), values, dtype) == {"maximum": 1}
        assert failures(column("number", {"exclusiveMaximum": bound}), values, dtype) == {"exclusiveMaximum": 1}
        assert failures(column("number", enum=(bound, last + 2)), values, dtype) == {"enum": 1}
    negative = [-value for value in values[:2]]
    assert failures(column("number", {"minimum": -last - 1}), negative, dtype) == {"minimum": 1}
    assert failures(column("number", {"maximum": -last - 1}), negative, dtype) == {"maximum": 1}
    tenths = column("number", {"minimum": 0.1, "maximum": 0.1}, enum=(0.1,))
    assert failures(tenths, [0.1], dtype) == {}


CENTS = column("number", {"multipleOf": 0.01})


@pytest.mark.parametrize(
    ("col", "dtype", "good", "bad"),
    [
        (CENTS, pl.Float32, [0.0, 0.1, 0.25, 12.34, -4.35, 99999.99], [0.105, 12.345, 0.001]),
        (CENTS, pl.Float64, [0.1 + 0.2, 2_814_749_767_106.55], [0.300000001, 1e-9]),
        (CENTS, pl.Float64, [0.0], [5_629_499_534_213.125, 45_035_996_273_704.97, 1e300]),  # cannot be told
        (column("number", {"multipleOf": 1}), pl.Float64, [2.0**50, 2.0**53 + 2, 1e300], [2.0**50 + 0.25]),
        (column("number", {"multipleOf": 0.25}), pl.Float64, [2.0**50 + 0.25], [2.0**49 + 0.125]),
        (column("number", {"multipleOf": 3}), pl.Float32, [9.0, 3.0 * 2**22], [10.0, 2.0**24]),
    ],
)
def test_float_is_a_multiple_if_it_is_the_float_of_one(col, dtype, good, bad):
    assert failures(col, [*good, None], dtype) == {}
    assert failures(col, [*good, *bad], dtype) == {"multipleOf": len(bad)}
    items = column("array", items=Column("a[]", "a[]", "number", col.options))
    assert failures(items, [[each, None] for each in (*good, *bad)], pl.List(dtype)) == {"multipleOf": len(bad)}


def test_value_that_a_stored_type_cannot_hold_is_never_found_in_it():
    assert failures(column("number", enum=(0.125,)), [Decimal("0.12")], pl.Decimal(10, 2)) == {"enum": 1}
    assert failures(column("number", {"multipleOf": 0.25}), [Decimal("0.5"), Decimal("0.6")], pl.Decimal(5, 1)) == {
        "multipleOf": 1
    }
    assert failures(column("number", {"minimum": -1e30, "maximum": 1e35}), [Decimal(1)], pl.Decimal(38, 10)) == {}
    assert failures(column("number", enum=(1.5, 2)), [1, 2], pl.Int16) == {"enum": 1}


@pytest.mark.parametrize("zone", [None, "Europe/Amsterdam"])
def test_timestamps_are_compared_exactly_in_every_unit(zone):
    options = {"timezone": zone is not None, "defaultTimezone": zone or "UTC"}
    moments = {"maximum": "2026-07-01T00:00:00", "exclusiveMinimum": "2026-07-01T00:00:00.000000"}
    start = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) - (7200 if zone else 0)
    for unit, per_second in (("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        dtype = pl.Datetime(unit, zone)
        values = pl.Series([start * per_second + more for more in (-1, 0, 1)] + [None]).cast(dtype)
        for word, broken in (("maximum", 1), ("exclusiveMinimum", 2)):
            col = column("timestamp", options | {word: moments[word]})
            assert failures(col, values, dtype) == {word: broken}, (unit, word)
        assert failures(column("timestamp", options, enum=(moments["maximum"],)), values, dtype) == {"enum": 2}
    fraction = column("timestamp", enum=("2026-07-01T00:00:00.000500",))
    assert failures(fraction, [moment(2026, 7, 1)], pl.Datetime("ms")) == {"enum": 1}
    assert failures(column("timestamp", {"maximum": "9999-12-31T00:00:00"}), [0], pl.Datetime("ns")) == {}


def test_bound_without_offset_is_meant_in_the_default_time_zone_also_where_zones_are_optional():
    col = column("timestamp", {"minimum": "2026-01-01T00:00:00", "defaultTimezone": "Europe/Amsterdam"})
    zoned = pl.Series([datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2025, 12, 31, 22, 59, tzinfo=UTC)])
    assert failures(col, zoned, zoned.dtype) == {"minimum": 1}


def test_not_a_number_and_infinity_are_no_numbers():
    assert failures(column("number"), [float("nan"), float("inf"), 1.0, None]) == {"logicalType": 2}


def test_timestamps_with_zone_are_compared_as_moments():
    options = {"timezone": True, "minimum": "2026-01-01 00:00:00+01:00", "defaultTimezone": "Europe/Amsterdam"}
    values = [datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2025, 12, 31, 22, 59, tzinfo=UTC)]
    zoned = pl.Series(values).dt.convert_time_zone("America/New_York")
    assert failures(column("timestamp", options), zoned, zoned.dtype) == {"minimum": 1}
    local = options | {"minimum": "2026-01-01T00:00:00"}
    assert failures(column("timestamp", local), zoned, zoned.dtype) == {"minimum": 1}
    assert failures(column("timestamp", {"timezone": True}), [moment(2026, 1, 1)]) == {"logicalType": 1}
    assert failures(column("timestamp", {"timezone": False}), zoned, zoned.dtype) == {"logicalType": 2}


@pytest.mark.parametrize(
    "col",
    [
        column("string", {"format": "binary"}),
        column("string", {"pattern": "(?=a)"}),
        column("boolean", {"surprise": 1}),
        column("date", {"minimum": "yesterday"}),
        column("date", {"minimum": "2026-02-30"}),
        column("date", {"format": "EEE, d MMM"}),
        column("date", {"format": "yyyy'unclosed"}),
        column("timestamp", {"minimum": "2026-01-01T00:00:00+01:00"}),
        column("timestamp", {"timezone": True, "defaultTimezone": "Mars/Olympus"}),
        column("timestamp", {"timezone": True, "defaultTimezone": "Asia/Tokyo", "minimum": "0001-01-01T00:00:00"}),
        column("timestamp", {"timezone": True, "defaultTimezone": "../../etc/passwd"}),
        column("timestamp", {"timezone": True, "defaultTimezone": "localtime"}),  # a file of the system
        column("time", {"timezone": True}),
        column("string", enum=(1,)),
        column("integer", enum=("1",)),
        column("integer", enum=(True,)),
        column("boolean", enum=(1,)),
        column("date", enum=(20260101,)),
        column("string", rules=("iban",)),
        column("integer", rules=("bsn",)),
        column("string", rules=({"a": 1},)),
    ],
)
def test_promise_that_is_not_understood_is_refused_when_compiled(col):
    with pytest.raises(UnusableInput, match=r"column a|a pattern") as caught:
        compile_table(Table("t", (col,)))
    assert caught.value.__context__ is None


def test_a_name_that_pandera_uses_itself_is_refused():
    with pytest.raises(UnusableInput, match="column check_output has a name that validation needs"):
        compile_table(Table("t", (Column("check_output", "x", "string"),)))
    compile_table(Table("t", (Column("x", "check_output", "string"),)))


def test_password_format_is_a_hint_for_screens_only():
    assert failures(column("string", {"format": "password"}), ["x"]) == {}


def test_compiled_table_lists_columns_and_text_types_in_order():
    table = Table("t", (Column("b", "b", "integer", {"format": "u64"}), Column("a", "a", "timestamp")))
    compiled = compile_table(table)
    assert compiled.columns == ("b", "a")
    assert dict(compiled.dtypes) == {"b": pl.UInt64(), "a": pl.Datetime("us")}
    assert compiled.schema.strict is True
