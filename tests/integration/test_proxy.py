"""The wire of the tests loses nothing of what it carries."""

from __future__ import annotations

import os
import socket
import threading
import time

from tests.servers.proxy import CuttableProxy

SIZE = 16 * 1024 * 1024  # bytes, far more than the system holds of a connection


def test_what_both_ends_send_arrives_though_neither_reads_for_a_while() -> None:
    sent = os.urandom(SIZE), os.urandom(SIZE)
    got: dict[int, bytes] = {}

    def exchange(end: socket.socket, number: int) -> None:
        def send() -> None:
            end.sendall(sent[number])
            end.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(0.5)
        blocks = []
        while block := end.recv(65536):
            blocks.append(block)
        got[number] = b"".join(blocks)
        sender.join(timeout=30)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        CuttableProxy(listener.getsockname()[1]) as wire,
        socket.create_connection(("127.0.0.1", wire.port), timeout=30) as client,
        listener.accept()[0] as server,
    ):
        server.settimeout(30)
        threads = [threading.Thread(target=exchange, args=each) for each in ((client, 0), (server, 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert (got[0] == sent[1], got[1] == sent[0]) == (True, True)
