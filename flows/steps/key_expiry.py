"""Tell in time that a recipient's key expires: an event at 60, 30 and 7 days before, each once per key."""

from __future__ import annotations

from datetime import timedelta

from agreements import registry
from agreements.standing import WARN_DAYS, RecipientKey, warning_due
from core.database import reading, writing
from flows.steps.key_events import tell
from flows.wiring import Services
from ledger.events import find_once
from ledger.vocabulary import Action


def warn_of_expiry(services: Services) -> list[str]:
    """Record the warnings that are due and were not given yet; returns one line for each.

    Of several that are due at once, as after a holiday of this machine, only the most urgent is given.
    """
    now = services.clock()
    with reading(services.engine) as connection:
        keys = registry.expiring_keys(connection, now + timedelta(days=max(WARN_DAYS)))
        due = [(key, days) for key in keys if (days := warning_due(key, now)) is not None]
        new = [(key, days) for key, days in due if find_once(connection, _once(key, days)) is None]
    if new:
        with writing(services.engine) as connection:
            for key, days in new:
                detail = {"key": key.fingerprint, "last_day": key.last_day(), "days": days}
                tell(
                    services, connection, Action.KEY_EXPIRING, key.recipient, "planning", detail, once=_once(key, days)
                )
    return [
        f"recipient {key.recipient}: key {key.fingerprint} is valid until {key.last_day()}: the recipient signs in a "
        "new one (gla keys rotate), or gives one for a new agreement"
        for key, _ in new
    ]


def _once(key: RecipientKey, days: int) -> str:
    return f"key expires {key.fingerprint} {key.valid_until} {days}"
