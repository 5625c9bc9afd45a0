"""What native libraries are told before they are loaded: they read it from the environment, once.

Polars' allocator (jemalloc) has four arenas for each core, each with freed pages of its own that a batch rarely finds
again; large blocks it gives back to the system at once. So every batch was written to new pages, which the system
first had to clear: 300,000 pages for a delivery of 8 million rows, a seventh of its processor time. With one arena
for every two cores, which keeps a freed page for a second, those pages are used again, and the peak is no higher.

Its Parquet reader decodes row groups far ahead, which costs memory and is not faster. numpy starts threads for linear
algebra, of which we do none; they wait for work by spinning. What an operator has set already stays.
"""

from __future__ import annotations

import os

_ARENAS = max(1, (os.cpu_count() or 1) // 2)

DEFAULTS = {
    "_RJEM_MALLOC_CONF": (
        f"narenas:{_ARENAS},tcache_max:4096,oversize_threshold:0,dirty_decay_ms:1000,muzzy_decay_ms:0"
    ),
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def set_defaults() -> None:
    """Set them for this process and its children; without effect on a library that is loaded already."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
