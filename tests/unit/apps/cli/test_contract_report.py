"""`gla contract check` writes reports without values, and shows values on a terminal only."""

from __future__ import annotations

import json
import os
import pty
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.contract import contract
from core.errors import UnusableInput
from schemas.report import Report

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
dataProduct: lonen
customProperties:
  - {property: gla.sums, value: [loon]}
schema:
  - name: t
    properties:
      - {name: id, logicalType: integer, unique: true}
      - name: code
        logicalType: string
        logicalTypeOptions: {pattern: "^[A-Z]{2}$"}
        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [NL, BE]}}]
      - {name: loon, logicalType: integer}
      - {name: chef, logicalType: integer, relationships: [{to: t.id}]}
"""
DATED = """
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: dag, logicalType: date, customProperties: [{property: gla.rule, value: within-period}]}
"""
DATA = "id,code,loon,chef\n1,NL,4711,\n1,zz-kanarie,0,1\n3,BE,x-kanarie,77001\n,FR,12,3\n"
SECRETS = ("kanarie", "4711", "77001")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(CONTRACT)
    (tmp_path / "d.csv").write_text(DATA)
    return tmp_path


def check(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(contract, ["check", *map(str, arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.output


def on_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the real program on a pseudo-terminal; its exit code and all that was shown."""
    command = [sys.executable, "-m", "apps.cli.main", "contract", "check", *arguments]
    shown = bytearray()

    def keep(terminal: int) -> bytes:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how Linux tells that the program closed the terminal
            return b""
        shown.extend(data)
        return data

    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[4])
        os.chdir(folder)
        os.execv(command[0], command)
    while keep(terminal):
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.parametrize("form", ["json", "md", "html"])
def test_a_report_is_written_in_each_form_without_values(files, form):
    code, output = check(files / "c.yaml", files / "d.csv", "--report", files / f"r.{form}")
    text = (files / f"r.{form}").read_text(encoding="utf-8")
    assert code == 1
    assert "lonen" in text
    assert "invalidValues" in text
    assert not [secret for secret in SECRETS if secret in text + output]


def test_the_report_has_the_contracts_digest_presence_and_sums(files):
    rows = "".join(f"{number},NL,{number * 100},\n" for number in range(1, 21))
    (files / "d.csv").write_text("id,code,loon,chef\n" + rows)
    assert check(files / "c.yaml", files / "d.csv", "--report", files / "r.json")[0] == 0
    document = json.loads((files / "r.json").read_text())
    report = Report.from_json(document)
    assert report.valid
    assert report.sums == {"loon": 21_000}
    assert report.present == {"id": 20, "code": 20, "loon": 20, "chef": 0}
    assert len(document["contract"]["digest"]) == 64


def test_one_persons_sum_is_withheld(files, monkeypatch):
    monkeypatch.setattr("apps.cli.contract.utc_now", lambda: datetime(2026, 1, 1, tzinfo=UTC))  # no time looks like it
    (files / "d.csv").write_text("id,code,loon,chef\n1,NL,4711,\n")
    for form in ("json", "md", "html"):
        check(files / "c.yaml", files / "d.csv", "--report", files / f"r.{form}")
        assert "4711" not in (files / f"r.{form}").read_text().replace(".", "").replace(",", "")


def test_the_verdict_in_json_is_what_it_was(files):
    code, output = check(files / "c.yaml", files / "d.csv", "--json", "--report", files / "r.md")
    assert code == 1
    assert set(json.loads(output)) == {"valid", "rows", "failures"}


def test_a_csv_file_without_a_header_line_shows_no_person(files):
    (files / "d.csv").write_text("111222333,kanarie,4711,77001\n111222333,kanarie,4711,77001\n")
    for form in ("json", "md", "html"):
        code, output = check(files / "c.yaml", files / "d.csv", "--report", files / f"r.{form}")
        text = output + (files / f"r.{form}").read_text()
        assert code == 1
        assert "columnNotAgreed" in text
        assert not [secret for secret in (*SECRETS, "111222333") if secret in text]


def test_another_kind_of_file_is_refused_before_anything_is_read(files):
    with pytest.raises(UnusableInput, match=r"\.json, \.md"):
        check(files / "absent.yaml", files / "d.csv", "--report", files / "r.pdf")


def test_a_report_that_cannot_be_written_is_one_sentence(files):
    with pytest.raises(UnusableInput, match="cannot be written"):
        check(files / "c.yaml", files / "d.csv", "--report", files / "absent" / "r.md")


def test_rules_about_the_period_are_judged_with_it_and_ask_for_it(files):
    (files / "c.yaml").write_text(DATED)
    (files / "d.csv").write_text("dag\n2026-03-31\n2026-04-01\n")
    code, output = check(files / "c.yaml", files / "d.csv", "--period", "2026-03", "--json")
    assert code == 1
    assert json.loads(output)["failures"] == [{"column": "dag", "rule": "within-period", "count": 1}]
    check(files / "c.yaml", files / "d.csv", "--period", "2026-03", "--report", files / "r.json")
    assert json.loads((files / "r.json").read_text())["period"] == "2026-03"
    with pytest.raises(UnusableInput, match="period"):
        check(files / "c.yaml", files / "d.csv")
    with pytest.raises(UnusableInput):
        check(files / "c.yaml", files / "d.csv", "--period", "march")


def test_values_are_never_shown_in_a_pipe_or_as_json(files):
    with pytest.raises(UnusableInput, match="terminal"):
        check(files / "c.yaml", files / "d.csv", "--show-values")
    assert CliRunner().invoke(contract, ["check", "c", "d", "--json", "--show-values"]).exit_code == 2


def test_an_operator_sees_the_values_on_the_terminal_after_a_warning(files):
    code, shown = on_a_terminal(files, "c.yaml", "d.csv", "--show-values", "--report", "r.html")
    assert code == 1
    warning = shown.index("personal data")
    for value in (
        "column code, rule pattern\r\n    row 2: zz-kanarie",
        "column loon, rule logicalType\r\n    row 3: x-kanarie",
        "column id, rule unique\r\n    row 1, 2: 1",
        "column code, rule invalidValues\r\n    row 2: zz-kanarie\r\n    row 4: FR",
        "row 3: 77001",
    ):
        assert shown.index(value) > warning
    assert not [secret for secret in SECRETS if secret in (files / "r.html").read_text()]


def test_without_the_option_a_terminal_shows_no_value(files):
    code, shown = on_a_terminal(files, "c.yaml", "d.csv")
    assert code == 1
    assert "INVALID" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_values_of_a_parquet_file_and_names_of_extra_columns(files):
    frame = pl.DataFrame(
        {
            "id": [5, *range(10, 30), 5],
            "code": ["NL"] * 21 + ["q\x1b[31m"],
            "loon": ["tekst"] * 22,
            "chef": pl.Series([None] * 22, dtype=pl.Int64),
            "geheim": [0] * 22,
        }
    )
    frame.write_parquet(files / "d.parquet")
    code, shown = on_a_terminal(files, "c.yaml", "d.parquet", "--show-values")
    assert code == 1
    assert "row 1, 22: 5" in shown
    assert "row 22: q\N{REPLACEMENT CHARACTER}[31m" in shown
    assert shown.count(": tekst") == 10
    assert "    geheim\r\n" in shown
