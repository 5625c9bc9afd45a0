"""A list of participants from anyone: what is taken, and what is said of all else, without a value."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from core.errors import UnusableInput
from flows.steps import parquet_lines, participant_lists
from flows.steps.participant_lists import ParticipantList, read_list
from schemas.participants import Finding
from tests.participants_world import PEOPLE, as_csv, as_parquet

NAMES = frozenset({"bsn", "klant"})
FOUR = PEOPLE[:4]
WIDE = "999990019".translate({digit: digit + 0xFEE0 for digit in range(48, 58)})  # other characters that are digits
INVALID = "123456789"  # fails the 11-proef


def read(content: bytes, form: str = "csv", maximum: int = 100) -> ParticipantList:
    return read_list(io.BytesIO(content), form, NAMES, maximum)


def refused(content: bytes, form: str = "csv", maximum: int = 100) -> str:
    with pytest.raises(UnusableInput) as caught:
        read(content, form, maximum)
    assert caught.value.__context__ is None
    return str(caught.value)


def people(read: ParticipantList) -> list[str]:
    return [str(number).zfill(9) for numbers in read.people.numbers() for number in numbers.tolist()]


@pytest.mark.parametrize(
    "content",
    {
        "with line feeds": as_csv(FOUR),
        "with carriage returns": as_csv(FOUR, end="\r\n"),
        "without an end to the last line": as_csv(FOUR).rstrip(b"\n"),
        "with a byte order mark": b"\xef\xbb\xbf" + as_csv(FOUR),
        "in quotes": as_csv([f'"{each}"' for each in FOUR], header='"bsn"'),
        "by the agreement's name, letter case aside": as_csv(FOUR, header="Klant"),
        "in another order": as_csv(FOUR[::-1]),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_csv_list_is_read(content: tuple[str, bytes]) -> None:
    taken = read(content[1])
    assert (people(taken), taken.lines, taken.findings) == (FOUR, 4, ())


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "uncompressed"])
def test_a_parquet_list_is_read(compression: str) -> None:
    taken = read(as_parquet(FOUR, compression=compression), "parquet")
    assert (people(taken), taken.lines, taken.findings) == (FOUR, 4, ())


def test_one_row_is_a_list() -> None:
    assert people(read(as_csv(FOUR[:1]))) == FOUR[:1]
    assert people(read(as_parquet(FOUR[:1]), "parquet")) == FOUR[:1]


def test_as_many_as_the_maximum_pass_and_one_more_is_told_with_its_line() -> None:
    assert read(as_csv(FOUR), maximum=4).findings == ()
    assert read(as_csv(FOUR), maximum=3).findings == (Finding(rule="maximum", count=1, lines=(5,)),)


@pytest.mark.parametrize(
    "line",
    [INVALID, "000000000", "", " 999990019", "99999001", "9999900190", "999990019,", "999990019;x", "+99990019",
     "x" * 900, '"999990019', WIDE, "999 990 019", "NULL", "999990019\t"],
)  # fmt: skip
def test_a_line_that_is_no_bsn_is_told_by_its_number_only(line: str) -> None:
    found = read(as_csv([*FOUR[:2], line, *FOUR[2:]]))
    assert found.findings == (Finding(rule="bsn", count=1, lines=(4,)),)
    assert not line.strip() or line not in str(found.findings[0])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_first_ten_lines_of_each_rule_are_named_and_all_are_counted(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participant_lists, "PIECE_BYTES", 64)  # the findings are spread over many pieces
    lines = [INVALID, FOUR[0]] * 20
    found = read(as_csv(lines) if form == "csv" else as_parquet(lines), form)
    assert found.findings == (
        Finding(rule="bsn", count=20, lines=tuple(range(2, 22, 2))),
        Finding(rule="duplicate", count=19, lines=tuple(range(5, 25, 2))),
    )
    assert str(found.findings[0]).startswith("no valid BSN of nine digits: 20 (line 2, 4, 6, ")


def test_a_duplicate_is_told_also_within_one_piece() -> None:
    assert read(as_csv([FOUR[0], FOUR[1], FOUR[0]])).findings == (Finding(rule="duplicate", count=1, lines=(4,)),)


def test_nulls_and_other_text_in_parquet_are_no_bsn() -> None:
    found = read(as_parquet([FOUR[0], None, "two\nlines", FOUR[1]]), "parquet")
    assert found.findings == (Finding(rule="bsn", count=2, lines=(3, 4)),)
    assert found.lines == 4


@pytest.mark.parametrize("content", [as_csv([]), b"bsn"], ids=["header", "header without end"])
def test_a_list_without_people_is_empty(content: bytes) -> None:
    assert read(content).findings == (Finding(rule="empty", count=1, lines=()),)


def test_parquet_without_rows_is_empty() -> None:
    assert read(as_parquet([]), "parquet").findings == (Finding(rule="empty", count=1, lines=()),)


@pytest.mark.parametrize(
    "header",
    ["naam", "bsn,naam", "999990019", "bsn;", "", "b s n"],
    ids=["other", "two", "none", "semi", "empty", "gap"],
)
def test_a_csv_list_must_have_its_one_column(header: str) -> None:
    message = refused(as_csv(FOUR, header=header))
    assert "one column" in message
    assert "999990019" not in message


def test_nothing_at_all_is_no_list() -> None:
    assert "one column" in refused(b"")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_said(encoding: str) -> None:
    assert "UTF-8" in refused(as_csv(FOUR).decode().encode(encoding))


def test_latin_letters_are_said() -> None:
    assert "UTF-8" in refused(as_csv([*FOUR, "caf\xe9"]).decode().encode("latin-1"))


def _zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deelnemers.csv", content)
    return target.getvalue()


@pytest.mark.parametrize("pack", [_zip, gzip.compress, zstandard.compress], ids=["zip", "gzip", "zstd"])
def test_a_bomb_is_not_even_opened(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b"bsn\n" + b"0" * 200_000_000)
    assert len(bomb) < 300_000
    assert "compressed" in refused(bomb)


def test_text_without_line_ends_stops_early() -> None:
    endless = _Endless(b"0" * 1_000_000)
    with pytest.raises(UnusableInput, match="no lines"):
        read_list(endless, "csv", NAMES, 100)
    assert endless.given <= participant_lists.PIECE_BYTES


def test_more_lines_than_the_maximum_stop_early() -> None:
    endless = _Endless(as_csv(FOUR))
    found = read_list(endless, "csv", NAMES, 100)
    assert found.findings[0].rule == "maximum"
    assert endless.given <= 3 * participant_lists.PIECE_BYTES


def test_a_parquet_file_without_end_stops_early() -> None:
    endless = _Endless(as_parquet(FOUR))
    with pytest.raises(UnusableInput, match="larger than"):
        read_list(endless, "parquet", NAMES, 100)
    assert endless.given <= 2 * participant_lists.PIECE_BYTES


class _Endless:
    def __init__(self, content: bytes) -> None:
        self._content, self.given = content, 0

    def read(self, size: int) -> bytes:
        data = (self._content * (size // len(self._content) + 1))[:size]
        self.given += size
        return data


def _table(**columns: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


WRONG_PARQUET = {
    "another column": (_table(naam=FOUR), parquet_lines.WRONG_COLUMNS),
    "two columns": (_table(bsn=FOUR, naam=FOUR), parquet_lines.WRONG_COLUMNS),
    "numbers": (_table(bsn=[int(each) for each in FOUR]), parquet_lines.NOT_TEXT),
    "bytes": (_table(bsn=[each.encode() for each in FOUR]), parquet_lines.NOT_TEXT),
    "lists": (_table(bsn=[FOUR]), parquet_lines.NOT_TEXT),
    "too many": (as_parquet(FOUR * 50), parquet_lines.TOO_MANY),
}


@pytest.mark.parametrize("name", WRONG_PARQUET)
def test_parquet_that_is_no_list_is_said(name: str) -> None:
    content, code = WRONG_PARQUET[name]
    assert refused(content, "parquet") == parquet_lines.REASONS[code]


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", as_csv(FOUR), as_parquet(FOUR)[:-30], as_parquet(FOUR)[:40] + bytes(40)],
    ids=["nothing", "four bytes", "csv", "cut", "damaged"],
)  # fmt: skip
def test_what_is_no_parquet_is_said(content: bytes) -> None:
    assert "no Parquet file" in refused(content, "parquet")


def test_parquet_that_is_called_csv_is_said() -> None:
    assert "name it .parquet.age" in refused(as_parquet(FOUR))


def test_a_long_text_that_stands_for_many_rows_ends_a_process_and_not_ours() -> None:
    target = io.BytesIO()
    huge = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), pa.array(["9" * 1_000_000]))
    pq.write_table(pa.table({"bsn": huge}), target, compression="zstd", use_dictionary=True)
    assert len(target.getvalue()) < 100_000  # and a terabyte of text
    assert "no Parquet file" in refused(target.getvalue(), "parquet", maximum=1_000_000)


def test_categories_are_text() -> None:
    target = io.BytesIO()
    pq.write_table(pa.table({"bsn": pa.array(FOUR).dictionary_encode()}), target)
    assert people(read(target.getvalue(), "parquet")) == FOUR


def test_a_page_that_claims_gigabytes_ends_a_process_and_not_ours() -> None:
    content = _with_page_of(as_parquet(PEOPLE, compression="zstd", use_pyarrow=True), 2**31 - 1)
    assert "no Parquet file" in refused(content, "parquet", maximum=1000)


def _with_page_of(parquet: bytes, size: int) -> bytes:
    """The file with the first page header's uncompressed size changed; the header is thrift's compact form."""
    at = 4 + 1 + 1 + 1  # magic, field 1 (type) with its value, field 2
    old_length = next(n for n in range(1, 6) if not parquet[at + n - 1] & 0x80)
    zigzag, varint = size << 1, b""
    while zigzag > 0x7F:
        varint += bytes([zigzag & 0x7F | 0x80])
        zigzag >>= 7
    varint += bytes([zigzag])
    grown = len(varint) - old_length
    spare = parquet[:at] + varint + parquet[at + old_length :]
    (footer,) = struct.unpack("<I", parquet[-8:-4])
    body = len(parquet) - 8 - footer
    # the page moved by `grown` bytes, so take as many from behind it: what follows the page is only statistics
    return spare[: body + grown][:body] + parquet[body:]


def test_the_child_is_given_no_variable_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("GLA_SECRET", "x" * 10)
    assert people(read(as_parquet(FOUR), "parquet")) == FOUR


def test_a_list_of_a_hundred_thousand_is_read_in_both_forms() -> None:
    from schemas.bsn import complete

    many = complete(pl.Series(range(99_000_000, 99_110_000), dtype=pl.UInt32)).cast(pl.String)
    for content, form in ((as_csv(many), "csv"), (as_parquet(many.to_list()), "parquet")):
        taken = read(content, form, maximum=100_000)
        assert (taken.people.count, taken.lines, taken.findings) == (len(many), len(many), ())
