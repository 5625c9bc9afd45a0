"""What OpenSSH's log says of a session becomes what was really sent, and never more."""

from __future__ import annotations

import pytest

from apps.openssh.log import SessionLog, message

NAME = "/deliveries/GLA-1/2026-03/edition-1/data.age"


def fed(*lines: str) -> tuple[SessionLog, list]:
    log = SessionLog(lambda: "2026-04-05T12:00:00Z")
    closed = [found for line in lines if (found := log.feed(line)) is not None]
    return log, closed


def opened(name: str = NAME, handle: int = 0, flags: str = "READ") -> list[str]:
    return [f'open "{name}" flags {flags} mode 0666', f"debug1: request 9: sent handle handle {handle}"]


def sent(
    offset: int, length: int, handle: int = 0, request: int = 10, asked: int = 261120, name: str = NAME
) -> list[str]:
    return [
        f'debug1: request {request}: read "{name}" (handle {handle}) off {offset} len {asked}',
        f"debug1: request {request}: sent data len {length}",
    ]


def cut(line: str) -> str:
    return line[:1023]  # as OpenSSH does


LONG = "/" * 980 + NAME


@pytest.mark.parametrize("handle", ["handle handle 0", "handle 0"], ids=["until 9.3", "since 9.4"])
def test_a_session_as_openssh_logs_it(handle):
    log, [closed] = fed(
        "session opened for local user fonds from [192.0.2.7]",
        "received client version 3",
        'stat name "/deliveries"',
        "debug1: request 4: sent attrib have 0xf",
        opened()[0],
        f"debug1: request 9: sent {handle}",
        *sent(0, 261120),
        *sent(261120, 8880, request=11),
        f'debug1: request 12: read "{NAME}" (handle 0) off 270000 len 261120',
        "sent status End of file",
        f'close "{NAME}" bytes read 270000 written 0',
        "sent status Success",
        "debug1: read eof",
        "session closed for local user fonds from [192.0.2.7]",
    )
    assert (log.address, log.over) == ("192.0.2.7", True)
    assert (closed.path, closed.spans, closed.by_client, closed.writing) == (NAME, ((0, 270000),), True, False)
    assert not log.unclear


def test_what_was_asked_and_not_sent_does_not_count():
    _, [closed] = fed(*opened(), *sent(0, 100)[:1], "sent status Failure", f'close "{NAME}" bytes read 0 written 0')
    assert closed.spans == ()


def test_an_answer_to_another_request_does_not_count():
    lines = [*sent(0, 100)[:1], "debug1: request 99: sent data len 100"]
    log, [closed] = fed(*opened(), *lines, f'close "{NAME}" bytes read 0 written 0')
    assert closed.spans == ()
    assert log.unclear


def test_a_name_so_long_that_its_line_is_cut_cannot_be_opened_unseen():
    """Nor does the file that was asked for before, and refused, become the one that is read."""
    refused = ['open "/deliveries" flags WRITE mode 0666', "sent status Permission denied"]
    opening = [cut(line) for line in opened(LONG)]
    log, closed = fed(*refused, opening[0])
    assert not log.unclear
    log.feed(opening[1])
    assert (closed, log.unclear, log.left()) == ([], True, [])


@pytest.mark.parametrize("request_number", [10, 77], ids=["the same", "another"])
def test_a_name_so_long_that_only_what_is_read_of_it_is_cut_cannot_be_read_unseen(request_number):
    """Nor is it taken for what was asked of another file, in a request of that number, and not sent."""
    name = "/" * (980 - len(NAME)) + NAME
    asked = sent(10**6, 0, request=10)[0]
    reading = [cut(line) for line in sent(0, 100, handle=1, request=request_number, name=name)]
    log, closed = fed(*opened(), *opened(name, handle=1), asked, "sent status End of file", *reading)
    assert (closed, log.unclear) == ([], True)
    assert [each.spans for each in log.left()] == [(), ()]


def test_a_name_that_ends_like_a_line_where_the_line_is_cut_is_no_reading_of_another_file():
    forged = '/incoming/GLA-1/x" (handle 0) off 0 len 261120'
    name = "/" * (1023 - len(cut(f'debug1: request 10: read "{forged}'))) + forged
    reading = [cut(line) for line in sent(0, 100, handle=1, name=name)]
    assert reading[0].endswith("(handle 0) off 0 len 261120")
    log, closed = fed(*opened(), *opened(name, handle=1, flags="READ,WRITE"), *reading)
    assert (closed, log.unclear) == ([], True)
    assert log.left()[0].spans == ()


