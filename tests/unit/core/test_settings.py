"""Settings: named as the documentation says, and safe to hand to a scheduler that looks inside."""

from __future__ import annotations

from core.settings import Settings


def test_settings_can_be_walked_as_prefect_does_with_what_a_task_is_given():
    """A field named `keys` would pass for the method of a mapping."""
    assert set(dict(Settings())) == set(Settings.model_fields)


def test_the_place_of_an_own_key_is_named_as_documented(monkeypatch):
    monkeypatch.setenv("GLA_KEYS__MANIFEST", "env:MANIFEST_KEY")
    assert Settings().own_keys.manifest == "env:MANIFEST_KEY"
