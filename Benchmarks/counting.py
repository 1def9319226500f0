"""Figures for the guard that a busy machine does not spoil.

System calls are counted by strace(1): of a service from its start to its end, once with little work and once with much, so
that the difference is the work's. CPU time is user and system time of whole trees, as a ratio to curl's for the same work; of
several turns the least counts, because what others do can only add to it. Memory and wake-ups are what they are. Instructions
would be better, but virtual machines seldom have the counters, and valgrind cannot run a lane: a lane forbids itself files
and system calls that valgrind needs.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from .arithmetic import wakeups
from .bench import Bench
from .cases.memory import parked_bytes, service_bytes
from .cases.throughput import measure_body
from .contenders import CURL, SLUICE, contenders
from .guard import Figure, better
from .processes import Failed, flow
from .service import Service
from .sizes import KiB, MiB

Figures = dict[str, Figure]

BODY = 64 * MiB
TURNS = 7
# For how long an idle service is let alone before its wake-ups are counted, and for how long they are at least.
CALM, WATCHED = 7.0, 5.0


def count(bench: Bench) -> Figures:
    """All of them: about half a minute."""
    figures: Figures = {}
    with ExitStack() as stack:
        idle = bench.another_service(stack)
        begin = time.monotonic()
        figures |= system_calls(bench)
        figures |= memory(bench)
        time.sleep(max(0.0, begin + CALM - time.monotonic()))
        before, since = idle.context_switches(), time.monotonic()
        figures |= cpu_of_bodies(bench)
        figures |= cpu_of_jobs(bench)
        time.sleep(max(0.0, since + WATCHED - time.monotonic()))
        per_second = wakeups(before, idle.context_switches()) / (time.monotonic() - since)
        # A second more or less of an otherwise regular timer.
        figures["wake-ups per second of an idle service"] = Figure(round(per_second, 1), slack=0.25)
    return figures


def again(bench: Bench, figures: Figures) -> Figures:
    """Takes the turns once more, and keeps the better figures."""
    fresh = cpu_of_bodies(bench) | cpu_of_jobs(bench)
    return {name: better(figure, fresh[name]) if name in fresh else figure for name, figure in figures.items()}


# ---- CPU time -----------------------------------------------------------------------------------------------------


def cpu_of_bodies(bench: Bench) -> Figures:
    expected = bench.origin.serve("body", BODY, bench.native.consumer)
    urls = {"HTTP": bench.origin.url("body"), "TLS": bench.origin.tls_url("body")}
    figures = {}
    for way, url in urls.items():
        least = _least({name: lambda name=name: measure_body(bench, name, url, expected).cpu for name in (SLUICE, CURL)})
        figures[f"CPU time of a body over {way}, × curl"] = Figure(least[SLUICE] / least[CURL])
    return figures


def cpu_of_jobs(bench: Bench) -> Figures:
    size, jobs = 10 * KiB, 200
    bench.origin.serve("little", size, bench.native.consumer)
    url = bench.origin.url("little")
    client = [bench.native.client, bench.service.socket, "jobs", str(jobs), "8", str(size), url]
    processes = [bench.native.first_byte, "20", str(size), *bench.contender(CURL).command(url)]

    def of_sluice() -> float:
        before = bench.service.cpu()
        return flow(client, ["cat"], 60).cpu + bench.service.cpu() - before

    least = _least({SLUICE: of_sluice, CURL: lambda: flow(processes, ["cat"], 60).cpu})
    return {"CPU time of a small job, × a curl process": Figure((least[SLUICE] / jobs) / (least[CURL] / 20))}


def _least(measure: dict[str, Callable[[], float]]) -> dict[str, float]:
    least: dict[str, float] = {}
    for _ in range(TURNS):
        for name, one in measure.items():
            least[name] = min(least.get(name, float("inf")), one())
    return least


# ---- memory -------------------------------------------------------------------------------------------------------


def memory(bench: Bench) -> Figures:
    figures = service_bytes(bench)
    return {
        "private MB of an idle service": Figure(figures["idle"] / 1e6),
        "private MB of a streaming job": Figure(figures["streaming"] / 1e6),
        "private MB of a stalled job": Figure(figures["stalled"] / 1e6),
        # The allocator's steps are large beside it.
        "private KiB of a parked job": Figure(parked_bytes(bench) / KiB, slack=0.5),
    }


# ---- system calls -------------------------------------------------------------------------------------------------


def system_calls(bench: Bench) -> Figures:
    little = 64 * KiB
    bench.origin.serve("body", BODY, bench.native.consumer)
    bench.origin.serve("less", little, bench.native.consumer)
    bench.origin.serve("little", 10 * KiB, bench.native.consumer)
    url, less = bench.origin.url("body"), bench.origin.url("less")

    def fetch(url: str) -> Callable[[Service], list[list[str | Path]]]:
        def commands(service: Service) -> list[list[str | Path]]:
            present, _ = contenders(bench.built, service.socket, bench.origin, bench.native)
            return [present[0].command(url)]
        return commands

    def jobs(number: int) -> Callable[[Service], list[list[str | Path]]]:
        return lambda service: [
            [bench.native.client, service.socket, "jobs", str(number), "8", str(10 * KiB), bench.origin.url("little")]]

    mebibytes = (BODY - little) / MiB
    of_body = (_calls_of_service(bench, fetch(url)) - _calls_of_service(bench, fetch(less))) / mebibytes
    curl = bench.contender(CURL).command
    of_curl = (_calls(bench, curl(url)) - _calls(bench, curl(less))) / mebibytes
    of_job = (_calls_of_service(bench, jobs(220)) - _calls_of_service(bench, jobs(20))) / 200
    return {
        "system calls per MiB of a body, × curl": Figure(of_body / of_curl),
        "system calls per small job": Figure(of_job),
    }


def _calls_of_service(bench: Bench, commands: Callable[[Service], list[list[str | Path]]]) -> float:
    """System calls of a service, from its start to its end, and of the clients that `commands` are."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder, ExitStack() as stack:
        summary = Path(folder) / "calls"
        service = Service(stack, bench.built, bench.origin.authority, tracer=_strace(summary))
        of_clients = sum(_calls(bench, command) for command in commands(service))
        service.stop()
        return _total(summary) + of_clients


def _calls(bench: Bench, command: list[str | Path]) -> float:
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        summary = Path(folder) / "calls"
        flow([*_strace(summary), *command], [bench.native.consumer], 60)
        return _total(summary)


def _strace(summary: Path) -> list[str]:
    return ["strace", "--follow-forks", "--summary-only", "--output", str(summary)]


def _total(summary: Path) -> float:
    """The line of all calls in strace's table."""
    found = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total$", summary.read_text(), re.MULTILINE)
    if found is None:
        raise Failed(f"strace has counted nothing: {summary.read_text()[:200]!r}")
    return float(found[1])
