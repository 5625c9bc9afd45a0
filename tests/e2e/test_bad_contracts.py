"""`gla contract check` on what should not be fed to it: exit 2 and a sentence, or a verdict, within limits.

None ends in a traceback or a crash of native code, and none repeats a value. What is judged, and of what is refused one
case of each kind, runs the installed program; the others run it in a process that begins where it is imported.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.ready import Outcome, Ready
from tests.fuzz import parquet_lies as lies

SECONDS = 90  # generous: an idle machine needs 2 for most and 5 for the worst
MEGABYTES = 900  # the program alone has 170, the decompressed bombs 400
CANARY = "KANARIE-7f3a9c"
GLA = Path(sys.executable).with_name("gla")
Check = Callable[[Path, Path], Outcome]
MEASURE = """
import json, resource, subprocess, sys, time
started = time.monotonic()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True, errors="replace")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, done.stdout, done.stderr, time.monotonic() - started, used.ru_maxrss // 1024]))
"""


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    program = Ready()
    yield program
    program.close()


@pytest.fixture
def check(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Check a contract and data with the program; the installed one starts from a small one, so that the memory
    measured is its own and not that of the tests.
    """

    name = request.node.callspec.params["name"]

    def run(contract: Path, data: Path) -> Outcome:
        arguments = ("contract", "check", str(contract), str(data))
        if name != "nothing" and name not in JUDGED:
            ready = request.getfixturevalue("ready")
            output = tmp_path_factory.mktemp("output")
            outcome = ready.run(*arguments, folder=data.parent, output=output, seconds=SECONDS)
        else:
            command = [sys.executable, "-S", "-c", MEASURE, str(GLA), *arguments]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, cwd=data.parent, env={"PATH": "/usr/bin"}
            )
            outcome = Outcome(*json.loads(done.stdout))
        assert CANARY not in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
        assert "panicked" not in outcome.err
        assert outcome.seconds < SECONDS
        assert outcome.megabytes < MEGABYTES
        return outcome

    return run


HEAD = "apiVersion: v3.2.0\nkind: DataContract\nid: c\nversion: 1.0.0\nstatus: active\n"
COLUMN = "{name: n, logicalType: integer}"


def contract(*columns: str) -> str:
    lines = [f"      - {column}\n" for column in columns]
    return HEAD + "schema:\n  - name: t\n    properties:\n" + "".join(lines)


def costly(name: str, pattern: str) -> dict[str, object]:
    return {"name": name, "logicalType": "string", "logicalTypeOptions": {"pattern": pattern}}


def with_options(**options: object) -> str:
    text = {"name": "s", "logicalType": "string", "logicalTypeOptions": options}
    return contract(COLUMN, json.dumps(text))


def nested(levels: int, innermost: str, opening: str, closing: str) -> str:
    return contract("{name: s, " + opening * levels + innermost + closing * levels + "}")


def in_json(value: str, place: str = '"tenant"') -> str:
    document = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "c", "version": "1.0.0", "status": "active"}
    return json.dumps(document)[:-1] + f", {place}: {value}}}"


