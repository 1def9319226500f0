"""(k): bursts of bodies on a service that has just started, and once more on the same."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from ..arithmetic import paired_ratio
from ..bench import Bench, take_turns
from ..contenders import DRAIN
from ..processes import Flow
from ..results import Bar, CaseResult, Row
from ..service import Service
from ..sizes import KiB, MiB
from .parallel import PARALLEL, Burst, curl_parallel, one_client, with_aiohttp

COLD, WARM = "sluice, cold", "sluice, warm"


def run(bench: Bench) -> list[CaseResult]:
    return [_burst(bench, bodies, each) for bodies, each in bench.sizes.bursts]


def _burst(bench: Bench, bodies: int, each: int) -> CaseResult:
    size = f"{each / MiB:g} MiB" if each >= MiB else f"{each / KiB:g} KiB"
    result = CaseResult("k", f"{bodies} bodies of {size} at once, each into a pipe")
    name = f"burst-{each}"
    bench.origin.serve(name, each, bench.native.consumer)
    burst = Burst(bodies, each, bench.origin.url(name))
    warm: list[Flow] = []
    lanes: list[int] = []

    def cold() -> Flow:
        with ExitStack() as stack:
            service = bench.another_service(stack)
            first = _fetch(bench, service, burst)
            lanes.append(service.lanes())
            service.settle()
            warm.append(_fetch(bench, service, burst))
            return first

    ways = {COLD: cold, PARALLEL: lambda: curl_parallel(bench, burst)}
    if any(contender.name == DRAIN for contender in bench.contenders):
        ways[DRAIN] = lambda: with_aiohttp(bench, "drain", burst)
    measured = take_turns(ways, bench.sizes.rounds, lambda name: ways[name](), result.failures)
    if COLD in measured:
        measured[WARM] = warm
    seconds = {name: [one.seconds for one in flows] for name, flows in measured.items()}
    for name, flows in measured.items():
        figures = {
            "ms": f"{median(seconds[name]) * 1000:,.0f}",
            "bodies/s": f"{bodies / median(seconds[name]):,.0f}",
            "CPU ms/body": f"{median(one.cpu for one in flows) * 1000 / bodies:.2f}",
        }
        if name == COLD:
            figures["lanes"] = f"{median(lanes):g}"
        result.rows.append(Row(name, figures))
    for other, limits in ((PARALLEL, {COLD: 0.9}), (DRAIN, {COLD: 1.0, WARM: 1.5})):
        for name, limit in limits.items():
            if name in measured and other in measured:
                ratio = paired_ratio(seconds[other], seconds[name])
                result.bars.append(Bar(f"{bodies} of {size} on a {name[8:]} service, × {other}", ratio, limit, True))
    return result


def _fetch(bench: Bench, service: Service, burst: Burst) -> Flow:
    before = service.cpu()
    one = one_client(bench, service, burst)
    return Flow(one.seconds, one.cpu + service.cpu() - before, one.output)
