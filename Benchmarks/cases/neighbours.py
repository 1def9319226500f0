"""(f): how fast a job is beside others whose consumers do not read."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from statistics import median

from ..bench import Bench, take_turns
from ..contenders import CURL, DRAIN, SLUICE, THREADS, aiohttp
from ..processes import Failed, Program, eventually, pipes, readable
from ..results import Bar, CaseResult, Row
from ..sizes import MiB
from ..varlink import Client
from .parallel import PARALLEL
from .throughput import measure_body

# Gets pipes for stalled bodies, and an end for the fast one; starts the former, and returns what starts the latter.
StartStalled = Callable[[ExitStack, list[tuple[int, int]], int], Callable[[], None]]

# A fast job that takes so many times as long as alone is taken to stand still.
PATIENCE = 5


def run(bench: Bench) -> list[CaseResult]:
    sizes = bench.sizes
    result = CaseResult(
        "f", f"A job of {sizes.fast / MiB:g} MiB beside others whose consumers do not read: its speed, by that alone"
    )
    expected = bench.origin.serve("fast", sizes.fast, bench.native.consumer)
    bench.origin.serve("stalled", sizes.stalled_body, bench.native.consumer)
    slow, fast = bench.origin.url("stalled"), bench.origin.url("fast")

    def with_sluice() -> list[float]:
        return _beside_sluice(bench, slow, fast, expected)

    ways: dict[str, Callable[[], list[float]]] = {SLUICE: with_sluice}
    for name, way in ((DRAIN, "drain"), (THREADS, "threads")):
        if any(contender.name == name for contender in bench.contenders):
            ways[name] = partial(_beside_others, bench, _with_aiohttp(bench, way, slow, fast))
    ways[PARALLEL] = lambda: _beside_others(bench, _with_curl(bench, slow, fast))

    measured = take_turns(ways, sizes.rounds, lambda name: ways[name](), result.failures)
    for name, rounds in measured.items():
        # Each round has its own "alone": the machine may be slower for a while.
        shares = {
            number: median(speeds[index] / speeds[0] for speeds in rounds) for index, number in enumerate(sizes.stalled)
        }
        alone = median(speeds[0] for speeds in rounds)
        result.rows.append(
            Row(
                name,
                {"alone, MiB/s": f"{alone:,.0f}"}
                | {
                    f"beside {number}": f"{share:.2f}" if share else "stands still"
                    for number, share in shares.items()
                    if number
                },
            )
        )
        result.series[name] = [[number, share] for number, share in shares.items()]
        if name == SLUICE:
            for number, share in shares.items():
                if number:
                    result.bars.append(Bar(f"speed beside {number} stalled, × alone", share, 0.9, True))
    result.notes.append(
        f"The service runs as {bench.service.user}, whose pipes the kernel limits; a job that takes "
        f"{PATIENCE} times as long as alone is said to stand still, and not tried beside more."
    )
    return [result]


def _beside_sluice(bench: Bench, slow: str, fast: str, expected: str) -> list[float]:
    speeds: list[float] = []
    # The first one may still have a connection to make.
    measure_body(bench, SLUICE, fast, expected)
    with bench.service.client() as client:
        for number in bench.sizes.stalled:
            while len(client.pipes) < number:
                client.fetch(slow)
            eventually(f"{number} jobs are stalled", 60, partial(_are_stalled, client, number))
            speeds.append(bench.sizes.fast / MiB / measure_body(bench, SLUICE, fast, expected).seconds)
            if not _are_stalled(client, number):
                raise Failed("the stalled jobs did not stay so")
    bench.service.settle()
    return speeds


def _are_stalled(client: Client, number: int) -> bool:
    return client.count("stalled") >= number


def _beside_others(bench: Bench, start_stalled: StartStalled) -> list[float]:
    speeds: list[float] = []
    for number in bench.sizes.stalled:
        if 0 in speeds:
            # Nor will it move beside more of them.
            speeds.append(0.0)
            continue
        with ExitStack() as stack:
            readers, writers = pipes(stack, number + 1)
            drain = stack.enter_context(
                Program([bench.native.drain, str(readers[-1])], pass_fds=readers[-1:], stdout=subprocess.PIPE)
            )
            start_fast = start_stalled(stack, list(zip(readers, writers))[:-1], writers[-1])
            begin = time.monotonic()
            start_fast()
            while writers:
                os.close(writers.pop())
            patience = max(1.0, PATIENCE * bench.sizes.fast / MiB / speeds[0]) if speeds else 120.0
            try:
                drain.successful(patience)
            except Failed:
                if not speeds:
                    raise
                speeds.append(0.0)
                continue
            seconds = time.monotonic() - begin
            if int(drain.stdout.read()) != bench.sizes.fast:
                raise Failed("the fast body is not whole")
            speeds.append(bench.sizes.fast / MiB / seconds)
    return speeds


def _with_aiohttp(bench: Bench, way: str, slow: str, fast: str) -> StartStalled:
    def start(stack: ExitStack, stalled: list[tuple[int, int]], end: int) -> Callable[[], None]:
        ends = [writer for _, writer in stalled]
        command = aiohttp(way, bench.origin.authority, "pipes")
        program = stack.enter_context(
            Program(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[*ends, end])
        )
        # It is not the start of Python that is compared.
        program.stdout.readline()

        def order(ends: list[int], url: str) -> None:
            program.stdin.write("".join(f"{one} {url}\n" for one in ends).encode())
            program.stdin.flush()

        order(ends, slow)
        _wait_until_calm([reader for reader, _ in stalled])
        return lambda: order([end], fast)

    return start


def _with_curl(bench: Bench, slow: str, fast: str) -> StartStalled:
    """curl takes no orders once it runs, so all bodies begin together."""

    def start(stack: ExitStack, stalled: list[tuple[int, int]], end: int) -> Callable[[], None]:
        command = [
            *bench.contender(CURL).command(slow)[:-1],
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            "300",
        ]
        ends = [writer for _, writer in stalled]
        for one in ends:
            command += [slow, "--output", f"/dev/fd/{one}"]
        command += [fast, "--output", f"/dev/fd/{end}"]

        def start_all() -> None:
            stack.enter_context(Program(command, pass_fds=[*ends, end]))

        return start_all

    return start


def _wait_until_calm(readers: list[int], calm: float = 0.3, timeout: float = 10) -> None:
    """Until nothing more comes into these pipes, which nobody reads."""
    deadline = time.monotonic() + timeout
    before, since = -1, time.monotonic()
    while readers and time.monotonic() < deadline:
        now = sum(readable(reader) for reader in readers)
        if now != before:
            before, since = now, time.monotonic()
        elif now > 0 and time.monotonic() - since > calm:
            return
        time.sleep(0.02)
