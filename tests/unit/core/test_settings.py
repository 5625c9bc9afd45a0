"""Settings: named as the documentation says, and safe to hand to a scheduler that looks inside."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from core.settings import DeliverySettings, Settings
from ledger.deliveries import LONGEST_LEASE


def test_settings_can_be_walked_as_prefect_does_with_what_a_task_is_given():
    """A field named `keys` would pass for the method of a mapping."""
    assert set(dict(Settings())) == set(Settings.model_fields)


def test_the_place_of_an_own_key_is_named_as_documented(monkeypatch):
    monkeypatch.setenv("GLA_KEYS__MANIFEST", "env:MANIFEST_KEY")
    assert Settings().own_keys.manifest == "env:MANIFEST_KEY"


def test_a_lease_is_not_longer_than_the_ledger_gives_one():
    """It is renewed three times in that time, which would come too late for a lease that was cut."""
    longest = int(LONGEST_LEASE.total_seconds())
    assert DeliverySettings(lease_seconds=longest).lease_seconds == longest
    with pytest.raises(ValidationError):
        DeliverySettings(lease_seconds=longest + 1)
