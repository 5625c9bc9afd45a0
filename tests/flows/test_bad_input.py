"""Whatever is wrong: its own error and exit code, nothing published, and a ledger entry that says why."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from sqlalchemy import update

from agreements.rules import AgreementState
from agreements.tables import agreements
from core import errors
from core.database import writing
from core.period import Period
from flows.sources.files import FileSource
from flows.steps import lifecycle, path, recipients
from keys.private.signing import Signer
from tests.delivery_world import AMOUNT


def refused(world, error_type, order=None):
    """Run, and check everything that holds for every refusal; returns the message."""
    with pytest.raises(error_type) as caught:
        path.run(world.services, order or world.order())
    error = caught.value
    assert type(error) is error_type
    assert error.__cause__ is None
    assert error.__context__ is None
    assert world.visible_files() == []
    assert not list(world.services.settings.staging_dir.rglob("*.age"))
    last = world.events()[-1]
    assert last["action"] in ("delivery.refused", "delivery.failed")
    assert json.loads(last["detail"])["error"] == error_type.__name__
    assert json.loads(last["detail"])["message"] == str(error)
    assert "GLA-2026-0007" in str(error) or "people" in str(error) or "disk" in str(error)
    return str(error)


def change_row(world, **values):
    with writing(world.services.engine) as connection:
        connection.execute(update(agreements).values(**values))


def test_one_byte_changed_in_the_agreement(world):
    world.conclude()
    with world.services.engine.connect() as connection:
        document = connection.execute(agreements.select()).one().document
    change_row(world, document=document.replace(b'"value":30', b'"value":31'))
    refused(world, errors.AgreementAltered)


def test_one_byte_changed_and_the_digest_recomputed(world):
    from core.canonical import sha256_hex

    world.conclude()
    with world.services.engine.connect() as connection:
        document = connection.execute(agreements.select()).one().document
    changed = document.replace(b'"value":30', b'"value":31')
    change_row(world, document=changed, digest=sha256_hex(changed))
    refused(world, errors.SignerUnknown)


def test_assent_signed_by_an_unknown_key_is_refused_when_it_is_given(world):
    canonical = world.offer()
    with pytest.raises(errors.SignerUnknown):
        lifecycle.accept(world.services, "GLA-2026-0007", Signer.generate().sign(canonical, "gla-agreement"), "tester")
    assert world.events()[-1]["action"] == "agreement.refused"


def test_assent_swapped_in_the_database_for_one_by_an_unknown_key(world):
    world.conclude()
    with world.services.engine.connect() as connection:
        document = connection.execute(agreements.select()).one().document
    change_row(world, recipient_signature=Signer.generate().sign(document, "gla-agreement"))
    refused(world, errors.SignerUnknown)


def test_our_seal_swapped_in_the_database_for_one_by_another_key(world):
    world.conclude()
    with world.services.engine.connect() as connection:
        document = connection.execute(agreements.select()).one().document
    change_row(world, sender_signature=Signer.generate().sign(document, "gla-agreement"))
    refused(world, errors.SignerUnknown)


def test_a_signature_for_another_purpose_is_no_assent(world):
    canonical = world.offer()
    with pytest.raises(errors.SignerUnknown):
        lifecycle.accept(world.services, "GLA-2026-0007", world.signer.sign(canonical, "gla-receipt"), "tester")


def test_agreement_expired(world):
    world.conclude(world.document(validUntil="2026-12-31"))
    world.at(datetime(2027, 1, 1, 12, tzinfo=UTC))
    refused(world, errors.AgreementExpired)


def test_the_last_day_is_a_dutch_day(world):
    world.conclude(world.document(validUntil="2026-12-31"))
    world.at(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))  # half past midnight on 1 January in the Netherlands
    refused(world, errors.AgreementExpired)


def test_agreement_not_yet_valid(world):
    world.conclude(world.document(validFrom="2026-05-01"))
    refused(world, errors.AgreementNotYetValid)


def test_agreement_revoked(world):
    world.conclude()
    lifecycle.stop(world.services, "GLA-2026-0007", AgreementState.REVOKED, "misuse", "tester")
    refused(world, errors.AgreementRevoked)


def test_revocation_stops_a_running_delivery_before_publication(world):
    world.conclude()

    def revoke_after_sealing(name, function, *args):
        result = function(*args)
        if name.startswith("extract"):
            lifecycle.stop(world.services, "GLA-2026-0007", AgreementState.REVOKED, "misuse", "tester")
        return result

    with pytest.raises(errors.AgreementRevoked):
        path.run(world.services, world.order(), step=revoke_after_sealing)
    assert world.visible_files() == []


def test_agreement_that_was_only_agreed_is_not_active(world):
    canonical = world.offer()
    lifecycle.accept(world.services, "GLA-2026-0007", world.signer.sign(canonical, "gla-agreement"), "tester")
    refused(world, errors.AgreementStateError)


def test_source_lacks_an_agreed_column(world):
    world.conclude()
    pl.read_parquet(world.source).drop("note").write_parquet(world.source)
    assert "note" in refused(world, errors.SourceColumnMissing)


def test_an_extra_column_in_the_source_is_never_read(world):
    world.conclude()
    pl.read_parquet(world.source).with_columns(extra=pl.lit("x")).write_parquet(world.source)
    assert path.run(world.services, world.order()).rows == 310


def test_an_extra_column_in_an_extracted_batch(world, monkeypatch):
    world.conclude()
    honest = FileSource.batches
    monkeypatch.setattr(
        FileSource, "batches", lambda *args: (frame.with_columns(secret=pl.lit("geheim")) for frame in honest(*args))
    )
    refused(world, errors.ColumnNotAgreed)


def with_rule(world, **rule):
    document = world.document()
    for column in document["schema"][0]["properties"]:
        column.update(rule.get(column["name"], {}))
    return document


def test_a_row_that_breaks_the_schema_is_counted_and_not_shown(world):
    world.conclude(with_rule(world, amount={"logicalTypeOptions": {"maximum": AMOUNT + 620}}))
    message = refused(world, errors.RowsInvalid)
    assert "amount: maximum" in message
    assert "888" not in message


def test_a_duplicate_across_the_whole_delivery(world):
    world.conclude(with_rule(world, id={"unique": True}))
    rows = pl.read_parquet(world.source)
    pl.concat([rows, rows.filter(pl.col("id") == 700)]).write_parquet(world.source)
    assert "unique (1)" in refused(world, errors.RowsInvalid)


def test_a_missing_value_in_a_required_column(world):
    world.conclude(with_rule(world, note={"required": True}))
    pl.read_parquet(world.source).with_columns(
        note=pl.when(pl.col("id") == 700).then(None).otherwise("note")
    ).write_parquet(world.source)
    assert "note: required (1)" in refused(world, errors.RowsInvalid)


def test_an_empty_result_that_the_agreement_does_not_allow(world):
    world.conclude()
    refused(world, errors.DeliveryEmpty, world.order(period=Period.parse("2026-11")))


def test_no_valid_recipient_key(world):
    world.conclude()
    recipients.revoke(world.services, "fonds", world.identity.recipient.fingerprint)
    refused(world, errors.KeyUnusable)


def test_a_key_that_the_agreement_does_not_name_is_never_sealed_to(world):
    from keys.private.identities import generate_identity

    world.conclude()
    other = generate_identity("hybrid")
    recipients.register(world.services, "fonds", "90000102", [str(other.recipient)], [])
    path.run(world.services, world.order())
    from keys.envelope.errors import NoMatchingKey
    from keys.private.opening import open_envelope

    with pytest.raises(NoMatchingKey), (world.published() / "people.parquet.age").open("rb") as file:
        open_envelope(file, [other]).read()


def test_a_key_swapped_in_the_database_is_never_sealed_to(world):
    from agreements.tables import recipient_keys
    from keys.private.identities import generate_identity

    world.conclude()
    other = generate_identity("hybrid")
    with writing(world.services.engine) as connection:
        swapped = update(recipient_keys).where(recipient_keys.c.purpose == "seal")
        connection.execute(swapped.values(public_key=str(other.recipient)))
    refused(world, errors.KeyUnusable)


def test_source_that_changes_while_it_is_read(world, monkeypatch):
    world.conclude()
    honest = FileSource.batches

    def disturbed(*args):
        for frame in honest(*args):
            world.source.touch()
            yield frame

    monkeypatch.setattr(FileSource, "batches", disturbed)
    refused(world, errors.SourceUnavailable)


def test_drop_zone_that_cannot_be_written(world):
    world.conclude()
    folder = world.services.recipient_folder("fonds")
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    with pytest.raises(errors.DestinationError):
        path.run(world.services, world.order())
    assert json.loads(world.events()[-1]["detail"])["error"].startswith("Destination")


def test_the_same_delivery_triggered_twice_at_once(world):
    world.conclude()
    inside, done = threading.Event(), threading.Event()

    def slow(name, function, *args):
        if name == "publish":
            inside.set()
            assert done.wait(30)
        return function(*args)

    first = threading.Thread(target=path.run, args=(world.services, world.order()), kwargs={"step": slow})
    first.start()
    assert inside.wait(30)
    with pytest.raises(errors.DeliveryBusy):
        path.run(world.services, world.order())
    assert world.events()[-1]["action"] == "delivery.busy"
    done.set()
    first.join()
    published = [event for event in world.events() if event["action"] == "delivery.published"]
    assert len(published) == 1


def test_a_foreign_exception_leaves_neither_its_message_nor_its_chain(world, monkeypatch):
    world.conclude()

    def break_down(*_args):
        raise ValueError("geheim-000700")
        yield

    monkeypatch.setattr(FileSource, "batches", break_down)
    message = refused_unexpectedly(world)
    assert "geheim" not in message
    assert "ValueError" in message


def refused_unexpectedly(world):
    with pytest.raises(errors.Unexpected) as caught:
        path.run(world.services, world.order())
    assert caught.value.__context__ is None
    assert "geheim" not in json.dumps(world.events(), default=repr)
    return str(caught.value)


def test_an_unknown_agreement_is_named_with_the_next_step(world):
    order = replace(world.order(), agreement_id="GLA-NONE")
    with pytest.raises(errors.UnusableInput, match="gla agreement list"):
        path.run(world.services, order)


def test_disk_full_while_staging(make_world):
    """A target that takes 8 KiB of ciphertext and then says what a full disk says, in a process of its own."""
    world = make_world(rows=20_000)
    world.conclude(world.document(filter=[]))
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.argv = ['gla', 'deliver', 'GLA-2026-0007', '2026-03']\n"
        "import errno, os\n"
        "import flows.steps.staging as staging\n"
        "class Full:\n"
        "    def __init__(self, file): self.file, self.left = file, 8192\n"
        "    def write(self, data):\n"
        "        self.left -= len(data)\n"
        "        if self.left < 0: raise OSError(errno.ENOSPC, 'no space')\n"
        "        return self.file.write(data)\n"
        "init = staging.DigestingWriter.__init__\n"
        "def full(self, target, chunk_size=None): init(self, Full(target) if chunk_size else target, chunk_size)\n"
        "staging.DigestingWriter.__init__ = full\n"
        "from apps.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"GLA_HOME": str(world.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == errors.StorageFull.exit_code, done.stderr
    assert "staging disk is full" in done.stderr
    assert world.visible_files() == []
    assert json.loads(world.events()[-1]["detail"])["error"] == "StorageFull"
