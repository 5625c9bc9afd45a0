"""An HTTP server in front of another one, which fails when it is told to."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>"
_PATIENCE = 60.0  # seconds
FAULTS = ("500", "503", "cut", "lost")  # lost: the request is carried out and its answer never arrives


@dataclass
class FaultyHttp:
    """`fails(number, request)` names the fault of a request, counted from 1, or is None; `request` is `METHOD path`."""

    target: str
    fails: Callable[[int, str], str | None] = lambda _number, _request: None
    requests: list[str] = field(default_factory=list)
    certificate: Path | None = None  # with its key: then it speaks TLS
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._lock, self._now = threading.Lock(), 0
        self._go_on = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def carry(self, handler: BaseHTTPRequestHandler) -> None:
        request = f"{handler.command} {handler.path}"
        with self._lock:
            self.requests.append(request)
            fault = self.fails(len(self.requests), request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            self._answer(handler, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, handler: BaseHTTPRequestHandler, fault: str | None) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if fault == "stall":
            self._go_on.wait(_PATIENCE)
        if fault == "slow":
            time.sleep(0.3)
        if fault in {"cut", "stall"}:
            handler.close_connection = True
            return
        if fault in {"500", "503"}:
            _send(handler, int(fault), [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        status, headers, content = self._ask(handler, body)
        if fault == "lost":
            handler.close_connection = True
        else:
            _send(handler, status, headers, content)

    def _ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=_PATIENCE)
        headers = {
            name: value for name, value in handler.headers.items() if name.lower() not in {"expect", "connection"}
        }
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        hop = {"transfer-encoding", "connection", "content-length"}
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in hop]
        length = answer.getheader("Content-Length")
        return answer.status, [*kept, ("Content-Length", length or str(len(content)))], content

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def handle_any(self) -> None:
                try:
                    outer.carry(self)
                except OSError:  # the client has gone
                    self.close_connection = True

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

        return Handler


def _send(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    handler.send_response_only(status)
    for name, value in headers:
        handler.send_header(name, value)
    if not any(name.lower() == "content-length" for name, _ in headers):
        handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)
