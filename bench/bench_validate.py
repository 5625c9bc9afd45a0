"""Our validation of a stream against Polars expressions that a good engineer writes by hand for the same rules.

Both read the same Parquet file batch by batch, each in a process of its own; timed is from opening the file to the
verdict, without the start of Python and imports. Ours compiles the contract, proves itself, judges through pandera,
names rows and stays in bounded memory; by hand all conditions of a batch are one query, and hashes of the key wait in
memory to be sorted in the end. A second measurement has more whole-delivery rules, on 10 and 40 million rows.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import run
import yaml

from core.native import DEFAULTS
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import planned_columns
from keys.scratch import SealedScratch
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.products import product_contract
from schemas.validation import Validator
from schemas.verdict import Verdict

PRODUCT = "inkomstenverhoudingen"
ROWS = int(os.environ.get("GLA_BENCH_VALIDATED_ROWS", "10000000"))
GROWN = 4  # times as many rows, for the growth of memory
KEY = ["loonheffingennummer", "bsn", "nummer_ikv", "datum_aanvang_tijdvak"]


def judged(path: Path, contract: bytes) -> Verdict:
    """As a delivery does, from a registered source."""
    compiled = compile_table(load_contract(contract).table)
    source = FileSource("bench", path)
    with SealedScratch(path.parent) as scratch:
        validator = Validator(compiled, scratch=scratch)
        for frame in source.batches(ExtractionPlan(planned_columns(compiled)), validator.unreadable):
            validator.check(frame)
        return validator.finish()


def stricter_contract() -> bytes:
    """The product with every kind of rule about the whole delivery. The reference and the total can not hold."""
    document = yaml.safe_load(product_contract(PRODUCT))
    table = document["schema"][0]
    columns = {each["name"]: each for each in table["properties"]}
    columns["bsn"]["quality"] = [{"metric": "duplicateValues", "mustBeLessThan": 100, "unit": "percent"}]
    columns["datum_einde_ikv"]["quality"] = [{"metric": "nullValues", "mustBeGreaterThan": 50, "unit": "percent"}]
    total = {"rule": "sum-equals", "columns": ["sv_loon"], "over": "delivery"}
    columns["loon_lb_ph"]["customProperties"] = [{"property": "gla.rule", "value": total}]
    table["relationships"] = [
        {
            "from": [f"{table['name']}.{name}" for name in (*KEY[:3], "datum_einde_tijdvak")],
            "to": [f"{table['name']}.{name}" for name in KEY],
        }
    ]
    return yaml.safe_dump(document).encode()


def remainders(weights: list[int]) -> pl.Series:
    sums = [0]
    for weight in weights:
        sums = [(total + digit * weight) % 11 for total in sums for digit in range(10)]
    return pl.Series(sums, dtype=pl.UInt8)


def by_hand() -> dict[str, pl.Expr]:
    """How often each rule of the product is broken in a batch."""
    c, high, low = pl.col, pl.lit(remainders([9, 8, 7, 6, 5])), pl.lit(remainders([4, 3, 2, -1]))
    codes = {
        each["name"]: [code["value"] for code in each["enum"]]
        for each in yaml.safe_load(product_contract(PRODUCT))["schema"][0]["properties"] if "enum" in each
    }  # fmt: skip

    def eleven(text: pl.Expr) -> pl.Expr:
        number = text.cast(pl.UInt32, strict=False)
        in_range = high.gather(number // 10_000) + low.gather(number % 10_000)
        return in_range.is_in([0, 11]) & (number != 0)

    def bad(holds: pl.Expr) -> pl.Expr:
        return (~holds).sum()

    employer = c.loonheffingennummer
    rules = {
        "bsn": bad(c.bsn.str.contains("^[0-9]{9}$") & eleven(c.bsn)),
        "lhn": bad(employer.str.contains("^[0-9]{9}L[0-9]{2}$") & eleven(employer.str.slice(0, 9))),
        "ikv": bad(c.nummer_ikv.is_between(0, 9999)),
        "soort": bad(c.code_soort_ikv.is_in(codes["code_soort_ikv"])),
        "aard": bad(c.code_aard_arbeidsverhouding.is_in(codes["code_aard_arbeidsverhouding"])),
        "aanvang": bad(c.datum_aanvang_ikv >= date(1900, 1, 1)),
        "einde": bad(c.datum_einde_ikv >= date(1900, 1, 1)),
        "einde na aanvang": bad(c.datum_einde_ikv >= c.datum_aanvang_ikv),
        "einde na tijdvak": bad(c.datum_einde_ikv >= c.datum_aanvang_tijdvak),
        "tijdvak": bad(c.datum_aanvang_tijdvak >= date(2006, 1, 1)),
        "tijdvak einde": bad(c.datum_einde_tijdvak >= date(2006, 1, 1)),
        "tijdvak einde na aanvang": bad(c.datum_einde_tijdvak >= c.datum_aanvang_tijdvak),
        "tijdvak einde na aanvang ikv": bad(c.datum_einde_tijdvak >= c.datum_aanvang_ikv),
        "uren": bad(c.aantal_verloonde_uren.is_between(-99999, 99999)),
    }
    required = [*KEY, "code_soort_ikv", "datum_aanvang_ikv", "datum_einde_tijdvak", "aantal_verloonde_uren",
                "sv_loon", "loon_lb_ph"]  # fmt: skip
    return rules | {f"{name} null": c(name).null_count() for name in required}


def judged_by_hand(path: Path) -> dict[str, int]:
    """The broken rules and their counts."""
    broken: Counter[str] = Counter()
    keys: list[pl.Series] = []
    rules = by_hand()
    for frame in pl.scan_parquet(path).collect_batches(maintain_order=False):
        broken.update(frame.lazy().select(**rules).collect().row(0, named=True))
        keys.append(frame.select(KEY).hash_rows())
    hashes = pl.concat(keys).to_numpy(writable=True)
    hashes.sort()
    broken["repeated"] = int(np.count_nonzero(hashes[1:] == hashes[:-1]))
    if len(hashes) == 0:
        broken["rows"] = 1
    return {name: count for name, count in broken.items() if count}


def side(name: str, path: Path) -> None:
    """What runs in a process of its own; writes its seconds."""
    started = time.perf_counter()
    if name == "hand":
        good = judged_by_hand(path) == {}
    elif name == "ours":
        good = judged(path, product_contract(PRODUCT)).valid
    else:
        verdict = judged(path, stricter_contract())
        good = [each.count for each in verdict.failures] == [1, verdict.rows]
    seconds = time.perf_counter() - started
    if not good:
        raise SystemExit(f"{name} has another verdict than expected")
    sys.stdout.write(json.dumps(seconds))


def measured(name: str, path: Path) -> tuple[float, float]:
    """Seconds that the side itself counted, and its peak resident memory in MB."""
    environment = run.ENVIRONMENT | (DEFAULTS if name != "hand" else {})  # as where our packages are imported first
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen([sys.executable, __file__, name, str(path)], stdout=output, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{name} failed")
        output.seek(0)
        return json.loads(output.read()), usage.ru_maxrss / 1024


def megabytes(name: str, path: Path) -> float:
    _, peak = measured(name, path)
    sys.stdout.write(f"  {path.stem} {peak:.0f} MB\n")
    sys.stdout.flush()
    return peak


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    small, large = work / "small.parquet", work / "large.parquet"
    run.generated(PRODUCT, small, ROWS)
    speed = run.pairs(lambda _: measured("ours", small), lambda _: measured("hand", small))
    run.generated(PRODUCT, large, GROWN * ROWS)
    memory = [(megabytes("stricter", small), megabytes("stricter", large)) for _ in range(run.PAIRS)]
    return {
        "validate_rows_per_s_vs_raw": 1 / speed["ratio"],
        "validate_rows_per_s": ROWS / speed["ours"],
        "validate_peak_rss_mb": speed["rss"],
        "validate_rss_growth": statistics.median(most / least for least, most in memory),
        "validate_whole_rules_rss_mb": statistics.median(most for _, most in memory),
    }


if __name__ == "__main__":
    side(sys.argv[1], Path(sys.argv[2]))
