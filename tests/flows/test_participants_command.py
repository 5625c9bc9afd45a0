"""`gla participants`: what an operator does with a list, and what is told of it. Never a value."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apps.cli.agreement import agreement
from apps.cli.participants import participants
from core import errors
from core.clock import utc_now
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.sshsig import verify
from schemas.agreement import load_agreement
from schemas.compiler import compile_table
from schemas.export.dictionary import dictionary
from schemas.export.text import as_markdown
from schemas.participants import signing_namespace
from tests.delivery_world import AGREEMENT, make_world_in
from tests.participants_world import PEOPLE, as_csv, with_participants

A, B, C = PEOPLE[:3]


@pytest.fixture
def fund(tmp_path: Path):
    """A world whose time is now, since a command knows no other."""
    world = make_world_in(tmp_path, clock=utc_now)()
    days = {"validFrom": utc_now() - timedelta(days=9), "validUntil": utc_now() + timedelta(days=9)}
    return with_participants(world, **{name: f"{day:%Y-%m-%d}" for name, day in days.items()})


def run(fund, *arguments: str) -> Result:
    return CliRunner().invoke(participants, arguments, obj=fund.services.settings, catch_exceptions=False)


def sealed(fund, people: list[str], name: str = "deelnemers.csv.age") -> str:
    """A file that was sealed to the key that the command printed."""
    printed = run(fund, "key").stdout.strip()
    path = fund.home.parent / name
    with path.open("wb") as target, Sealer(target, [parse_recipient(printed)]) as sealer:
        sealer.write(as_csv(people))
    return str(path)


def add(fund, file: str, *options: str) -> Result:
    return run(fund, "add", "--agreement", AGREEMENT, *options, file)


def test_a_list_is_taken_shown_and_listed(fund):
    taken = add(fund, sealed(fund, [A, B]))
    assert "set 1 is taken: full from" in taken.output
    assert "2 participants (2 added, 0 removed, 0 changed nothing)" in taken.output
    shown = run(fund, "show", AGREEMENT).output
    assert "set 1  in force  full from" in shown
    assert "kept as it was recorded, 2 participants, digest" in shown
    listed = run(fund, "list").output
    assert AGREEMENT in listed
    assert run(fund, "list", AGREEMENT).output == listed


def test_options_say_what_the_name_does_not(fund):
    add(fund, sealed(fund, [A]))
    day = (utc_now() + timedelta(days=2)).date().isoformat()
    taken = add(fund, sealed(fund, [B], "lijst van maart.age"), "--kind", "additions", "--effective", day)
    assert f"set 2 is taken: additions from {day}, 2 participants" in taken.output
    assert "set 2  to come" in run(fund, "show", AGREEMENT).output
    replaced = add(fund, sealed(fund, [C]))
    assert "It takes the place of set 2" in replaced.output
    assert "set 2  past" in run(fund, "show", AGREEMENT).output


def test_the_same_file_again_is_said_and_is_no_failure(fund):
    file = sealed(fund, [A])
    add(fund, file)
    again = add(fund, file)
    assert again.exit_code == 0
    assert "nothing changed" in again.output


def test_a_refused_list_is_an_error_without_a_value(fund):
    with pytest.raises(errors.UnusableInput, match=r"no valid BSN of nine digits: 1 \(line 3\)") as caught:
        add(fund, sealed(fund, [A, "123456789"]))
    assert "123456789" not in str(caught.value)
    assert "nothing is delivered before" in run(fund, "show", AGREEMENT).output


def test_a_name_that_says_nothing_needs_options(fund):
    with pytest.raises(errors.UnusableInput, match="name of a participants file"):
        add(fund, sealed(fund, [A], "lijst.age"))


def test_a_recipient_seals_and_signs_with_one_command(fund):
    folder = fund.home.parent
    (folder / "id").write_bytes(fund.signer.private_file())
    (folder / "id").chmod(0o600)
    (folder / "deelnemers.csv").write_bytes(as_csv([A, B]))
    key = run(fund, "key").stdout.strip()
    run(fund, "seal", "--agreement", AGREEMENT, "-r", key, "--sign", str(folder / "id"), str(folder / "deelnemers.csv"))
    made = folder / "deelnemers.csv.age"
    signature = folder / "deelnemers.csv.age.sig"
    verify(signature.read_text(), made.read_bytes(), signing_namespace(AGREEMENT, made.name))
    assert "2 participants" in add(fund, str(made), "--signature", str(signature)).output
    assert made.stat().st_mode & 0o77 == 0


def test_a_wrong_name_is_refused_before_anything_is_sealed(fund):
    file = fund.home.parent / "lijst.csv"
    file.write_bytes(as_csv([A]))
    with pytest.raises(errors.UnusableInput, match="name of a participants file"):
        run(fund, "seal", "--agreement", AGREEMENT, "-r", "x", "--sign", str(file), str(file))
    assert not file.with_name("lijst.csv.age").exists()


def test_an_agreement_that_does_not_exist_is_said(fund):
    file = sealed(fund, [A])
    for command in (("add", "--agreement", "GLA-0", file), ("show", "GLA-0"), ("list", "GLA-0")):
        with pytest.raises(errors.UnusableInput, match="no agreement"):
            run(fund, *command)


def test_collect_takes_what_lies_in_the_drop_zone(fund):
    assert "0 files taken" in run(fund, "collect").output
    file = Path(sealed(fund, [A]))
    area = fund.services.incoming_folder / "fonds" / AGREEMENT
    signature = fund.signer.sign(file.read_bytes(), f"gla-participants:{AGREEMENT}:{file.name}")
    (area / f"{file.name}.sig").write_text(signature)
    file.rename(area / file.name)
    assert "1 file taken" in run(fund, "collect").output
    assert "set 1  in force" in run(fund, "show", AGREEMENT).output


def test_the_terms_are_shown_to_people(fund):
    shown = CliRunner().invoke(agreement, ["show", AGREEMENT], obj=fund.services.settings, catch_exceptions=False)
    assert "only those of bsn, at most 1,000" in shown.output
    document = (fund.home / "agreements" / f"{AGREEMENT}.json").read_bytes()
    agreed = load_agreement(document)
    page = as_markdown(dictionary(agreed.contract, compile_table(agreed.contract.table), agreed))
    assert "bsn staat in het deelnemersbestand van de afnemer (ten hoogste 1.000 deelnemers)" in page
