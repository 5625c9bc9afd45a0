"""Keys have a first and a last day: at sealing, at publishing, at login, and told 60, 30 and 7 days ahead."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from agreements import registry
from agreements.standing import Standing
from core import errors
from core.clock import utc_now
from core.database import reading
from flows.steps import lifecycle, path
from flows.steps.accounts import write_accounts
from flows.steps.key_expiry import warn_of_expiry
from flows.steps.order import Mode
from flows.steps.recipients import Validity, register, revoke
from keys.private.signing import Signer
from keys.sshsig import Namespace
from tests.delivery_world import AGREEMENT, NOW
from transports.directory import DirectoryTransport

LAST = date(2026, 6, 30)


def limit(world, last=LAST, first=None):
    """Give the recipient's key other dates."""
    register(world.services, "fonds", None, [str(world.identity.recipient)], [], validity=Validity(first, last))


def key(world):
    with reading(world.services.engine) as connection:
        return registry.find_key(connection, world.identity.recipient.fingerprint)


def on(world, day, hour=12):
    world.at(NOW.replace(month=day.month, day=day.day, hour=hour))


class TestDelivery:
    def test_on_the_last_day_and_not_after_it(self, world):
        world.conclude()
        limit(world)
        world.at(NOW.replace(month=6, day=30, hour=21, minute=59))  # 23:59 in the Netherlands
        path.run(world.services, world.order())
        world.at(NOW.replace(month=6, day=30, hour=22, minute=0))
        with pytest.raises(errors.KeyUnusable, match="was valid until 2026-06-30: the recipient gives a new key"):
            path.run(world.services, world.order(Mode.CORRECT, "again"))

    def test_before_the_first_day(self, world):
        world.conclude()
        limit(world, first=date(2026, 4, 10))
        with pytest.raises(errors.KeyUnusable, match="is valid from 2026-04-10: wait until then"):
            path.run(world.services, world.order())
        world.at(NOW.replace(day=9, hour=22))  # midnight in the Netherlands
        path.run(world.services, world.order())

    def test_a_key_that_expires_while_the_files_are_on_their_way(self, world, monkeypatch):
        world.conclude()
        limit(world)
        self.during_the_transfer(world, monkeypatch, NOW + timedelta(days=100))
        with pytest.raises(errors.KeyUnusable, match="was valid until"):
            path.run(world.services, world.order())
        assert world.visible_files() == []

    def test_a_key_that_is_revoked_while_the_files_are_on_their_way(self, world, monkeypatch):
        world.conclude()
        services = world.services
        put = DirectoryTransport.put

        def revoking(self, *arguments):
            revoke(services, "fonds", world.identity.recipient.fingerprint)
            return put(self, *arguments)

        monkeypatch.setattr(DirectoryTransport, "put", revoking)
        with pytest.raises(errors.KeyUnusable, match="is revoked"):
            path.run(world.services, world.order())
        assert world.visible_files() == []

    def test_an_offer_with_a_key_that_is_over(self, world):
        limit(world)
        document = world.document()
        world.at(NOW + timedelta(days=100))
        with pytest.raises(errors.UnusableInput, match="has no valid key"):
            world.offer(document)
        with pytest.raises(errors.UnusableInput, match="has no valid keys"):
            world.document()

    def during_the_transfer(self, world, monkeypatch, moment):
        """The clock of all services jumps when the first file lands."""
        clock = [NOW]
        from dataclasses import replace

        ledger = replace(world.services.ledger, clock=lambda: clock[0])
        world.services = replace(world.services, clock=lambda: clock[0], ledger=ledger)
        put = DirectoryTransport.put

        def late(self, *arguments):
            clock[0] = moment
            return put(self, *arguments)

        monkeypatch.setattr(DirectoryTransport, "put", late)


