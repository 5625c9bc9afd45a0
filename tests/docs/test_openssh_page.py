"""docs/openssh.md says of programs and servers what the tests show, and names settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

from core.settings import DropzoneSettings, Settings
from tests.e2e import clients, test_clients_s3

PAGE = (Path(__file__).parents[2] / "docs" / "openssh.md").read_text()


def rows(header: str) -> list[list[str]]:
    table = PAGE[PAGE.index(header) :].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_every_program_of_the_tests_is_in_the_table_and_no_other():
    table = rows("| program | our zone")
    assert [row[0] for row in table] == [client.name for client in clients.CLIENTS]
    for row, client in zip(table, clients.CLIENTS, strict=True):
        assert row[1:3] == ["yes", "yes"]
        assert row[3].startswith("goes on by itself") is client.alone


def test_every_program_for_s3_is_in_the_table_and_no_other():
    table = rows("| program | S3")
    assert [row[0] for row in table] == list(test_clients_s3.CLIENTS)
    for row in table:
        assert row[2].startswith("goes on by itself") is test_clients_s3.CLIENTS[row[0]][1]


def test_the_settings_that_are_named_are_there():
    names = re.findall(r"`([A-Z_]+)`", PAGE[PAGE.index("GLA_DROPZONE__...") :].splitlines()[0])
    assert len(names) > 5
    assert {name.lower() for name in names} <= set(DropzoneSettings.model_fields)
    assert str(Settings().openssh.chroots) in PAGE
