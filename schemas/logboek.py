"""A row of the Logboek Dataverwerkingen (Logius, version in development): one data processing about one person.

Fields and names are those of its chapter "Component: Logboek"; ids are hexadecimal, times milliseconds since 1970. The
person is named by `dpl.core.data_subject_id` as a number that is encrypted for this one delivery, so that rows of
different deliveries tell nothing together. No users are named, as the standard asks: those are in the ledger.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

_OK = 1  # STATUS_CODE_OK
_OPERATION_BYTES = 8


def logboek_row(*, trace: str, subject: str, activity: str, start: datetime, end: datetime) -> dict[str, Any]:
    """`trace` has 16 bytes in hexadecimal: the delivery. `activity` is the URI of the processing activity."""
    operation = hashlib.sha256(f"{trace} {subject}".encode()).hexdigest()[: 2 * _OPERATION_BYTES]
    return {
        "trace_id": trace,
        "operation_id": operation,
        "status_code": _OK,
        "name": "levering",
        "start_time": _milliseconds(start),
        "end_time": _milliseconds(end),
        "attributes": [
            {"key": "dpl.core.processing_activity_id", "value": activity},
            {"key": "dpl.core.data_subject_id", "value": subject},
            {"key": "dpl.core.data_subject_id_type", "value": "BSN"},
        ],
    }


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
