"""(d) and (k): many bodies at once, each into a pipe of its own that one reader drains."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from ..arithmetic import paired_ratio, spread
from ..bench import Bench, take_turns
from ..contenders import ARIA2, CURL, DRAIN, SLUICE, THREADS, aiohttp
from ..processes import Failed, Flow, Program, flow, pipes
from ..results import Bar, CaseResult, Row
from ..service import Service
from ..sizes import MiB

CLIENT, PROCESSES = "sluice, one client", "sluice, a sluicectl for each"
PARALLEL, FILES = "curl --parallel", "aria2c, into files"
# Starts what writes into these ends of pipes.
Writers = Callable[[ExitStack, list[int]], list[Program]]


@dataclass(frozen=True)
class Burst:
    """Bodies that are asked for at once."""

    bodies: int
    each: int
    url: str


def run(bench: Bench) -> list[CaseResult]:
    sizes = bench.sizes
    result = CaseResult("d", f"{sizes.bodies} bodies of {sizes.each / MiB:g} MiB at once, each into a pipe")
    bench.origin.serve("each", sizes.each, bench.native.consumer)
    url = bench.origin.url("each")
    burst = Burst(sizes.bodies, sizes.each, url)
    ways: dict[str, Callable[[], Flow]] = {
        CLIENT: lambda: one_client(bench, bench.service, burst),
        PROCESSES: lambda: _into_pipes(
            bench,
            burst,
            lambda stack, ends: [
                stack.enter_context(Program(bench.contender(SLUICE).command(url), stdout=end)) for end in ends
            ],
        ),
        PARALLEL: lambda: curl_parallel(bench, burst),
    }
    for name, way in ((DRAIN, "drain"), (THREADS, "threads")):
        if any(contender.name == name for contender in bench.contenders):
            ways[name] = partial(with_aiohttp, bench, way, burst)
    if shutil.which(ARIA2):
        ways[FILES] = lambda: _aria2(bench, url)

    def measure(name: str) -> Flow:
        before = bench.service.cpu() if name.startswith(SLUICE) else 0.0
        one = ways[name]()
        service = bench.service.cpu() - before if name.startswith(SLUICE) else 0.0
        return Flow(one.seconds, one.cpu + service, one.output)

    measured = take_turns(ways, sizes.rounds, measure, result.failures)
    seconds = {name: [one.seconds for one in flows] for name, flows in measured.items()}
    everything = sizes.bodies * sizes.each / MiB
    for name, flows in measured.items():
        speeds = [everything / value for value in seconds[name]]
        work = median(one.cpu for one in flows) / everything * 1024
        result.rows.append(
            Row(
                name, {"MiB/s": f"{median(speeds):,.0f}", "spread": f"{spread(speeds):.0%}", "CPU s/GiB": f"{work:.2f}"}
            )
        )
    if PARALLEL in measured and CLIENT in measured:
        result.bars.append(
            Bar(
                f"{sizes.bodies} bodies at once, × curl --parallel",
                paired_ratio(seconds[PARALLEL], seconds[CLIENT]),
                0.9,
                True,
            )
        )
    result.notes.append(
        "Bodies are read by one program as they come: the client itself, or one that has the other ends of the pipes."
    )
    return [result]


def one_client(bench: Bench, service: Service, burst: Burst) -> Flow:
    """One client of a service, with a connection for each body. The service's CPU time is not counted."""
    count = str(burst.bodies)
    # It counts for itself, and fails where a body is not whole.
    return flow([bench.native.client, service.socket, "jobs", count, count, str(burst.each), burst.url], ["cat"], 120)


def _into_pipes(bench: Bench, burst: Burst, start: Writers) -> Flow:
    """Starts writers for as many pipes as there are bodies, and has all of them drained."""
    with ExitStack() as stack:
        readers, writers = pipes(stack, burst.bodies)
        drain = stack.enter_context(
            Program([bench.native.drain, *map(str, readers)], pass_fds=readers, stdout=subprocess.PIPE)
        )
        begin = time.monotonic()
        programs = start(stack, writers)
        while writers:
            os.close(writers.pop())
        cpu = sum(program.successful(120).cpu for program in programs)
        drain.successful(120)
        seconds = time.monotonic() - begin
        counts = [int(line) for line in drain.stdout.read().split()]
        if counts != [burst.each] * burst.bodies:
            raise Failed(f"{sum(counts)} bytes instead of {burst.bodies} times {burst.each}")
        return Flow(seconds, cpu, "")


def curl_parallel(bench: Bench, burst: Burst) -> Flow:
    """One curl for all bodies."""
    return _into_pipes(bench, burst, lambda stack, ends: [_curl(bench, stack, burst.url, ends)])


def _curl(bench: Bench, stack: ExitStack, url: str, ends: list[int]) -> Program:
    command = [
        *bench.contender(CURL).command(url)[:-1],
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        str(len(ends)),
    ]
    for number, end in enumerate(ends):
        command += [f"{url}?{number}", "--output", f"/dev/fd/{end}"]
    return stack.enter_context(Program(command, pass_fds=ends))


def _aiohttp(bench: Bench, stack: ExitStack, way: str, url: str, ends: list[int]) -> Program:
    program = stack.enter_context(
        Program(aiohttp(way, bench.origin.authority, "pipes"), stdin=subprocess.PIPE, pass_fds=ends)
    )
    program.stdin.write("".join(f"{end} {url}?{number}\n" for number, end in enumerate(ends)).encode())
    program.stdin.close()
    return program


def with_aiohttp(bench: Bench, way: str, burst: Burst) -> Flow:
    """One Python process for all bodies."""
    return _into_pipes(bench, burst, lambda stack, ends: [_aiohttp(bench, stack, way, burst.url, ends)])


def _aria2(bench: Bench, url: str) -> Flow:
    """aria2c has no other place for bodies than files: these are in memory."""
    folder = bench.origin.root / "aria2c"
    folder.mkdir()
    try:
        names = bench.scratch / "aria2c-urls"
        names.write_text("".join(f"{url}?{number}\n  out={number}\n" for number in range(bench.sizes.bodies)))
        begin = time.monotonic()
        with Program(
            [
                "aria2c",
                "--no-conf",
                "--quiet",
                "--file-allocation=none",
                "--split=1",
                "--max-connection-per-server=16",
                "--max-concurrent-downloads",
                str(bench.sizes.bodies),
                "--dir",
                folder,
                "--input-file",
                names,
            ]
        ) as program:
            cpu = program.successful(120).cpu
        seconds = time.monotonic() - begin
        sizes = [path.stat().st_size for path in Path(folder).iterdir()]
        if sizes != [bench.sizes.each] * bench.sizes.bodies:
            raise Failed(f"{len(sizes)} files with {sum(sizes)} bytes")
        return Flow(seconds, cpu, "")
    finally:
        shutil.rmtree(folder)
