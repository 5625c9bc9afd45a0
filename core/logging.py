"""Log to standard error, one line per record, UTC. Ids, counts and states; never a value from the data."""

from __future__ import annotations

import logging
import time

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def configure_logging(level: str) -> None:
    """Set up the root logger once; `level` is a name of the standard library, such as WARNING."""
    formatter = logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
    if level != "DEBUG":
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # a cut wire is one sentence of ours
