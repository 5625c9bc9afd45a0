"""`gla contract lint`, `export` and `diff` as others call them: output, files and exit codes."""

import json

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from apps.cli.contract import contract
from core.canonical import digest
from core.errors import UnusableInput
from schemas.contract import read_contract

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
name: Test
description: {purpose: to test, usage: once}
schema:
  - name: t
    description: One row per code.
    properties:
      - name: code
        description: Which.
        classification: public
        logicalType: string
        primaryKey: true
        logicalTypeOptions: {maxLength: 3}
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.yaml").write_text(CONTRACT)
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(contract, list(map(str, arguments)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_lint_of_a_good_contract_is_quiet_and_exits_with_0(files):
    assert run("lint", files / "a.yaml") == (0, "0 errors, 0 pieces of advice\n")


def test_lint_tells_file_line_and_place_and_exits_with_1(files):
    (files / "a.yaml").write_text(CONTRACT.replace("logicalType: string", "logicalType: text"))
    code, output = run("lint", files / "a.yaml")
    assert code == 1
    assert output.startswith(f"{files}/a.yaml:14: error: must be string or date or ")
    assert "($.schema[0].properties[0].logicalType)" in output
    code, output = run("lint", files / "a.yaml", "--json")
    told = json.loads(output)
    assert (code, told["valid"], told["findings"][0]["line"]) == (1, False, 14)


def test_advice_alone_exits_with_0(files):
    (files / "a.yaml").write_text(CONTRACT.replace("        classification: public\n", ""))
    code, output = run("lint", files / "a.yaml")
    assert (code, output.splitlines()[-1]) == (0, "0 errors, 1 piece of advice")


@pytest.mark.parametrize("arguments", [("lint", "none"), ("export", "none", "--to", "odcs"), ("diff", "none", "none")])
def test_a_file_that_cannot_be_read_is_unusable_input(files, arguments):
    with pytest.raises(UnusableInput, match="the contract file none cannot be read"):
        run(*arguments)


def test_export_to_odcs_is_the_same_document_in_yaml_or_json(files):
    wanted = digest(read_contract(CONTRACT.encode()))
    code, output = run("export", files / "a.yaml", "--to", "odcs")
    assert (code, digest(read_contract(output.encode()))) == (0, wanted)
    run("export", files / "a.yaml", "--to", "odcs", "--out", files / "b.json")
    assert (files / "b.json").read_bytes().startswith(b'{"apiVersion":')
    assert digest(read_contract((files / "b.json").read_bytes())) == wanted
    assert run("diff", files / "a.yaml", files / "b.json") == (0, "no difference\n")


def test_export_to_the_other_forms(files):
    schema = json.loads(run("export", files / "a.yaml", "--to", "json-schema")[1])
    assert Draft202012Validator(schema).is_valid({"code": "abc"})
    assert not Draft202012Validator(schema).is_valid({"code": "abcd"})
    run("export", files / "a.yaml", "--to", "html", "-o", files / "a.html")
    assert (files / "a.html").read_text().startswith('<!DOCTYPE html>\n<html lang="nl">')
    assert run("export", files / "a.yaml", "--to", "markdown")[1].startswith("# Test\n")


def test_only_what_is_understood_is_exported_and_a_folder_must_exist(files):
    with pytest.raises(UnusableInput, match="the page cannot be written"):
        run("export", files / "a.yaml", "--to", "html", "-o", files / "none" / "a.html")
    (files / "a.yaml").write_text(CONTRACT.replace("maxLength: 3", "format: nonsense"))
    with pytest.raises(UnusableInput, match="string format"):
        run("export", files / "a.yaml", "--to", "html")


def test_diff_tells_each_change_and_exits_with_1(files):
    (files / "b.yaml").write_text(CONTRACT.replace("maxLength: 3", "maxLength: 4").replace("name: Test", "name: Toets"))
    code, output = run("diff", files / "a.yaml", files / "b.yaml")
    assert code == 1
    assert output.splitlines()[0].startswith("breaking: schema.t.code.logicalTypeOptions.maxLength: ")
    assert output.splitlines()[1] == "editorial: name: name changed"
    assert "No new request is needed" in output


def test_diff_says_when_a_new_request_is_needed(files):
    (files / "b.yaml").write_text(CONTRACT.replace("purpose: to test", "purpose: to sell"))
    code, output = run("diff", files / "a.yaml", files / "b.yaml")
    assert code == 1
    assert "[new request]" in output
    assert output.splitlines()[-1].startswith("Nieuwe aanvraag: ")
    told = json.loads(run("diff", files / "a.yaml", files / "b.yaml", "--json")[1])
    assert (told["same"], told["newRequest"], told["changes"][0]["path"]) == (False, True, "description.purpose")
