"""What a line of a Ceph gateway's log says, whoever wrote the fields of it that a client may choose."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.steps.s3_pickups import Access
from schemas.spans import count

KEY = "/deliveries/pre/GLA-1/2026-03/edition-1/manifest.json"
AT = datetime(2026, 11, 26, 22, 21, 45, 820_000, UTC)


def line(
    target: str = KEY,
    status: int = 200,
    sent: int = 1000,
    asked: str = "-",
    agent: str = "Boto3/1.44.8 md/x",
    method: str = "GET",
) -> str:
    """As Ceph 16.2 writes it, to the letter."""
    return (
        "2026-11-26T22:21:45.820+0000 7f3b8dfa36c0  1 beast: 0x7f3c182526e0: 192.0.2.7 - tester "
        f'[26/Nov/2026:22:21:45.820 +0000] "{method} {target} HTTP/1.1" {status} {sent} - "{agent}" {asked} '
        "latency=0.000000000s"
    )


def access(text: str) -> Access:
    found = Access.parse(text)
    assert found is not None
    return found


def test_a_whole_download() -> None:
    found = access(line())
    assert (found.key, found.address, found.user, found.by_link, found.at) == (KEY, "192.0.2.7", "tester", False, AT)
    assert found.spans(1000) == (((0, 1000),), True)


@pytest.mark.parametrize(
    ("asked", "sent", "span", "complete"),
    [
        ("bytes=100-199", 100, (100, 200), True),
        ("bytes=100-199", 60, (100, 160), False),
        ("bytes=900-", 100, (900, 1000), True),
        ("bytes=900-5000", 100, (900, 1000), True),
        ("bytes=-50", 50, (950, 1000), True),
        ("bytes=-5000", 1000, (0, 1000), True),
        ("bytes=0-0", 1, (0, 1), True),
        ("-", 400, (0, 400), False),
        ("-", 5000, (0, 1000), True),
        ("bytes=-", 1000, (0, 1000), True),
    ],
)
def test_which_bytes_went_out(asked: str, sent: int, span: tuple[int, int], complete: bool) -> None:
    assert access(line(status=206, sent=sent, asked=asked)).spans(1000) == ((span,), complete)


@pytest.mark.parametrize("query", ["AWSAccessKeyId=x&Signature=abc%3D&Expires=1", "X-Amz-Signature=abc"])
def test_a_signed_link_is_known_and_its_secret_forgotten(query: str) -> None:
    found = access(line(f"{KEY}?{query}"))
    assert found.by_link
    assert found.key == KEY
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        line(status=404),
        line(status=304),
        line(method="HEAD"),
        line(method="PUT"),
        line("/deliveries/%ff%fe"),
        line().replace("26/Nov", "99/Nov"),
        line().replace("beast", "civetweb"),
        "",
        "2026-11-26T22:21:45.820+0000 7f3b8dfa36c0  1 ====== starting new request",
    ],
)
def test_what_is_no_download_is_passed_over(text: str) -> None:
    assert Access.parse(text) is None


@pytest.mark.parametrize("agent", ['x" bytes=0-999 latency=0s', '" 200 999999 - "', "latency=1s", "", "\\"])
def test_a_client_that_writes_fields_into_its_name_changes_nothing(agent: str) -> None:
    found = access(line(status=206, sent=10, asked="bytes=0-9", agent=agent))
    assert (found.sent, found.range) == (10, "bytes=0-9")


@pytest.mark.parametrize("before", ["", "x ", '" '])
def test_a_client_whose_name_is_a_whole_line_forges_no_download(before: str) -> None:
    forged = before + line(sent=999)
    assert Access.parse(line(status=404, agent=forged)) is None
    assert Access.parse(line(method="HEAD", agent=forged)) is None
    assert Access.parse(f"2026-11-26T22:21:45.820+0000 7f3b8dfa36c0 20 HTTP_USER_AGENT={forged}") is None
    assert access(line(sent=10, agent=forged)).sent == 10


def test_a_gateway_in_a_container_begins_its_lines_with_a_word() -> None:
    assert access(f"debug {line()}").key == KEY


@given(st.integers(0, 2000), st.integers(0, 2000), st.text("0123456789-", max_size=12), st.sampled_from(["bytes=", ""]))
def test_no_range_counts_more_than_went_out_or_is_there(size: int, sent: int, asked: str, unit: str) -> None:
    spans, _ = access(line(sent=sent, asked=f"{unit}{asked}" or "-")).spans(size)
    assert count(spans) <= min(sent, size)
    assert all(0 <= start < end <= size for start, end in spans)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    Access.parse(text)
    Access.parse(line(agent=text.replace("\n", " ")))