GOOD = contract(COLUMN, "{name: s, logicalType: string}")
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{', '.join(['*' + chr(97 + at)] * 10)}]\n" for at in range(8)
)
CONTRACTS: dict[str, tuple[str | bytes, str]] = {
    "50 MB": ("#" * 50_000_000 + GOOD, "larger than 2048 KiB"),
    "an endless one": ("/dev/zero", "larger than 2048 KiB"),
    "nothing": ("", "not a mapping"),
    "malformed YAML": (f"{GOOD}  ]: {CANARY}", "not valid YAML"),
    "a tab": (f"{HEAD}\tname: {CANARY}", "not valid YAML"),
    "another YAML": (f"%YAML 3.0\n---\n{GOOD}", "not valid YAML"),
    "YAML that calls a function": (f"!!python/object/apply:os.mkdir ['{CANARY}']", "YAML tag"),
    "YAML that builds an object": (f"{HEAD}name: !!python/name:os.{CANARY}", "YAML tag"),
    "a merge key": (f"{GOOD}<<: {{name: {CANARY}}}", "additionalProperties"),
    "an alias bomb": (LAUGHS, "more than 100000 values"),
    "an alias to itself": (f"{GOOD}tags: &a [*a]", "anchor that is not complete"),
    "a key twice": (f"{GOOD}id: {CANARY}", "same key twice"),
    "a key twice in JSON": (in_json(f'"{CANARY}"', '"id"'), "not valid JSON"),
    "NaN in JSON": (in_json("NaN"), "not valid JSON"),
    "a number of 100,000 digits": (in_json("9" * 100_000), "not valid JSON"),
    "a number of 4,000 digits": (in_json("9" * 4_000), "too large"),
    "an infinite number": (in_json("1e999"), "too large"),
    "half a surrogate pair": (in_json(f'"{CANARY}\\ud800"'), "no Unicode"),
    "UTF-16": (GOOD.encode("utf-16"), "not valid YAML in UTF-8"),
    "Latin-1": (f"{GOOD}name: {CANARY}é".encode("latin-1"), "not valid YAML in UTF-8"),
    "a NUL": (f"{GOOD}name: {CANARY}\0", "not valid YAML"),
    "100,000 open brackets": ("[" * 100_000, "not valid YAML|nested deeper"),
    "100,000 open brackets in JSON": ('{"a":' * 100_000, "not valid JSON"),
    "arrays in arrays": (nested(12, "logicalType: string", "logicalType: array, items: {", "}"), "deeper than 8"),
    "objects in objects": (
        nested(12, "logicalType: string", "logicalType: object, properties: [{name: x, ", "}]"),
        "deeper than 8",
    ),
    "objects in objects, wrong inside": (
        nested(12, f"logicalType: {CANARY}", "logicalType: object, properties: [{name: x, ", "}]"),
        r"does not obey ODCS 3\.2\.0",
    ),
    "an unknown type": (contract(f"{{name: n, logicalType: {CANARY}}}"), r"properties\[0\]\.logicalType \(enum\)"),
    "a type of another kind": (contract("{name: n, logicalType: [integer]}"), "logicalType"),
    "two columns with one name": (contract(COLUMN, COLUMN), "names a column twice"),
    "30,000 columns": (contract(*(f"{{name: c{at}, logicalType: date}}" for at in range(30_000))), "more than"),
    "a name with path characters": (contract("{name: ../../etc/passwd, logicalType: string}"), "as a path"),
    "a table's name with path characters": (GOOD.replace("name: t", "name: ../t"), "as a path"),
    "a name that selects columns": (contract("{name: ^.*$, logicalType: string}"), "column name"),
    "a name with control characters": (contract('{name: "a\\e[2J", logicalType: string}'), "column name"),
    "a pattern with look-around": (with_options(pattern=f"(?={CANARY})"), "look-around"),
    "a pattern that is too large": (with_options(pattern="((((a{100}){100}){100}){100})"), "too large"),
    "a pattern that is no pattern": (with_options(pattern=f"({CANARY}"), "no valid regular expression"),
    "a pattern of a megabyte": (with_options(pattern="a" * 1_000_000), "longer than 2000"),
    "20,000 values of an enum, one twice": (
        contract("{name: n, logicalType: integer, enum: [" + "{value: 7}, " * 20_000 + "]}"),
        "uniqueItems",
    ),
    "arbitrary SQL": (
        contract(f"{{name: n, logicalType: integer, quality: [{{type: sql, query: '{CANARY}', mustBe: 0}}]}}"),
        "not supported",
    ),
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_bad_contract(name: str, tmp_path: Path, check: Check) -> None:
    text, reason = CONTRACTS[name]
    path = tmp_path / "contract.yaml"
    if text == "/dev/zero":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    data = tmp_path / "data.csv"
    data.write_text(f"n,s\n1,{CANARY}\n")
    refused(check(path, data), reason)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["contract.yaml", "data.csv"]


def refused(outcome: Outcome, reason: str) -> None:
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("Error: ")
    assert outcome.err.count("\n") == 1
    assert re.search(reason, outcome.err), outcome.err


def repeated(start: bytes, piece: bytes, times: int) -> Iterable[bytes]:
    yield start
    for _ in range(times):
        yield piece


MEBI = 1024 * 1024
CSV: dict[str, tuple[bytes | Callable[[], Iterable[bytes]], str]] = {
    "nothing": (b"", "cannot be read"),
    "a quote that is never closed": (f'n,s\n1,"{CANARY}\n2,b\n'.encode(), "cannot be read"),
    "a quote that is never closed in the header": (f'n,"s\n1,{CANARY}\n'.encode(), "cannot be read"),
    "a quote inside a value": (f'n,s\n1,{CANARY}"x"\n'.encode(), "cannot be read"),
    "text after a quote": (f'n,s\n1,"{CANARY}"x\n'.encode(), "cannot be read"),
    "a line that is too long": (f"n,s\n1,{CANARY},3\n".encode(), "cannot be read"),
    "a line that is too short": (f"n,s\n{CANARY}\n".encode(), "cannot be read"),
    "Latin-1": (f"n,s\n1,{CANARY}é\n".encode("latin-1"), "cannot be read"),
    "Latin-1 in the header": (f"n,sé\n1,{CANARY}\n".encode("latin-1"), "cannot be read"),
    "UTF-16 with its mark": (f"n,s\n1,{CANARY}\n".encode("utf-16"), "cannot be read"),
    "UTF-16 without its mark": (f"n,s\n1,{CANARY}\n".encode("utf-16-le"), "cannot be read"),
    "a NUL": (f"n,s\n1,{CANARY}\0\n".encode(), "cannot be read"),
    "a column twice": (f"n,s,s\n1,{CANARY},b\n".encode(), "names a column twice"),
    "a million columns": (b"n,s" + b",x" * 1_000_000 + b"\n", "cannot be read"),
    "a line of 1 GB": (lambda: repeated(b"n,s\n1,", b"x" * MEBI, 1024), "cannot be read"),
    "a header of 100 MB": (lambda: repeated(b"n,s", b"x" * MEBI, 100), "cannot be read"),
    "a quote of 100 MB": (lambda: repeated(b'n,s\n1,"', b"x\n" * (MEBI // 2), 100), "cannot be read"),
}


@pytest.mark.parametrize("name", CSV)
def test_a_bad_csv_file(name: str, tmp_path: Path, check: Check) -> None:
    content, reason = CSV[name]
    data = tmp_path / "data.csv"
    with data.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content())
    refused(check(written(tmp_path, GOOD), data), reason)
    data.unlink()


def written(folder: Path, text: str) -> Path:
    path = folder / "contract.yaml"
    path.write_text(text)
    return path


def parquet(values: pa.Array, **options: object) -> bytes:
    sink = io.BytesIO()
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    pq.write_table(pa.table({"n": values}), sink, **(plain | options))
    return sink.getvalue()


INTEGERS = parquet(pa.array(range(1000), pa.int64()))
NARROW = parquet(pa.array(range(1000), pa.int32()))
PACKED = parquet(pa.array(range(100_000), pa.int64()), compression="zstd")
TEXTS = parquet(pa.array([f"{CANARY}{at}" for at in range(1000)]), write_page_checksum=True)
Change = Callable[[lies.Struct], None]


def said_to_be(physical: int) -> Change:
    def change(footer: lies.Struct) -> None:
        element = footer[lies.SCHEMA][1][1]
        lies.put(element, lies.ELEMENT_TYPE, physical)
        element.pop(lies.ELEMENT_LEGACY_TYPE, None)
        element.pop(lies.ELEMENT_LOGICAL_TYPE, None)
        lies.put(lies.column(footer), lies.TYPE, physical)

    return change


def rows(count: int) -> Change:
    def change(footer: lies.Struct) -> None:
        lies.put(footer, lies.NUM_ROWS, count)
        lies.put(footer[lies.ROW_GROUPS][1][0], lies.GROUP_ROWS, count)
        lies.put(lies.column(footer), lies.NUM_VALUES, count)

    return change


def chunk(field: int, value: int) -> Change:
    return lambda footer: lies.put(lies.column(footer), field, value)


def page(field: int, value: int) -> Change:
    return lambda header: lies.put(header, field, value)


def page_values(count: int) -> Change:
    return lambda header: lies.put(header[lies.DATA_PAGE][1], lies.PAGE_VALUES, count)


def buried(levels: int) -> Change:
    group = {lies.ELEMENT_REPETITION: (lies.I32, 0), lies.ELEMENT_NAME: (lies.BINARY, b"a")}

    def change(footer: lies.Struct) -> None:
        footer[lies.SCHEMA][1][1:1] = [group | {lies.ELEMENT_CHILDREN: (lies.I32, 1)}] * levels

    return change


def groups(count: int) -> Change:
    def change(footer: lies.Struct) -> None:
        footer[lies.ROW_GROUPS][1][1:] = footer[lies.ROW_GROUPS][1] * count

    return change


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def overwritten(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


FIRST_TEXT = TEXTS.index(CANARY.encode())
PARQUET: dict[str, bytes] = {
    "nothing": b"",
    "text": f"n,s\n1,{CANARY}\n".encode(),
    "only the magic": b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1",
    "cut in the middle": TEXTS[: len(TEXTS) // 2],
    "cut by one byte": TEXTS[:-1],
    "cut and with its footer": TEXTS[:100] + TEXTS[-400:],
    "a bit of a value flipped, with checksums": flipped(TEXTS, FIRST_TEXT),
    "a text of two gigabytes": overwritten(
        parquet(pa.array([CANARY] * 9)), parquet(pa.array([CANARY] * 9)).index(CANARY.encode()) - 4, b"\xff\xff\xff\x7f"
    ),
    "Int32 pages, Int64 in the footer": lies.with_footer(NARROW, said_to_be(2)),
    "Int64 pages, text in the footer": lies.with_footer(INTEGERS, said_to_be(6)),
    "text pages, Int64 in the footer": lies.with_footer(TEXTS, said_to_be(2)),
    "an unknown physical type": lies.with_footer(INTEGERS, said_to_be(99)),
    "2^62 rows": lies.with_footer(INTEGERS, rows(2**62)),
    "a billion rows": lies.with_footer(INTEGERS, rows(10**9)),
    "minus one row": lies.with_footer(INTEGERS, rows(-1)),
    "2^62 rows, and only the footer says so": lies.with_footer(INTEGERS, lambda it: lies.put(it, lies.NUM_ROWS, 2**62)),
    "no values": lies.with_footer(INTEGERS, chunk(lies.NUM_VALUES, 0)),
    "a chunk of 2^40 bytes": lies.with_footer(INTEGERS, chunk(lies.COMPRESSED, 2**40)),
    "a chunk of minus one byte": lies.with_footer(INTEGERS, chunk(lies.COMPRESSED, -1)),
    "pages that lie behind the end": lies.with_footer(INTEGERS, chunk(lies.DATA_OFFSET, 2**40)),
    "pages before the start": lies.with_footer(INTEGERS, chunk(lies.DATA_OFFSET, -1)),
    "an unknown codec": lies.with_footer(INTEGERS, chunk(lies.CODEC, 77)),
    "a page of two gigabytes": lies.with_page(INTEGERS, page(lies.PAGE_COMPRESSED, 2**31 - 1)),
    "a page of a negative size": lies.with_page(INTEGERS, page(lies.PAGE_COMPRESSED, -(2**31))),
    "a page that says it inflates to two gigabytes": lies.with_page(PACKED, page(lies.PAGE_UNCOMPRESSED, 2**31 - 1)),
    "a page that inflates to more than it says": lies.with_page(PACKED, page(lies.PAGE_UNCOMPRESSED, 8)),
    "a page of minus one value": lies.with_page(INTEGERS, page_values(-1)),
    "a page of 2^31 values": lies.with_page(INTEGERS, page_values(2**31 - 1)),
    "a schema of 20,000 levels": lies.with_footer(INTEGERS, buried(20_000)),
    "a row group 100,000 times": lies.with_footer(INTEGERS, groups(100_000)),
    "a name that is no text": lies.with_footer(
        INTEGERS, lambda it: lies.put(it[lies.SCHEMA][1][1], lies.ELEMENT_NAME, b"\xff" + CANARY.encode())
    ),
    "text that is no text": lies.with_footer(
        parquet(pa.array([b"\xff" + CANARY.encode()] * 9)),
        lambda it: it[lies.SCHEMA][1][1].update({lies.ELEMENT_LEGACY_TYPE: (lies.I32, 0)}),
    ),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_bad_parquet_file(name: str, tmp_path: Path, check: Check) -> None:
    data = tmp_path / "data.parquet"
    data.write_bytes(PARQUET[name])
    kind = "string" if "text" in name and "Int64" not in name else "integer"
    refused(check(written(tmp_path, contract(f"{{name: n, logicalType: {kind}}}")), data), "cannot be read")


def dictionary_bomb() -> bytes:
    values = pa.array(["x" * MEBI]).dictionary_encode().take(pa.array([0] * 20_000, pa.int32()))
    return parquet(values, compression="zstd", use_dictionary=True)


def hundred_columns() -> bytes:
    names = ",".join(f"c{at}" for at in range(100))
    return f"{names}\n{','.join([CANARY] * 100)}\n".encode()


JUDGED: dict[str, tuple[str, str, Callable[[], bytes], int]] = {
    "a pattern that backtracks for ever": (
        with_options(pattern="^(a+)+$"),
        "csv",
        lambda: b"n,s\n" + b"1," + b"a" * 100_000 + b"b\n",
        1,
    ),
    "a byte order mark": ("\ufeff" + GOOD, "csv", lambda: b"\xef\xbb\xbfn,s\n1,a\n", 0),
    "20 GB of one text in a dictionary": (contract("{name: n, logicalType: string}"), "parquet", dictionary_bomb, 0),
    "200 million nulls": (
        contract(COLUMN),
        "parquet",
        lambda: parquet(pa.nulls(200_000_000, pa.int64()), compression="zstd"),
        0,
    ),
    "100 columns with a costly pattern each": (
        contract(*(json.dumps(costly(f"c{at}", rf"\p{{L}}{{{at + 1}}}")) for at in range(100))),
        "csv",
        hundred_columns,
        1,
    ),
    "a number of 100,000 digits": (GOOD, "csv", lambda: b"n,s\n" + b"9" * 100_000 + b",a\n", 1),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_is_hard_but_not_wrong_is_judged(name: str, tmp_path: Path, check: Check) -> None:
    text, suffix, content, code = JUDGED[name]
    data = tmp_path / f"data.{suffix}"
    data.write_bytes(content())
    outcome = check(written(tmp_path, text), data)
    assert (outcome.code, outcome.err) == (code, "")
