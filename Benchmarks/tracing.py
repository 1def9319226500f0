"""System calls, counted by strace(1).

A service is counted from its start to its end, once with little work and once with much, so that the difference is the work's.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from .bench import Bench
from .contenders import CURL, SLUICE, contenders
from .processes import Command, Failed, flow
from .service import Service
from .sizes import KiB, MiB

BODY, PART, SMALL = 64 * MiB, 64 * KiB, 10 * KiB
MANY, FEW = 220, 20

# How often threads wait, and wake each other, depends on who else uses the processors: a small job has from 30 to 60 of these.
WAITING = frozenset(
    [
        "epoll_wait",
        "epoll_pwait",
        "epoll_pwait2",
        "epoll_ctl",
        "poll",
        "ppoll",
        "futex",
        "read",
        "write",
        "timerfd_settime",
        "recvmsg",
    ]
)
# Those of a service with its lanes and clients; the clients are started with the socket's service.
Clients = Callable[[Service], Command]


def system_calls(bench: Bench) -> dict[str, float]:
    """For each MiB of a body, with Sluice and with curl, and for each small job."""
    for name, size in (("body", BODY), ("part", PART), ("little", SMALL)):
        bench.origin.serve(name, size, bench.native.consumer)
    body, part = bench.origin.url("body"), bench.origin.url("part")

    def fetch(url: str) -> Clients:
        def client(service: Service) -> Command:
            present, _ = contenders(bench.built, service.socket, bench.origin, bench.native)
            return next(contender for contender in present if contender.name == SLUICE).command(url)

        return client

    def jobs(number: int) -> Clients:
        numbers = [str(number), "1", str(SMALL)]
        return lambda service: [bench.native.client, service.socket, "jobs", *numbers, bench.origin.url("little")]

    mebibytes = (BODY - PART) / MiB
    curl = bench.contender(CURL).command
    of_body = _of_service(bench, fetch(body)).total() - _of_service(bench, fetch(part)).total()
    of_curl = _of_command(bench, curl(body)).total() - _of_command(bench, curl(part)).total()
    of_jobs = without_waiting(_of_service(bench, jobs(MANY))) - without_waiting(_of_service(bench, jobs(FEW)))
    return {
        "calls of a body": of_body / mebibytes,
        "calls of curl": of_curl / mebibytes,
        "calls of a job": of_jobs / (MANY - FEW),
    }


def without_waiting(calls: Counter[str]) -> int:
    """All but those in WAITING."""
    return sum(count for name, count in calls.items() if name not in WAITING)


def parse(table: str) -> Counter[str]:
    """What `strace -c` prints: how often each system call was made."""
    line = r"^\s*\d+\.\d+\s+\d+\.\d+\s+\d+\s+(?P<calls>\d+)(?:\s+\d+)?\s+(?P<name>\w+)$"
    counts = Counter({found["name"]: int(found["calls"]) for found in re.finditer(line, table, re.MULTILINE)})
    total = counts.pop("total", 0)
    if total == 0 or total != counts.total():
        raise Failed(f"strace's table is not what it was: {table[:200]!r}")
    return counts


def _of_service(bench: Bench, client: Clients) -> Counter[str]:
    """Of a service, from its start to its end, and of its client."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder, ExitStack() as stack:
        table = Path(folder) / "calls"
        service = Service(stack, bench.built, bench.origin.authority, tracer=_strace(table))
        of_client = _of_command(bench, client(service))
        service.stop()
        return parse(table.read_text()) + of_client


def _of_command(bench: Bench, command: Command) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        table = Path(folder) / "calls"
        flow([*_strace(table), *command], [bench.native.consumer], 60)
        return parse(table.read_text())


def _strace(table: Path) -> list[str]:
    return ["strace", "--follow-forks", "--summary-only", "--output", str(table)]
