"""A delivery pushed to a real OpenSSH server, and what happens when that server is not as it should be."""

from __future__ import annotations

import json

import pytest
from polars.testing import assert_frame_equal

from agreements.rules import AgreementState
from core import errors
from flows.steps import lifecycle, path
from flows.steps.order import Mode
from flows.steps.retention import remove_what_is_over
from tests.delivery_world import AGREEMENT, make_world, world
from tests.servers.openssh import OpenSshServer, free_port, make_key, public_line

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server


@pytest.fixture
def partner(world, openssh: OpenSshServer, tmp_path):
    """The world with an agreement that delivers to the server, into a folder of its own."""
    root = openssh.root / tmp_path.name
    root.mkdir()
    register(world, openssh, root)
    world.conclude(world.document(destination="partner"))
    world.root = root
    return world


def register(world, server, root, host_key=None, port=None, identity=None):
    uri = f"sftp://{server.user}@127.0.0.1:{port or server.port}{root}"
    keys = (host_key or server.host_key, identity or server.user_key)
    world.services.destinations.add_sftp("partner", uri, *keys, moved=True)


def refused(partner, error_type):
    with pytest.raises(error_type) as caught:
        path.run(partner.services, partner.order())
    assert type(caught.value) is error_type
    assert caught.value.__context__ is None
    assert [item for item in partner.root.rglob("*") if item.is_file()] == []
    assert json.loads(partner.events()[-1]["detail"])["error"] == error_type.__name__


def test_it_appears_as_a_whole_with_the_recorded_bytes(partner):
    outcome = path.run(partner.services, partner.order())
    folder = partner.root / AGREEMENT / "2026-03" / "edition-1"
    assert {item.name for item in folder.iterdir()} == {
        "people.parquet.age", "pakbon.json.age", "pakbon.html.age", "manifest.json", "manifest.json.sig",
    }  # fmt: skip
    assert sum(item.stat().st_size for item in folder.iterdir()) == outcome.size


def test_what_was_pushed_opens_for_the_recipient(partner, tmp_path):
    import polars as pl

    from keys.private.opening import open_envelope

    path.run(partner.services, partner.order())
    sealed = partner.root / AGREEMENT / "2026-03" / "edition-1" / "people.parquet.age"
    with sealed.open("rb") as file:
        (tmp_path / "opened.parquet").write_bytes(open_envelope(file, [partner.identity]).read())
    expected = pl.read_parquet(partner.source).select("id", "day", "amount", "note")
    found = pl.read_parquet(tmp_path / "opened.parquet")
    assert_frame_equal(found, expected.filter(pl.col("id").is_in(found["id"].implode())))
    assert found.height == 310


def test_a_changed_host_key_stops_the_delivery(partner, openssh, tmp_path):
    other = public_line(make_key(tmp_path / "other"))
    register(partner, openssh, partner.root, host_key=other)
    refused(partner, errors.HostKeyMismatch)


def test_an_unknown_kind_of_host_key_stops_the_delivery(partner, openssh, tmp_path):
    """The server has no key of the pinned kind, so nothing it could show would be the agreed one."""
    other = public_line(make_key(tmp_path / "rsa", kind="rsa", bits=3072))
    register(partner, openssh, partner.root, host_key=other)
    with pytest.raises(errors.DestinationError):
        path.run(partner.services, partner.order())
    assert [item for item in partner.root.rglob("*") if item.is_file()] == []


def test_a_destination_without_a_host_key_cannot_be_registered(world, openssh):
    with pytest.raises(errors.UnusableInput, match="host key"):
        register(world, openssh, openssh.root, host_key=" ")


def test_an_unreachable_server_fails_and_resume_sends_the_same_bytes(partner, openssh):
    register(partner, openssh, partner.root, port=free_port())
    refused(partner, errors.DestinationUnreachable)
    folder = partner.services.settings.staging_dir
    staged = {item.name: item.read_bytes() for item in folder.rglob("*") if item.is_file()}
    register(partner, openssh, partner.root)
    path.run(partner.services, partner.order())
    folder = partner.root / AGREEMENT / "2026-03" / "edition-1"
    assert {item.name: item.read_bytes() for item in folder.iterdir()} == staged
    extracted = [event for event in partner.events() if event["action"] == "delivery.extracting"]
    assert len(extracted) == 1


def test_a_user_key_that_the_server_does_not_accept(partner, openssh):
    register(partner, openssh, partner.root, identity=openssh.wrong_key)
    refused(partner, errors.DestinationRefused)


def test_what_a_revoked_agreement_brought_goes_from_the_server_as_soon_as_that_is_there(partner, openssh):
    path.run(partner.services, partner.order())
    path.run(partner.services, partner.order(Mode.CORRECT, "better data"))
    (partner.root / "theirs").write_text("not ours")
    register(partner, openssh, partner.root, port=free_port())
    revoked = lifecycle.stop(partner.services, AGREEMENT, AgreementState.REVOKED, "wrong recipient", "tester")
    assert revoked.gone == []
    [problem] = revoked.problems
    assert problem.startswith(f"{AGREEMENT}/2026-03/1: ")
    assert "cannot be reached" in problem
    register(partner, openssh, partner.root)
    assert sorted(remove_what_is_over(partner.services).gone) == [f"{AGREEMENT}/2026-03/1", f"{AGREEMENT}/2026-03/2"]
    assert [item.name for item in partner.root.rglob("*") if item.is_file()] == ["theirs"]
