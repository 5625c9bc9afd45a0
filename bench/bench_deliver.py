"""`gla deliver` against `duckdb COPY | age | sftp put`, on the same source, to the same OpenSSH server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import run
import yaml

from core.period import Period
from core.settings import Settings
from flows.sources.synthetic import generate_inkomstenverhoudingen
from flows.steps import lifecycle
from flows.steps.draft import as_yaml, draft
from flows.steps.recipients import register
from flows.wiring import Services, open_services
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from keys.sshsig import Namespace

ROWS = int(os.environ.get("GLA_BENCH_ROWS", "20000000"))
PRODUCT = "inkomstenverhoudingen"
COLUMNS = (
    "bsn", "loonheffingennummer", "nummer_ikv", "code_soort_ikv",
    "datum_aanvang_tijdvak", "datum_einde_tijdvak", "aantal_verloonde_uren", "sv_loon",
)  # fmt: skip
PERIOD = "2026-01-01--2026-05-31"  # 5 of 12 months: 42 % of the rows
_SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
"""


class Sshd:
    """A real OpenSSH server as an ordinary user; both sides send to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (folder / "config").write_text(_SSHD.format(port=self.port, folder=folder))
        self.root = folder / "root"
        self.root.mkdir()
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL
        )
        time.sleep(1)

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    def sftp_put(self, source: Path) -> str:
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        options = f"-oUserKnownHostsFile={self.folder}/known -oIdentityFile={self.folder}/user -oIdentitiesOnly=yes"
        target = f"{os.environ.get('USER', 'root')}@127.0.0.1:{self.root}"
        return f"echo 'put {source}' | sftp -q -b - -P {self.port} {options} {target}"


def run_sides(work: Path, file_format: str) -> dict[str, float]:
    """Both pipelines in turn; each delivery of ours is a new edition, which changes nothing in the work."""
    source = work / "source.parquet"
    if not source.exists():
        generate_inkomstenverhoudingen(source, ROWS, 1)
    sshd = Sshd(work / f"sshd-{file_format}")
    services = open_services(Settings(home=work / f"home-{file_format}", database_url=None))
    services.sources.add(PRODUCT, str(source))
    services.destinations.add_sftp(
        "bench", f"sftp://{os.environ.get('USER', 'root')}@127.0.0.1:{sshd.port}{sshd.root}", sshd.host_key,
        sshd.folder / "user",
    )  # fmt: skip
    _agree(services, file_format)

    def ours(number: int) -> tuple[float, float]:
        mode = ["--mode", "correct", "--reason", "measurement"] if number else []
        command = [sys.executable, "-m", "apps.cli.main", "deliver", "GLA-BENCH", PERIOD, *mode]
        return run.timed(command, {**os.environ, "GLA_HOME": str(work / f"home-{file_format}")})

    x25519 = str(generate_identity("x25519").recipient)  # Debian's age cannot read hybrid recipients; ours seals hybrid
    statement = (
        f"COPY (SELECT {', '.join(COLUMNS)} FROM '{source}' WHERE datum_aanvang_tijdvak >= DATE '2026-01-01' "
        f"AND datum_aanvang_tijdvak < DATE '2026-06-01') TO '{work}/plain' "
        + ("(FORMAT parquet, COMPRESSION zstd)" if file_format == "parquet" else "(FORMAT csv, COMPRESSION zstd)")
    )
    shell = work / "shell.sh"
    shell.write_text(
        f"set -e\n{sys.executable} -c \"import duckdb; duckdb.sql(open('{work}/copy.sql').read())\"\n"
        f"age -r {x25519} -o {work}/sealed.age {work}/plain\n{sshd.sftp_put(work / 'sealed.age')}\n"
        f"rm {work}/plain {work}/sealed.age\n"
    )
    (work / "copy.sql").write_text(statement)

    def theirs(_number: int) -> tuple[float, float]:
        return run.timed(["bash", str(shell)], dict(os.environ))

    try:
        measured = run.pairs(ours, theirs)
    finally:
        sshd.process.terminate()
        sshd.process.wait()
    delivery = services.ledger.get("GLA-BENCH", Period.parse(PERIOD), 1)
    return measured | {"rows": delivery.rows or 0, "mb": (delivery.bytes or 0) / 1e6}


def _agree(services: Services, file_format: str) -> None:
    identity, signer = generate_identity("hybrid"), Signer.generate()
    register(services, "bench", "90000102", [str(identity.recipient)], [signer.public_key.line])
    document = draft(services, "GLA-BENCH", PRODUCT, "bench", COLUMNS, "datum_aanvang_tijdvak")
    product = yaml.safe_load((resources.files("schemas") / "products" / f"{PRODUCT}.odcs.yaml").read_text())
    table = product["schema"][0]
    table["properties"] = [item for item in table["properties"] if item["name"] in COLUMNS]
    document["schema"] = [table]
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
