"""What the name of a participants file says, and the documents that tell what became of one."""

from __future__ import annotations

from datetime import date

import pytest

from core.errors import UnusableInput
from schemas.participants import FileName, Finding, ParticipantSet, ParticipantsReport

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("name", "says"),
    {
        "deelnemers.csv.age": ("full", None, "csv"),
        "participants.parquet.age": ("full", None, "parquet"),
        "deelnemers-maart_2026.csv.age": ("full", None, "csv"),
        "deelnemers.full.csv.age": ("full", None, "csv"),
        "deelnemers-3.additions.csv.age": ("additions", None, "csv"),
        "deelnemers.removals.2026-12-01.parquet.age": ("removals", date(2026, 12, 1), "parquet"),
        "deelnemers.2026-12-01.csv.age": ("full", date(2026, 12, 1), "csv"),
        "deelnemers-additions.csv.age": ("full", None, "csv"),  # what follows the hyphen is a label
    }.items(),
)
def test_a_name_says_what_the_file_is(name, says):
    assert FileName.parse(name) == FileName(*says)


@pytest.mark.parametrize(
    "name",
    [
        "", "lijst.csv.age", "deelnemers", "deelnemers.age", "deelnemers.csv", "deelnemers.csv.pgp",
        "Deelnemers.csv.age", "deelnemers.xlsx.age", "deelnemers.aditions.csv.age", "deelnemers.Full.csv.age",
        "deelnemers.csv.age.age",
        "deelnemers.additions.removals.csv.age", "deelnemers.2026-12-01.additions.csv.age", "deelnemers.csv.age\n",
        "deelnemers.2026-02-30.csv.age", "deelnemers.20261201.csv.age", "deelnemers.\u0662026-12-01.csv.age",
        "deelnemers-.csv.age", "deelnemers-a.b.csv.age", "deelnemers-é.csv.age", "../deelnemers.csv.age",
        f"deelnemers-{'x' * 101}.csv.age",
    ],
)  # fmt: skip
def test_a_name_that_says_something_else_is_refused(name):
    with pytest.raises(UnusableInput, match=r"must be deelnemers\[-LABEL\]") as caught:
        FileName.parse(name)
    assert caught.value.__context__ is None


def made(**changes) -> ParticipantSet:
    values = {
        "number": 1, "kind": "full", "effective": "2026-04-05", "people": 2, "added": 2, "removed": 0, "unchanged": 0,
        "base": 0, "withdrawn": (), "digest": DIGEST, "checksum": DIGEST,
    }  # fmt: skip
    return ParticipantSet(**(values | changes))


def test_a_report_is_read_as_it_was_written():
    report = ParticipantsReport(
        agreement="GLA-1", agreement_digest=DIGEST, recipient="fonds", file="deelnemers.csv.age", size=300,
        checksum=DIGEST, signer=None, received="2026-04-05T12:00:00.000Z", outcome="accepted", reason="", lines=2,
        findings=(Finding(rule="bsn", count=1, lines=(3,)),), participants=made(withdrawn=(2, 3)),
    )  # fmt: skip
    assert ParticipantsReport.from_bytes(report.to_bytes()) == report
    assert b'"agreementDigest"' in report.to_bytes()
    assert report.participants.first_day == date(2026, 4, 5)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"number": 0}', b"\xff"])
def test_a_damaged_document_is_refused_without_its_values(damage):
    with pytest.raises(UnusableInput, match="participants document"):
        ParticipantSet.from_bytes(damage)


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (Finding(rule="bsn", count=2, lines=(3, 5)), "no valid BSN of nine digits: 2 (line 3, 5)"),
        (Finding(rule="duplicate", count=12, lines=(3,)), "the same BSN again: 12 (line 3, ...)"),
        (Finding(rule="empty", count=1, lines=()), "no line but the header: 1"),
    ],
)
def test_a_finding_is_told_in_words(finding, words):
    assert str(finding) == words
