"""(e): how long the first byte of a small body takes, one after another."""

from __future__ import annotations

from statistics import median

from ..arithmetic import percentile
from ..bench import Bench, take_turns
from ..contenders import CURL, SLUICE, WGET
from ..processes import Command, Failed
from ..processes import run as run_program
from ..results import Bar, CaseResult, Row

CONNECTED, PROCESS = "sluice, connected client", "sluice, a sluicectl for each URL"


def run(bench: Bench) -> list[CaseResult]:
    sizes = bench.sizes
    result = CaseResult("e", f"First byte of a body of {sizes.small >> 10} KiB from a warm service, one after another")
    bench.origin.serve("small", sizes.small, bench.native.consumer)
    url = bench.origin.url("small")
    numbers = [str(sizes.samples), str(sizes.small)]
    commands: dict[str, Command] = {
        CONNECTED: [bench.native.client, bench.service.socket, "latency", *numbers, url],
        PROCESS: [bench.native.first_byte, *numbers, *bench.contender(SLUICE).command(url)],
    }
    for contender in bench.contenders:
        if contender.name in (CURL, WGET):
            commands[f"{contender.name} for each URL"] = [bench.native.first_byte, *numbers, *contender.command(url)]
    # Warm means that a lane of this user has a connection.
    run_program([bench.native.client, bench.service.socket, "latency", "3", str(sizes.small), url])

    def measure(name: str) -> list[float]:
        samples = [int(line) / 1e6 for line in run_program(commands[name], timeout=120).split()]
        if len(samples) != sizes.samples:
            raise Failed(f"{len(samples)} samples instead of {sizes.samples}")
        return samples

    measured = take_turns(commands, sizes.rounds, measure, result.failures)
    middles: dict[str, float] = {}
    ends: dict[str, float] = {}
    for name, rounds in measured.items():
        middles[name] = median(percentile(samples, 0.5) for samples in rounds)
        ends[name] = median(percentile(samples, 0.99) for samples in rounds)
        result.rows.append(Row(name, {"p50 ms": f"{middles[name]:.2f}", "p99 ms": f"{ends[name]:.2f}"}))
        result.series[name] = [[value] for samples in rounds for value in samples]
    other = f"{CURL} for each URL"
    if CONNECTED in measured and other in measured:
        result.bars.append(Bar("p50 to first byte, × p50 of curl", middles[CONNECTED] / middles[other], 0.4, False))
        result.bars.append(Bar("p99 to first byte, × p50 of curl", ends[CONNECTED] / middles[other], 1.0, False))
    return [result]
