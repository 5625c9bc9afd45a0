"""What the commands say to people who agree, list keys and open: complete, to be copied, and with a next step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from apps.cli.agreement import agreement
from apps.cli.history import history
from apps.cli.receiving import trust_from_agreement
from apps.cli.recipient import recipient
from core.errors import UnusableInput
from flows.steps.draft import as_yaml
from tests.delivery_world import AGREEMENT, RECIPIENT, World


def run(world: World, command: click.Command, *arguments: str) -> Result:
    done = CliRunner().invoke(command, list(arguments), obj=world.services.settings, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_show_tells_what_a_signature_agrees_to(world):
    words = {"purpose": "pensions\x1b[2J", "usage": "[bold]only[/bold] once"}
    world.conclude(world.document() | {"description": words})
    shown = run(world, agreement, "show", AGREEMENT).stdout
    for told in ("pensions", "[bold]only[/bold] once", "day greaterOrEqualTo period.start", "day lessThan period.end",
                 "refused", "30 days", "every month, 3 days after it"):  # fmt: skip
        assert told in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("command", [("list",), ("show", AGREEMENT)])
@pytest.mark.parametrize("product", ["pay\x1b[2J\x1b]0;x", "pay[/x]", "pay[bold]"])
def test_the_name_of_a_product_controls_no_terminal(world, product: str, command: tuple[str, ...]):
    world.conclude(world.document() | {"dataProduct": product})
    shown = run(world, agreement, *command).stdout
    assert product.replace("\x1b", "\N{REPLACEMENT CHARACTER}") in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("condition", [
    {"column": "id", "operator": "in", "value": [1, 2]}, {"column": "note", "operator": "isNotNull"},
    {"column": "id", "operator": "equals", "value": 0}, {"column": "note", "operator": "equals", "value": "é"},
])  # fmt: skip
def test_show_tells_every_form_of_condition(world, condition):
    world.conclude(world.document(filter=[condition]))
    told = {"in": "id in [1, 2]", "isNotNull": "note isNotNull", "equals": 'note equals "é"'}[condition["operator"]]
    told = "id equals 0" if condition.get("value") == 0 else told
    assert told in run(world, agreement, "show", AGREEMENT).stdout


@pytest.mark.parametrize(("edit", "noted"), [(lambda text: text, True), (lambda t: t.replace("TODO", "for"), False)])
def test_an_offer_that_was_not_edited_is_noted(world, tmp_path, edit: Callable[[str], str], noted: bool):
    contract = tmp_path / "contract.yaml"
    contract.write_text(edit(as_yaml(world.document())))
    assert ("says TODO" in run(world, agreement, "offer", str(contract)).stderr) is noted


def test_fingerprints_are_listed_whole(world):
    listed = run(world, recipient, "list").stdout
    assert f"{RECIPIENT} (KvK" in listed
    assert f"{world.identity.recipient.fingerprint}  valid" in listed
    assert f"{world.signer.public_key.fingerprint}  not proven" in listed


def test_a_history_of_nothing_that_fits_says_so(world):
    assert "nothing that fits" in run(world, history, "--agreement", "GLA-none").stdout


def test_a_copy_of_the_agreement_without_its_signature_is_explained(world, tmp_path: Path):
    paper = tmp_path / f"{AGREEMENT}.json"
    paper.write_bytes(world.offer())
    with pytest.raises(UnusableInput, match=r"json\.sig, your signature, is not beside"):
        trust_from_agreement(paper, tmp_path / "delivery")