def test_a_connection_that_broke_closes_by_force():
    _, [closed] = fed(*opened(), *sent(0, 100), f'forced close "{NAME}" bytes read 100 written 0')
    assert (closed.spans, closed.by_client) == (((0, 100),), False)


def test_a_session_that_was_killed_leaves_what_it_sent():
    log, closed = fed(*opened(), *sent(0, 100))
    [left] = log.left()
    assert (closed, left.spans, left.by_client) == ([], ((0, 100),), False)
    assert log.left() == []


@pytest.mark.parametrize("end", [[], [f'forced close "{NAME}" bytes read 100 written 0']], ids=["killed", "forced"])
def test_what_a_client_did_not_close_ended_when_it_last_sent_something(end: list[str]) -> None:
    moments = iter(["opened", "sent"])  # and what is noticed later has no time of its own
    log = SessionLog(lambda: next(moments))
    closed = [log.feed(line) for line in [*opened(), *sent(0, 100), *end]][-1]
    [found] = [closed] if closed else log.left()
    assert (found.started, found.ended) == ("opened", "sent")


def test_bytes_that_the_log_lost_make_no_whole_reading():
    _, [closed] = fed(*opened(), *sent(0, 100), f'close "{NAME}" bytes read 200 written 0')
    assert (closed.spans, closed.by_client) == (((0, 100),), False)


def test_the_same_file_twice_at_once_is_two_readings():
    _, closed = fed(
        *opened(handle=0),
        *opened(handle=1),
        *sent(0, 100, handle=0),
        *sent(100, 50, handle=1),
        f'close "{NAME}" bytes read 50 written 0',
        f'close "{NAME}" bytes read 100 written 0',
    )
    assert [each.spans for each in closed] == [((100, 150),), ((0, 100),)]
    assert all(each.by_client for each in closed)


def test_a_handle_is_used_again_by_another_file():
    _, closed = fed(
        *opened("/a"),
        'close "/a" bytes read 0 written 0',
        'opendir "/"',
        "debug1: request 5: sent handle handle 0",
        'closedir "/"',
        *opened("/b"),
        *sent(0, 5, name="/b"),
        'close "/b" bytes read 5 written 0',
    )
    assert [(each.path, each.spans) for each in closed] == [("/a", ()), ("/b", ((0, 5),))]


def test_a_file_that_was_sent_to_us():
    lines = opened("/receipts/x.ack", flags="WRITE,CREATE,TRUNCATE")
    write = 'debug1: request 7: write "/receipts/x.ack" (handle 0) off 0 len 80'
    _, [closed] = fed(*lines, write, "sent status Success", 'close "/receipts/x.ack" bytes read 0 written 80')
    assert (closed.writing, closed.by_client) == (True, True)


def test_a_file_of_which_the_disk_refused_a_part_is_not_complete_though_the_client_closed_it():
    lines = opened("/incoming/GLA-1/x", flags="WRITE,CREATE,TRUNCATE")
    writes = [f'debug1: request 7: write "/incoming/GLA-1/x" (handle 0) off {offset} len 80' for offset in (0, 80)]
    _, [closed] = fed(*lines, *writes, "sent status Failure", 'close "/incoming/GLA-1/x" bytes read 0 written 80')
    assert (closed.writing, closed.by_client) == (True, False)


def test_an_open_that_was_refused_is_nothing():
    _, closed = fed('open "/x" flags READ mode 0666', "sent status No such file", 'close "/x" bytes read 9 written 0')
    assert closed == []


@pytest.mark.parametrize(
    "name",
    [
        f'x" bytes read 9 written 0\\nclose "{NAME}',
        f'x" (handle 0) off 0 len 9\\ndebug1: request 10: sent data len 9 "{NAME}',
        "session closed for local user fonds from [192.0.2.7]",
    ],
)
def test_a_name_that_looks_like_the_log_says_nothing_of_another_file(name):
    log, closed = fed(
        *opened(), f'stat name "{name}"', f'open "{name}" flags READ mode 0666', "sent status No such file"
    )
    assert (closed, log.over) == ([], False)
    assert log.left()[0].spans == ()


def test_what_syslog_sends_is_taken_apart():
    assert message(b'<135>Nov 26 22:00:35 internal-sftp[19118]: close "/x" bytes read 5 written 0') == (
        'close "/x" bytes read 5 written 0'
    )
    assert message(b"<135>Nov  6 22:00:35 sshd[1]: a\xff\0") == "a\ufffd"
    assert [message(data) for data in (b"", b"\0", b"hello", b"<135>short")] == [None] * 4
