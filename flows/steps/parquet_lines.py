"""Run as a program: a Parquet file comes in by a pipe, the values of its only column leave by another, as lines.

It is for a file from anyone, whose pages can claim any size: memory and time are limited by the system, and whoever
started it only sees it end. What is not nine digits leaves as `?`, so that lines keep their numbers. Before the file
come four bytes of length and that many bytes of JSON: the names that the column may have, and the most rows. It imports
nothing of ours, writes nothing but the lines, and ends with 0 only if they are all.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import BinaryIO

WRONG_COLUMNS, NOT_TEXT, TOO_MANY = 3, 4, 5
REASONS = {
    WRONG_COLUMNS: "the list must have exactly one column, named as the agreement says or bsn",
    NOT_TEXT: "the column of the list must be text of nine digits: numbers lose their leading zeros",
    TOO_MANY: "the list has more rows than the agreement's maximum",
}
MEMORY_BYTES = 768 * 1024 * 1024  # the file, one batch, and Arrow with its threads' stacks
_SECONDS = 300
_ROWS = 65_536
_PREFIX = 4  # bytes, as in `keys.openpgp.process`


def main(given: BinaryIO, told: BinaryIO) -> int:
    """The exit code; an exception if the file cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 - after the limits
    import pyarrow.parquet as pq  # noqa: PLC0415

    task = json.loads(given.read(int.from_bytes(given.read(_PREFIX))))
    content = given.read()
    opened = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True, pre_buffer=False)
    schema, rows = opened.schema_arrow, opened.metadata.num_rows
    names = [field.name for field in schema]
    if len(names) != 1 or names[0].lower() not in {name.lower() for name in task["columns"]}:
        return WRONG_COLUMNS
    kind = schema[0].type.value_type if pa.types.is_dictionary(schema[0].type) else schema[0].type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return NOT_TEXT
    if rows > task["maximum"]:
        return TOO_MANY
    told.write(b"bsn\n")
    for batch in opened.iter_batches(batch_size=_ROWS, use_threads=False):
        _tell(batch.column(0), told)
        rows -= batch.num_rows
    told.flush()
    return 0 if rows == 0 else 1


def _tell(column: object, told: BinaryIO) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    assert isinstance(column, pa.Array)
    column.validate(full=True)
    values = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
    fine = pc.fill_null(pc.match_substring_regex(values, "^[0-9]{9}$"), fill_value=False)
    lines = pc.if_else(fine, values, pa.scalar("?", values.type)).cast(pa.string())
    joined = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")
    told.write(joined[0].as_buffer())
    told.write(b"\n")


def limit() -> None:
    """No more memory and time than this, whatever the file says."""
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve address space ahead
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the file
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    try:
        limit()
        code = main(sys.stdin.buffer, sys.stdout.buffer)
    except BaseException:  # noqa: BLE001 - a trace could hold what nobody should read; the parent says what failed
        code = 1
    sys.stdout.close()
    os._exit(code)  # without what a library does at the end: nothing of it matters here