class TestLogin:
    def test_an_ssh_key_logs_in_and_assents_between_its_days_only(self, world):
        signer = Signer.generate()
        dates = Validity(date(2026, 4, 10), date(2026, 4, 20))
        register(world.services, "fonds", None, [], [signer.public_key.line], validity=dates)
        canonical = world.offer(world.document(recipientSigner=signer.public_key.fingerprint))
        signature = signer.sign(canonical, Namespace.AGREEMENT)
        for day in (9, 21):
            world.at(NOW.replace(day=day))
            with pytest.raises(errors.SignerUnknown, match="not valid today"):
                lifecycle.accept(world.services, AGREEMENT, signature, "tester")
        world.at(NOW.replace(day=10))
        lifecycle.accept(world.services, AGREEMENT, signature, "tester")
        lifecycle.activate(world.services, AGREEMENT, "tester")
        for day, may in ((9, False), (10, True), (20, True), (21, False)):
            world.at(NOW.replace(day=day))
            [account] = write_accounts(world.services).accounts
            assert (signer.public_key.line in account.keys) is may


class TestDates:
    @pytest.mark.parametrize(
        ("first", "last"), [(None, date(2026, 4, 4)), (date(2026, 5, 2), date(2026, 5, 1)), (None, date(1, 1, 1))]
    )
    def test_dates_between_which_a_key_is_never_valid(self, world, first, last):
        with pytest.raises(errors.UnusableInput, match="never be valid"):
            limit(world, last, first)
        assert key(world).standing(NOW) is Standing.VALID

    def test_registering_again_without_dates_keeps_them(self, world):
        limit(world)
        register(world.services, "fonds", None, [str(world.identity.recipient)], [])
        assert key(world).last_day() == "2026-06-30"

    def test_a_last_day_can_be_moved(self, world):
        limit(world)
        limit(world, date(2027, 1, 1))
        assert key(world).last_day() == "2027-01-01"


class TestWarnings:
    def told(self, world):
        events = [event for event in world.events() if event["action"] == "key.expiring"]
        return [json.loads(event["detail"])["days"] for event in events]

    def test_each_once_at_60_30_and_7_days(self, world):
        limit(world)
        expected = {date(2026, 5, 1): [], date(2026, 5, 2): [60], date(2026, 5, 31): [60], date(2026, 6, 1): [60, 30]}
        expected |= {date(2026, 6, 23): [60, 30], date(2026, 6, 24): [60, 30, 7], date(2026, 7, 2): [60, 30, 7]}
        for day, told in expected.items():
            world.at(NOW.replace(month=day.month, day=day.day))
            for _ in range(3):
                warn_of_expiry(world.services)
            assert (day, self.told(world)) == (day, told)

    def test_only_the_most_urgent_where_several_are_due(self, world):
        limit(world)
        world.at(NOW.replace(month=6, day=29))
        [line] = warn_of_expiry(world.services)
        assert "valid until 2026-06-30" in line
        assert self.told(world) == [7]
        assert warn_of_expiry(world.services) == []

    def test_again_for_another_last_day(self, world):
        limit(world, date(2026, 4, 10))
        warn_of_expiry(world.services)
        limit(world, date(2026, 4, 11))
        warn_of_expiry(world.services)
        assert self.told(world) == [7, 7]

    def test_not_of_a_revoked_key_nor_of_one_without_an_end(self, world):
        assert warn_of_expiry(world.services) == []
        limit(world, date(2026, 4, 10))
        revoke(world.services, "fonds", world.identity.recipient.fingerprint)
        assert warn_of_expiry(world.services) == []

    def test_of_a_certificate_that_says_itself_when_it_expires(self, world, tmp_path):
        from tests.foreign_keys import certificate_pair

        _, certificate = certificate_pair()
        (tmp_path / "cert.pem").write_bytes(certificate)
        [added] = register(world.services, "fonds", None, [str(tmp_path / "cert.pem")], [])
        assert added.key.kind == "x509"
        assert added.key.valid_until is not None
        world.at(utc_now().fromisoformat(added.key.valid_until) - timedelta(days=3))
        assert len(warn_of_expiry(world.services)) == 1
