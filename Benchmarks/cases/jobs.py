"""(c): many small bodies, a few at a time, each through a pipe of its own."""

from __future__ import annotations

from statistics import median

from ..arithmetic import paired_ratio, spread
from ..bench import Bench, take_turns
from ..contenders import CURL, DRAIN, SLUICE, THREADS, aiohttp
from ..processes import Command, Failed, Flow, flow
from ..results import Bar, CaseResult, Row

CURL_EACH = "curl for each URL"


def run(bench: Bench) -> list[CaseResult]:
    sizes = bench.sizes
    result = CaseResult(
        "c", f"{sizes.jobs:,} bodies of {sizes.small >> 10} KiB, {sizes.inflight} at a time, a pipe for each"
    )
    bench.origin.serve("small", sizes.small, bench.native.consumer)
    url = bench.origin.url("small")
    urls = bench.scratch / "urls"
    urls.write_text("".join(f"{url}?{number}\n" for number in range(sizes.jobs)))
    numbers = [str(sizes.jobs), str(sizes.inflight), str(sizes.small)]
    # What writes bodies has them counted; what has read them from its pipes itself writes their number.
    one_at_a_time = bench.contender(CURL).command(url)[:-1]
    each = ["xargs", "-a", urls, "-n", "1", "-P", str(sizes.inflight), *one_at_a_time]
    commands: dict[str, Command] = {
        SLUICE: [bench.native.client, bench.service.socket, "jobs", *numbers, url],
        CURL_EACH: each,
    }
    for name, way in ((DRAIN, "drain"), (THREADS, "threads")):
        if any(contender.name == name for contender in bench.contenders):
            commands[name] = aiohttp(way, bench.origin.authority, "jobs", *numbers, url)

    def measure(name: str) -> Flow:
        before = bench.service.cpu() if name == SLUICE else 0.0
        one = flow(commands[name], [bench.native.consumer] if name == CURL_EACH else ["cat"], timeout=180)
        service = bench.service.cpu() - before if name == SLUICE else 0.0
        if int(one.output.split()[0]) != sizes.jobs * sizes.small:
            raise Failed(f"{one.output.strip()} bytes instead of {sizes.jobs * sizes.small}")
        return Flow(one.seconds, one.cpu + service, one.output)

    measured = take_turns(commands, sizes.rounds, measure, result.failures)
    seconds = {name: [one.seconds for one in flows] for name, flows in measured.items()}
    for name, flows in measured.items():
        rates = [sizes.jobs / value for value in seconds[name]]
        milliseconds = median(one.cpu for one in flows) / sizes.jobs * 1000
        result.rows.append(
            Row(
                name,
                {
                    "jobs/s": f"{median(rates):,.0f}",
                    "spread": f"{spread(rates):.0%}",
                    "CPU ms/job": f"{milliseconds:.2f}",
                },
            )
        )
        result.series[name] = [[rate] for rate in rates]
    for other, limit in ((CURL_EACH, 8.0), (DRAIN, 0.5), (THREADS, 0.5)):
        if SLUICE in measured and other in measured:
            ratio = paired_ratio(seconds[other], seconds[SLUICE])
            result.bars.append(Bar(f"jobs per second, × {other}", ratio, limit, True))
    return [result]
