"""What a team writes first: pandas, pandera, gpg and paramiko. Runs in an environment of its own, see `make bench`.

Arguments: the source, the folder for its files, the GnuPG home and key, and port, user, key and folder of the server.
The host key is not checked and nothing is signed, recorded or read back.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pandas as pd
import pandera.pandas as pa
import paramiko

COLUMNS = [
    "bsn", "loonheffingennummer", "nummer_ikv", "code_soort_ikv",
    "datum_aanvang_tijdvak", "datum_einde_tijdvak", "aantal_verloonde_uren", "sv_loon",
]  # fmt: skip
SORTS = [str(code) for code in range(11, 64)]
KEY = ["loonheffingennummer", "bsn", "nummer_ikv", "datum_aanvang_tijdvak"]


def eleven(texts: pd.Series) -> pd.Series:
    digits = texts.str[:9]
    total = sum(weight * digits.str[at].astype(int) for at, weight in enumerate((9, 8, 7, 6, 5, 4, 3, 2, -1)))
    return total % 11 == 0


SCHEMA = pa.DataFrameSchema(
    {
        "bsn": pa.Column(str, [pa.Check.str_matches("^[0-9]{9}$"), pa.Check(eleven)]),
        "loonheffingennummer": pa.Column(str, [pa.Check.str_matches("^[0-9]{9}L[0-9]{2}$"), pa.Check(eleven)]),
        "nummer_ikv": pa.Column(int, pa.Check.in_range(0, 9999)),
        "code_soort_ikv": pa.Column(str, pa.Check.isin(SORTS)),
        "datum_aanvang_tijdvak": pa.Column(object, pa.Check.ge(date(2006, 1, 1))),
        "datum_einde_tijdvak": pa.Column(object, pa.Check.ge(date(2006, 1, 1))),
        "aantal_verloonde_uren": pa.Column(int, pa.Check.in_range(-99999, 99999)),
        "sv_loon": pa.Column(int),
    },
    checks=pa.Check(lambda frame: frame["datum_einde_tijdvak"] >= frame["datum_aanvang_tijdvak"]),
    unique=KEY,
    strict=True,
)


def main() -> None:
    source, work, gnupg, recipient, port, user, key, root = sys.argv[1:]
    bounds = [("datum_aanvang_tijdvak", ">=", date(2026, 1, 1)), ("datum_aanvang_tijdvak", "<", date(2026, 6, 1))]
    frame = SCHEMA.validate(pd.read_parquet(source, columns=COLUMNS, filters=bounds), lazy=True)
    frame.to_parquet(f"{work}/naive.parquet", compression="zstd")
    encrypt = ["gpg", "--homedir", gnupg, "--batch", "--yes", "--trust-model", "always", "--encrypt", "-r", recipient]
    subprocess.run([*encrypt, "-o", f"{work}/naive.gpg", f"{work}/naive.parquet"], check=True)
    transport = paramiko.Transport(("127.0.0.1", int(port)))
    transport.connect(username=user, pkey=paramiko.Ed25519Key.from_private_key_file(key))
    client = paramiko.SFTPClient.from_transport(transport)
    if client is None:
        raise SystemExit("no SFTP")
    client.put(f"{work}/naive.gpg", f"{root}/naive.gpg")
    transport.close()


if __name__ == "__main__":
    main()
