"""Figures for the guard that a busy machine does not spoil.

System calls are what strace counts (tracing), with everything but nginx on one processor. Memory and wake-ups are what they are.
All of these are the same on every machine. CPU time (`times`) is user and system time of whole trees, as a ratio to curl's for the
same work, also on one processor; of several turns the least counts, because what others do can only add to it. It is another ratio on
another kind of processor, so it is of use only where it was recorded: the long form has it.
Instructions would be better, but virtual machines seldom have the counters, and valgrind cannot run a lane: a lane forbids itself
files and system calls that valgrind needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from .arithmetic import wakeups
from .bench import Bench
from .cases.memory import parked_bytes, service_bytes
from .cases.throughput import measure_body
from .contenders import CURL, SLUICE
from .guard import Figure
from .processes import Command, flow, minor_faults, one_processor
from .sizes import KiB
from .tracing import BODY, system_calls

Figures = dict[str, Figure]

TURNS = 5
# What the least of them still varies by on a machine that others use.
NOISE = 0.3
# For how long an idle service is let alone before its wake-ups are counted, and for how long they are at least.
CALM, WATCHED = 12.0, 5.0


class Counter:
    """Counts, and counts again. A ratio is that of the least of all counts so far, for noise may hit either side of it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        with one_processor():
            self._pinned = bench.with_another_service()
        self._least: dict[str, float] = {}
        self._settled: Figures = {}

    def count(self) -> Figures:
        """All of them: about half a minute."""
        bench = self._bench
        with ExitStack() as stack:
            idle = bench.another_service(stack)
            # A lane that was started as a program has had ten times as many.
            self._settled["page faults of a lane's start"] = Figure(max(minor_faults(idle.lane_processes())), slack=0.5)
            begin = time.monotonic()
            self._settled |= memory(bench)
            time.sleep(max(0.0, begin + CALM - time.monotonic()))
            before, since = idle.context_switches(), time.monotonic()
            figures = self.again()
            time.sleep(max(0.0, since + WATCHED - time.monotonic()))
            per_second = wakeups(before, idle.context_switches()) / (time.monotonic() - since)
            # One or two in all that time are chance, and are rounded away; a timer is not.
            self._settled["wake-ups per second of an idle service"] = Figure(math.floor(per_second * 5) / 5, slack=1.0)
        return figures | self._settled

    def again(self) -> Figures:
        """Counts once more what varies."""
        with one_processor():
            counts = system_calls(self._pinned)
        for name, value in counts.items():
            self._least[name] = min(value, self._least.get(name, value))
        least = self._least
        return self._settled | {
            "system calls per MiB of a body, × curl": Figure(
                least["calls of a body"] / least["calls of curl"], slack=0.25
            ),
            "system calls per small job, without waiting and waking": Figure(least["calls of a job"]),
        }


# ---- CPU time -----------------------------------------------------------------------------------------------------


def times(bench: Bench) -> Figures:
    """What bodies and small jobs cost, beside curl."""
    with one_processor():
        pinned = bench.with_another_service()
        least = _cpu_of_bodies(pinned) | _cpu_of_jobs(pinned)
    return {
        "CPU time of a body over HTTP, × curl": Figure(
            least["CPU, HTTP, sluice"] / least["CPU, HTTP, curl"], slack=NOISE
        ),
        "CPU time of a body over TLS, × curl": Figure(
            least["CPU, TLS, sluice"] / least["CPU, TLS, curl"], slack=NOISE
        ),
        "CPU time of a small job, × a curl process": Figure(
            least["CPU, job"] / least["CPU, curl process"], slack=NOISE
        ),
    }


def _cpu_of_bodies(bench: Bench) -> dict[str, float]:
    expected = bench.origin.serve("body", BODY, bench.native.consumer)
    urls = {"HTTP": bench.origin.url("body"), "TLS": bench.origin.tls_url("body")}

    def cpu(name: str, url: str) -> float:
        return measure_body(bench, name, url, expected).cpu

    return _least(
        {f"CPU, {way}, {name}": partial(cpu, name, url) for way, url in urls.items() for name in (SLUICE, CURL)}
    )


def _cpu_of_jobs(bench: Bench) -> dict[str, float]:
    size, jobs, processes = 10 * KiB, 200, 20
    bench.origin.serve("little", size, bench.native.consumer)
    url = bench.origin.url("little")
    client: Command = [bench.native.client, bench.service.socket, "jobs", str(jobs), "8", str(size), url]
    curl: Command = [bench.native.first_byte, str(processes), str(size), *bench.contender(CURL).command(url)]

    def of_sluice() -> float:
        before = bench.service.cpu()
        return (flow(client, ["cat"], 60).cpu + bench.service.cpu() - before) / jobs

    return _least({"CPU, job": of_sluice, "CPU, curl process": lambda: flow(curl, ["cat"], 60).cpu / processes})


def _least(measure: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The least of several turns for each."""
    least: dict[str, float] = {}
    for _ in range(TURNS):
        for name, one in measure.items():
            least[name] = min(least.get(name, float("inf")), one())
    return least


# ---- memory -------------------------------------------------------------------------------------------------------


def memory(bench: Bench) -> Figures:
    figures = service_bytes(bench)
    return {
        # They are small, so that a few pages more or less are a large part of them.
        "private MB of an idle service": Figure(figures["idle"] / 1e6, slack=0.35),
        "private MB of a streaming job": Figure(figures["streaming"] / 1e6, slack=0.35),
        "private MB of a stalled job": Figure(figures["stalled"] / 1e6, slack=0.35),
        # The allocator's steps are large beside it.
        "private KiB of a parked job": Figure(parked_bytes(bench) / KiB, slack=0.5),
    }
