"""`gla deliver` against `duckdb COPY | age | sftp put`, on the same source, to the same OpenSSH server."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
GROWN = 4  # times as many rows, for the growth of memory
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


@dataclass
class Bench:
    """One agreement over `source`, delivered in `file_format` to an OpenSSH server of its own."""

    work: Path
    source: Path
    file_format: str

    def __post_init__(self) -> None:
        name = f"{self.source.stem}-{self.file_format}"
        self.folder = self.work / f"sshd-{name}"
        self.folder.mkdir()
        self.home = self.work / f"home-{name}"
        self.sshd = start_openssh("/usr/sbin/sshd", self.folder)
        self.services = open_services(Settings(home=self.home, database_url=None))
        self.services.sources.add(PRODUCT, str(self.source))
        self.services.destinations.add_sftp(
            "bench", f"sftp://{self.sshd.user}@127.0.0.1:{self.sshd.port}{self.sshd.root}", self.sshd.host_key,
            self.sshd.user_key,
        )  # fmt: skip
        _agree(self.services, self.file_format)

    def ours(self, _number: int = 0) -> tuple[float, float]:
        """A delivery; each after the first is a new edition, which changes nothing in the work."""
        again = self.services.ledger.latest_edition("GLA-BENCH", Period.parse(PERIOD))
        mode = ["--mode", "correct", "--reason", "measurement"] if again else []
        command = [*run.GLA, "deliver", "GLA-BENCH", PERIOD, *mode]
        return run.timed(command, {**run.ENVIRONMENT, "GLA_HOME": str(self.home)})

    def shell(self, _number: int) -> tuple[float, float]:
        """DuckDB, age and OpenSSH. Debian's age cannot read hybrid recipients, so this is X25519; ours seals hybrid."""
        x25519 = str(generate_identity("x25519").recipient)
        form = "FORMAT parquet" if self.file_format == "parquet" else "FORMAT csv"
        (self.folder / "copy.sql").write_text(
            f"COPY (SELECT {', '.join(COLUMNS)} FROM '{self.source}' WHERE datum_aanvang_tijdvak >= DATE '2026-01-01' "
            f"AND datum_aanvang_tijdvak < DATE '2026-06-01') TO '{self.folder}/plain' ({form}, COMPRESSION zstd)"
        )
        script = self.folder / "shell.sh"
        script.write_text(
            f"set -e\n{sys.executable} -c \"import duckdb; duckdb.sql(open('{self.folder}/copy.sql').read())\"\n"
            f"age -r {x25519} -o {self.folder}/sealed.age {self.folder}/plain\n"
            f"{sftp_put(self.sshd, self.folder / 'sealed.age')}\nrm {self.folder}/plain {self.folder}/sealed.age\n"
        )
        return run.timed(["bash", str(script)], run.ENVIRONMENT)

    def naive(self, _number: int) -> tuple[float, float]:
        """pandas, pandera, gpg and paramiko, see bench/naive.py."""
        gnupg = self.folder / "gnupg"
        if not gnupg.exists():
            gnupg.mkdir(mode=0o700)
            made = [
                "gpg",
                "--homedir",
                str(gnupg),
                "--batch",
                "--passphrase",
                "",
                "--quick-gen-key",
                "bench",
                "rsa3072",
            ]
            subprocess.run([*made, "encr", "never"], check=True, capture_output=True)
        words = [self.source, self.folder, gnupg, "bench", self.sshd.port, self.sshd.user, self.sshd.user_key]
        python = run.ROOT / ".venv-bench" / "bin" / "python"
        command = [str(python), str(run.ROOT / "bench" / "naive.py"), *map(str, words), str(self.sshd.root)]
        return run.timed(command, run.ENVIRONMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sshd.stop()


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
    source, grown_source = work / "source.parquet", work / "large.parquet"
    run.generated(PRODUCT, source, ROWS)
    with Bench(work, source, "parquet") as bench:
        parquet = run.pairs(bench.ours, bench.shell)
        naive = run.pairs(bench.ours, bench.naive, count=1)
        delivery = bench.services.ledger.get("GLA-BENCH", Period.parse(PERIOD), 1)
        run.generated(PRODUCT, grown_source, GROWN * ROWS)
        with Bench(work, grown_source, "parquet") as grown:
            large = run.pairs(grown.ours, grown.shell)
            memory = [(bench.ours()[1], grown.ours()[1]) for _ in range(run.PAIRS)]
    with Bench(work, source, "csv.zst") as bench:
        csv = run.pairs(bench.ours, bench.shell)
    return {
        "deliver_vs_shell": parquet["ratio"],
        "deliver_vs_shell_csv": csv["ratio"],
        "deliver_vs_shell_large": large["ratio"],
        "deliver_vs_naive": naive["ratio"],
        "deliver_seconds": parquet["ours"],
        "deliver_csv_seconds": csv["ours"],
        "shell_seconds": parquet["theirs"],
        "shell_csv_seconds": csv["theirs"],
        "naive_seconds": naive["theirs"],
        "deliver_peak_rss_mb": max(parquet["rss"], csv["rss"]),
        "deliver_rss_growth": statistics.median(most / least for least, most in memory),
        "deliver_large_rss_mb": max(most for _, most in memory),
        "delivered_mb": (delivery.bytes or 0) / 1e6,
        "deliver_rows_per_s": (delivery.rows or 0) / parquet["ours"],
    }
