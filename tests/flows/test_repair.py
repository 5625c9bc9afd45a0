"""`gla open --from`: bad parts are fetched again, from copies that are trusted with nothing."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from apps.cli.copies import named_copy
from apps.cli.damage import find_damage
from apps.cli.open_delivery import open_delivery
from apps.cli.repairing import repair
from core.errors import DestinationRefused, ManifestInvalid, SignerUnknown, UnusableInput
from core.settings import Settings
from flows.steps import path
from keys.private.signing import Signer
from schemas.manifest import CHUNK_BYTES, MANIFEST_NAME, SIGNATURE_NAME, Manifest
from tests.delivery_world import AGREEMENT
from tests.editions import CHUNK, Edition, contents

DATA = "data.parquet.age"
NUMBERS = bytes(range(256)) * 40  # ten whole parts and a last one of 240 bytes


@pytest.fixture
def edition(tmp_path: Path) -> Edition:
    return Edition(tmp_path, {DATA: NUMBERS, "pakbon.json.age": b"pakbon", "empty.csv.age": b""})


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 1
    return bytes(changed)


DAMAGES = {
    "first byte": (flipped(NUMBERS, 0), "1 of 11 parts"),
    "last byte": (flipped(NUMBERS, -1), "1 of 11 parts"),
    "both sides of a border": (flipped(NUMBERS, 999, 1000), "2 of 11 parts"),
    "far apart": (flipped(NUMBERS, 10, 5000, 9999), "3 of 11 parts"),
    "interrupted in a part": (NUMBERS[:4321], "7 of 11 parts"),
    "interrupted between parts": (NUMBERS[:4000], "7 of 11 parts"),
    "nothing arrived": (b"", "11 of 11 parts"),
    "a hole": (NUMBERS[:3000] + bytes(2000) + NUMBERS[5000:], "2 of 11 parts"),
    "a byte lost": (NUMBERS[:5500] + NUMBERS[5501:], "6 of 11 parts"),
    "a byte too many": (NUMBERS[:5500] + b"x" + NUMBERS[5500:], "6 of 11 parts"),
    "appended": (NUMBERS + b"x" * 777, "goes on for 777 bytes"),
    "appended and damaged": (flipped(NUMBERS, 5) + b"x" * 777, "1 of 11 parts"),
    "something else": (b"<html>404</html>" * 5000, "11 of 11 parts"),
}


class TestRepair:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_what_is_damaged_becomes_what_was_sent(self, edition, damage):
        content, said = DAMAGES[damage]
        (edition.here / DATA).write_bytes(content)
        printed = edition.check(edition.sent)
        assert said in printed
        assert "whole and authentic" in printed
        assert edition.is_whole()

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_without_another_copy_it_is_said_and_nothing_is_touched(self, edition, damage):
        content, said = DAMAGES[damage]
        (edition.here / DATA).write_bytes(content)
        with pytest.raises(ManifestInvalid, match=said):
            edition.check()
        assert (edition.here / DATA).read_bytes() == content

    @pytest.mark.parametrize("name", [DATA, "pakbon.json.age", "empty.csv.age", MANIFEST_NAME, SIGNATURE_NAME])
    def test_a_file_that_is_missing_is_fetched(self, edition, name):
        (edition.here / name).unlink()
        edition.check(edition.sent)
        assert edition.is_whole()

    def test_a_delivery_of_which_nothing_is_here_is_fetched_whole(self, edition):
        shutil.rmtree(edition.here)
        edition.check(edition.sent)
        assert edition.is_whole()

    def test_only_the_parts_that_are_bad_are_read_from_the_copy(self, edition):
        """Everything else in this copy is destroyed, so that a repair that read more would show."""
        (edition.here / DATA).write_bytes(flipped(NUMBERS, 4500))
        other = edition.folder / "other"
        other.mkdir()
        (other / DATA).write_bytes(bytes(4000) + NUMBERS[4000:5000])
        edition.check(other)
        assert edition.is_whole()

    def test_two_copies_that_are_each_damaged_elsewhere_make_one_whole(self, edition):
        (edition.here / DATA).unlink()
        others = [edition.publish(edition.folder / name) for name in "ab"]
        (others[0] / DATA).write_bytes(flipped(NUMBERS, 100, 5000))
        (others[1] / DATA).write_bytes(flipped(NUMBERS, 9000))
        edition.check(*others)
        assert edition.is_whole()

    def test_a_copy_that_lacks_the_file_does_not_stop_the_next(self, edition):
        (edition.here / DATA).unlink()
        (edition.folder / "bare").mkdir()
        edition.check(edition.folder / "bare", edition.sent)
        assert edition.is_whole()

    def test_what_could_not_be_repaired_goes_on_where_it_stopped(self, edition):
        (edition.here / DATA).unlink()
        half = edition.publish(edition.folder / "half")
        (half / DATA).write_bytes(NUMBERS[:3500])
        with pytest.raises(ManifestInvalid, match="8 of 11 parts"):
            edition.check(half)
        (half / DATA).write_bytes(bytes(3000) + NUMBERS[3000:])  # what arrived is not asked again
        assert "repaired 8 of 8 parts" in edition.check(half)
        assert edition.is_whole()

    def test_what_is_whole_is_not_written(self, edition):
        for name in edition.files:
            (edition.here / name).chmod(0o400)
            os.utime(edition.here / name, (1, 1))
        edition.check(edition.sent)
        assert {(edition.here / name).stat().st_mtime for name in edition.files} == {1}

    def test_memory_is_that_of_a_part_not_of_the_file(self, tmp_path):
        edition = Edition(tmp_path, {DATA: os.urandom(16 * CHUNK_BYTES)}, chunk=CHUNK_BYTES)
        os.truncate(edition.here / DATA, 12 * CHUNK_BYTES)
        manifest = Manifest.from_bytes((edition.here / MANIFEST_NAME).read_bytes())
        copy = named_copy(str(edition.sent), edition.here, None, tmp_path)
        tracemalloc.start()
        try:
            damaged = find_damage(edition.here, manifest.files, lambda *_: None)
            repair(edition.here, damaged, [copy], manifest, lambda *_: None)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert edition.is_whole()
        assert peak < 4 * CHUNK_BYTES


class TestCopiesThatLie:
    @pytest.mark.parametrize("place", [0, 4321, -1])
    def test_a_damaged_part_of_a_copy_is_never_written(self, edition, place):
        kept = flipped(NUMBERS, place)
        (edition.here / DATA).write_bytes(kept)
        (edition.folder / "other").mkdir()
        (edition.folder / "other" / DATA).write_bytes(b"\0" * len(NUMBERS))
        with pytest.raises(ManifestInvalid, match=r"1 of 11 parts.*in the given copies too"):
            edition.check(edition.folder / "other")
        assert (edition.here / DATA).read_bytes() == kept

    def test_the_right_parts_in_another_order_are_not_taken(self, edition):
        (edition.here / DATA).unlink()
        (edition.folder / "other").mkdir()
        parts = [NUMBERS[start : start + CHUNK] for start in range(0, len(NUMBERS), CHUNK)]
        (edition.folder / "other" / DATA).write_bytes(b"".join([parts[1], parts[0], *parts[2:]]))
        with pytest.raises(ManifestInvalid, match="2 of 11 parts"):
            edition.check(edition.folder / "other")

    def test_a_link_in_the_copy_is_not_followed(self, edition):
        (edition.here / DATA).unlink()
        (edition.folder / "other").mkdir()
        (edition.folder / "other" / DATA).symlink_to(edition.sent / DATA)
        with pytest.raises(DestinationRefused):
            edition.check(edition.folder / "other")

    @pytest.mark.parametrize("lost", [MANIFEST_NAME, SIGNATURE_NAME])
    def test_a_manifest_of_somebody_else_does_not_replace_the_one_that_is_gone(self, edition, lost):
        (edition.here / lost).unlink()
        before = contents(edition.here)
        forged = edition.publish(edition.folder / "forged", signer=Signer.generate())
        with pytest.raises(SignerUnknown):
            edition.check(forged)
        assert contents(edition.here) == before
        assert sorted(edition.here.iterdir()) == sorted(edition.here / name for name in before)

    def test_a_tampered_manifest_is_replaced_by_the_signed_one_and_decides_nothing(self, edition):
        (edition.here / DATA).write_bytes(b"other data")
        shutil.copy(edition.here / MANIFEST_NAME, edition.folder / "kept")
        content = (edition.here / MANIFEST_NAME).read_bytes()
        (edition.here / MANIFEST_NAME).write_bytes(content.replace(b'"recipient":"fonds"', b'"recipient":"thief"'))
        edition.check(edition.sent)
        assert edition.is_whole()

    @pytest.mark.parametrize("other", [{"edition": 2}, {"agreement": "GLA-2"}])
    def test_a_manifest_of_another_delivery_does_not_take_the_place_of_one_whose_signature_is_gone(
        self, edition, other
    ):
        (edition.here / SIGNATURE_NAME).unlink()
        before = contents(edition.here)
        copy = edition.publish(edition.folder / "other", **other)
        with pytest.raises((UnusableInput, ManifestInvalid)):
            edition.check(copy)
        assert contents(edition.here) == before

    def test_a_copy_of_an_older_edition_cannot_roll_the_delivery_back(self, edition):
        older = Edition(edition.folder / "older", {DATA: b"old" * 5000}, signer=edition.signer)
        (edition.here / DATA).write_bytes(flipped(NUMBERS, 1))
        with pytest.raises(ManifestInvalid, match="1 of 11 parts"):
            edition.check(older.sent)
        assert (edition.here / DATA).read_bytes() == flipped(NUMBERS, 1)


class TestWhereItWrites:
    def test_a_link_in_the_delivery_is_never_written_through(self, edition):
        victim = edition.folder / "victim"
        victim.write_bytes(b"precious")
        (edition.here / DATA).unlink()
        (edition.here / DATA).symlink_to(victim)
        with pytest.raises(UnusableInput, match="is not a file but a link"):
            edition.check(edition.sent)
        assert victim.read_bytes() == b"precious"

    def test_a_dangling_link_creates_nothing(self, edition):
        (edition.here / DATA).unlink()
        (edition.here / DATA).symlink_to(edition.folder / "made")
        with pytest.raises(UnusableInput, match="is not a file but a link"):
            edition.check(edition.sent)
        assert not (edition.folder / "made").exists()

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_what_is_no_file_is_left_alone(self, edition, make):
        (edition.here / DATA).unlink()
        make(edition.here / DATA)
        with pytest.raises(UnusableInput, match="is not a file"):
            edition.check(edition.sent)

    def test_a_manifest_that_is_a_link_is_replaced_not_followed(self, edition):
        victim = edition.folder / "victim"
        victim.write_bytes(b"precious")
        (edition.here / MANIFEST_NAME).unlink()
        (edition.here / MANIFEST_NAME).symlink_to(victim)
        edition.check(edition.sent)
        assert victim.read_bytes() == b"precious"
        assert not (edition.here / MANIFEST_NAME).is_symlink()

    def test_a_part_that_the_disk_cannot_read_is_bad(self, edition):
        (edition.here / DATA).unlink()
        (edition.here / DATA).symlink_to("/proc/self/mem")  # a regular file of which the first page cannot be read
        with pytest.raises(ManifestInvalid, match="11 of 11 parts"):
            edition.check()

    def test_the_delivery_itself_is_no_other_copy(self, edition):
        with pytest.raises(UnusableInput, match="the delivery itself"):
            edition.check(edition.here)

    def test_a_copy_that_is_not_there(self, edition):
        with pytest.raises(UnusableInput, match="no such folder"):
            edition.check(edition.folder / "nowhere")

    @pytest.mark.parametrize(
        "url", ["sftp://127.0.0.1", "sftp://a:secret@h", "sftp://a@h:x", "sftp://a@", "sftp://a@h/p?q", "sftp://[a@h"]
    )
    def test_an_address_that_cannot_be_one_is_refused_without_showing_it(self, edition, url):
        with pytest.raises(UnusableInput, match="not of the form") as caught:
            edition.check(url)
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None

    def test_an_address_without_a_key_to_log_in_with(self, edition):
        with pytest.raises(UnusableInput, match="--ssh-key"):
            edition.check("sftp://a@127.0.0.1")

    def test_parts_that_are_too_large_for_memory_are_not_repaired(self, tmp_path):
        edition = Edition(tmp_path, {DATA: NUMBERS}, chunk=64 * 1024 * 1024 + 1)
        (edition.here / DATA).unlink()
        with pytest.raises(UnusableInput, match="too large to repair"):
            edition.check(edition.sent)

    def test_a_manifest_whose_parts_and_whole_disagree(self, edition):
        manifest = (edition.sent / MANIFEST_NAME).read_bytes()
        from core.canonical import sha256_hex
        from keys.sshsig import Namespace

        wrong = manifest.replace(sha256_hex(NUMBERS).encode(), b"0" * 64)
        (edition.here / MANIFEST_NAME).write_bytes(wrong)
        (edition.here / SIGNATURE_NAME).write_text(edition.signer.sign(wrong, Namespace.MANIFEST))
        with pytest.raises(ManifestInvalid, match="contradicts itself"):
            edition.check(edition.sent)


class TestThenItOpens:
    @pytest.fixture
    def recipient(self, world, tmp_path):
        world.conclude()
        path.run(world.services, world.order())
        here = tmp_path / "recipient"
        shutil.copytree(world.published(), here / "edition-1")
        (here / "key").write_text(world.identity.secret_text())
        document = world.home / "agreements" / f"{AGREEMENT}.json"
        shutil.copy(document, here)
        (here / f"{AGREEMENT}.json.sig").write_text(world.signer.sign(document.read_bytes(), "gla-agreement"))
        return here

    def run(self, here: Path, *options: str):
        arguments = [str(here / "edition-1"), "--agreement", str(here / f"{AGREEMENT}.json"), *options]
        return CliRunner().invoke(open_delivery, arguments, obj=Settings(home=here / "home"))

    def test_a_real_delivery_is_repaired_and_opened_in_one_go(self, world, recipient):
        sealed = recipient / "edition-1" / "people.parquet.age"
        sealed.write_bytes(flipped(sealed.read_bytes(), 500) + b"more")
        done = self.run(recipient, "-i", str(recipient / "key"), "--from", str(world.published()))
        assert done.exception is None
        assert "people.parquet.age is damaged: 1 of 1 parts" in done.output
        assert "repaired 1 of 1 parts" in done.output
        assert pl.read_parquet(recipient / "edition-1-opened" / "people.parquet").height == 310

    def test_what_cannot_be_repaired_is_never_opened(self, world, recipient):
        for folder in (recipient / "edition-1", world.published()):
            sealed = folder / "people.parquet.age"
            sealed.write_bytes(flipped(sealed.read_bytes(), 500))
        done = self.run(recipient, "-i", str(recipient / "key"), "--from", str(world.published()))
        assert isinstance(done.exception, ManifestInvalid)
        assert not (recipient / "edition-1-opened").exists()
        assert not (recipient / "home" / "pins").exists()

    def test_a_check_opens_nothing_and_needs_no_key(self, recipient):
        done = self.run(recipient, "--check")
        assert "nothing was opened" in done.output
        assert not (recipient / "edition-1-opened").exists()

    def test_without_a_key_and_without_check_it_says_what_is_missing(self, recipient):
        done = self.run(recipient)
        assert done.exit_code == 2
        assert "--identity" in done.output
