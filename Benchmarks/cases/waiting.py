"""(j): what jobs cost while their origins are silent, or nearly so."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

from ..bench import Bench
from ..results import Bar, CaseResult, Row

# How many jobs wait at a time.
JOBS = (1, 8, 64)
# How long processor time is counted, in seconds.
SPAN = 5.0
# The pause between two bytes of a trickle, in seconds.
PAUSE = 0.2


class SilentOrigin:
    """Takes requests, and answers none of them, or a byte now and then; until it is closed."""

    def __init__(self, trickles: bool):
        self.trickles = trickles
        self.requests = threading.Semaphore(0)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.connections: list[socket.socket] = []
        self.is_closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except OSError:
            pass  # It was closed.

    def _serve(self, connection: socket.socket) -> None:
        try:
            while b"\r\n\r\n" not in connection.recv(65536, socket.MSG_PEEK):
                time.sleep(0.01)
            self.requests.release()
            if not self.trickles:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.is_closed.wait(PAUSE):
                connection.sendall(b"1\r\nx\r\n")
        except OSError:
            pass  # The client has gone.

    def close(self) -> None:
        self.is_closed.set()
        for opened in (self.listener, *self.connections):
            opened.close()


def run(bench: Bench) -> list[CaseResult]:
    result = CaseResult("j", f"Processor time while origins are silent, in percent of one processor, over {SPAN:g} s")
    for trickles, name in ((False, "wait for a head"), (True, "get a byte each 200 ms")):
        for jobs in JOBS:
            if trickles and jobs > 8:
                continue
            share = _measure(bench, jobs, trickles)
            result.rows.append(Row(f"{jobs} that {name}", {"lanes and daemon": f"{100 * share:.2f} %"}))
            if not trickles:
                result.bars.append(Bar(f"each of {jobs} waiting jobs", 100 * share / jobs, 1.0, False, "%"))
    return [result]


def _measure(bench: Bench, jobs: int, trickles: bool) -> float:
    """The share of a processor that the service takes while so many jobs wait."""
    with ExitStack() as stack:
        service = bench.another_service(stack)
        origin = SilentOrigin(trickles)
        stack.callback(origin.close)
        client = stack.enter_context(service.client())
        for _ in range(jobs):
            client.fetch(origin.url)
        for _ in range(jobs):
            origin.requests.acquire()
        # What lanes do when they start is not waiting.
        time.sleep(2)
        before = service.cpu()
        time.sleep(SPAN)
        return (service.cpu() - before) / SPAN
