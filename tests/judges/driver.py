"""Asks `datacontract-cli` about contracts. Runs in the judge's own environment and knows nothing of ours.

    .venv-judge/bin/python driver.py < questions.json > answers.json

A question is {"ask": "test" | "lint", "contract": text of an ODCS document}; the answer to each is the list of its
checks. One process for all of them: the imports cost more than most questions. Nothing here may reach the network:
datacontract-cli sends nothing by itself, and what would try anyway (a definition by URL, an extension of DuckDB) fails.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import duckdb
from datacontract.data_contract import DataContract
from jsonschema import Draft201909Validator

KEPT = {"type", "model", "field", "name", "result", "reason", "diagnostics"}


def refuse_network(event: str, _: object) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise PermissionError("the judge may not use the network")


def check_each_schema_once() -> None:
    """It checks the JSON Schema of ODCS, which does not change, anew for every contract: four fifths of its time."""
    check, checked = Draft201909Validator.check_schema, []

    def check_once(schema, *arguments, **options) -> None:
        if schema not in checked:
            check(schema, *arguments, **options)
            checked.append(schema)

    Draft201909Validator.check_schema = check_once


def answer(question: dict[str, str]) -> list[dict[str, object]]:
    if question["ask"] == "lint":
        return checks(DataContract(data_contract_str=question["contract"], all_errors=True).lint())
    with duckdb.connect(config={"autoinstall_known_extensions": "false", "threads": 1}) as connection:
        return checks(DataContract(data_contract_str=question["contract"], duckdb_connection=connection).test())


def checks(run) -> list[dict[str, object]]:
    return [each.model_dump(mode="json", include=KEPT) for each in run.checks]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    questions = json.load(sys.stdin)
    sys.addaudithook(refuse_network)
    check_each_schema_once()
    json.dump([answer(each) for each in questions], sys.stdout, default=str)
