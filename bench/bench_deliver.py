"""`gla deliver` against `duckdb COPY | age | sftp put`, on the same source, to the same OpenSSH server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import run

from core.period import Period
from core.settings import Settings
from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from flows.wiring import Services, open_services
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import register_proven
from tests.servers.openssh import OpenSshServer, start_openssh

ROWS = int(os.environ.get("GLA_BENCH_ROWS", "20000000"))
PRODUCT = "inkomstenverhoudingen"
COLUMNS = (
    "bsn", "loonheffingennummer", "nummer_ikv", "code_soort_ikv",
    "datum_aanvang_tijdvak", "datum_einde_tijdvak", "aantal_verloonde_uren", "sv_loon",
)  # fmt: skip
PERIOD = "2026-01-01--2026-05-31"  # 5 of 12 months: 42 % of the rows


def sftp_put(server: OpenSshServer, source: Path) -> str:
    """The shell line that sends a file to the server with OpenSSH's own client."""
    known = server.folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    options = f"-oUserKnownHostsFile={known} -oIdentityFile={server.user_key} -oIdentitiesOnly=yes"
    return f"echo 'put {source}' | sftp -q -b - -P {server.port} {options} {server.user}@127.0.0.1:{server.root}"


def run_sides(work: Path, file_format: str) -> dict[str, float]:
    """Both pipelines in turn; each delivery of ours is a new edition, which changes nothing in the work."""
    source = work / "source.parquet"
    if not source.exists():
        run.generated(PRODUCT, source, ROWS)
    folder = work / f"sshd-{file_format}"
    folder.mkdir()
    sshd = start_openssh("/usr/sbin/sshd", folder)
    services = open_services(Settings(home=work / f"home-{file_format}", database_url=None))
    services.sources.add(PRODUCT, str(source))
    services.destinations.add_sftp(
        "bench", f"sftp://{sshd.user}@127.0.0.1:{sshd.port}{sshd.root}", sshd.host_key, sshd.user_key
    )  # fmt: skip
    _agree(services, file_format)

    def ours(number: int) -> tuple[float, float]:
        mode = ["--mode", "correct", "--reason", "measurement"] if number else []
        command = [sys.executable, "-m", "apps.cli.main", "deliver", "GLA-BENCH", PERIOD, *mode]
        return run.timed(command, {**run.ENVIRONMENT, "GLA_HOME": str(work / f"home-{file_format}")})

    x25519 = str(generate_identity("x25519").recipient)  # Debian's age cannot read hybrid recipients; ours seals hybrid
    statement = (
        f"COPY (SELECT {', '.join(COLUMNS)} FROM '{source}' WHERE datum_aanvang_tijdvak >= DATE '2026-01-01' "
        f"AND datum_aanvang_tijdvak < DATE '2026-06-01') TO '{work}/plain' "
        + ("(FORMAT parquet, COMPRESSION zstd)" if file_format == "parquet" else "(FORMAT csv, COMPRESSION zstd)")
    )
    shell = work / "shell.sh"
    shell.write_text(
        f"set -e\n{sys.executable} -c \"import duckdb; duckdb.sql(open('{work}/copy.sql').read())\"\n"
        f"age -r {x25519} -o {work}/sealed.age {work}/plain\n{sftp_put(sshd, work / 'sealed.age')}\n"
        f"rm {work}/plain {work}/sealed.age\n"
    )
    (work / "copy.sql").write_text(statement)

    def theirs(_number: int) -> tuple[float, float]:
        return run.timed(["bash", str(shell)], run.ENVIRONMENT)

    try:
        measured = run.pairs(ours, theirs)
    finally:
        sshd.stop()
    delivery = services.ledger.get("GLA-BENCH", Period.parse(PERIOD), 1)
    return measured | {"rows": delivery.rows or 0, "mb": (delivery.bytes or 0) / 1e6}


def _agree(services: Services, file_format: str) -> None:
    identity, signer = generate_identity("hybrid"), Signer.generate()
    register_proven(services, "bench", "90000102", identity, signer)
    document = draft(services, "GLA-BENCH", PRODUCT, "bench", COLUMNS, "datum_aanvang_tijdvak", PRODUCT)
    changed = {"gla.destination": "bench", "gla.format": file_format}
    for item in document["customProperties"]:
        item["value"] = changed.get(item["property"], item["value"])
    agreement, _ = lifecycle.offer(services, as_yaml(document).encode(), "bench")
    lifecycle.accept(services, "GLA-BENCH", signer.sign(agreement.canonical, Namespace.AGREEMENT), "bench")
    lifecycle.activate(services, "GLA-BENCH", "bench")


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    parquet = run_sides(work, "parquet")
    return {
        "deliver_vs_shell": parquet["ratio"],
        "deliver_seconds": parquet["ours"],
        "shell_seconds": parquet["theirs"],
        "deliver_peak_rss_mb": parquet["rss"],
        "delivered_mb": parquet["mb"],
        "deliver_rows_per_s": parquet["rows"] / parquet["ours"],
    }
