"""What a bucket does by itself with what is in it: end transfers that nobody ends, lock, and show nothing to strangers.

Raises what botocore raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from transports.s3_client import S3Destination

_RULE = "gla-end-transfers"
_ABSENT = frozenset({"NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"})


def advice(client: Any, destination: S3Destination) -> list[str]:
    """What an operator should know of the bucket; empty if all is well."""
    told = []
    if not any(_ends_transfers(rule) for rule in _rules(client, destination)):
        told.append(
            f"nothing ends the transfers to {destination} that break off: use --set-lifecycle, or let its owner do it"
        )
    if destination.lock_days and not _locks(client, destination):
        told.append(f"{destination} has no object lock, so no delivery can be locked: ask its owner for one that has")
    return told


def remove_leftovers_after(client: Any, destination: S3Destination, days: int) -> None:
    """Let the server remove what was begun and not ended within so many days. The bucket's other rules stay."""
    rule = {
        "ID": _RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": destination.prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }
    others = [each for each in _rules(client, destination) if each.get("ID") != _RULE]
    client.put_bucket_lifecycle_configuration(
        Bucket=destination.bucket, LifecycleConfiguration={"Rules": [*others, rule]}
    )


def _rules(client: Any, destination: S3Destination) -> list[dict[str, Any]]:
    asked = _asked(lambda: client.get_bucket_lifecycle_configuration(Bucket=destination.bucket))
    rules: list[dict[str, Any]] = asked.get("Rules", [])
    return rules


def _ends_transfers(rule: dict[str, Any]) -> bool:
    return rule.get("Status") == "Enabled" and "AbortIncompleteMultipartUpload" in rule


def _locks(client: Any, destination: S3Destination) -> bool:
    asked = _asked(lambda: client.get_object_lock_configuration(Bucket=destination.bucket))
    return bool(asked.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")


def _asked(question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return question()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
    return {}
