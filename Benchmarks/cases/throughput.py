"""(a) and (b): one large body into a program that freads. (h): the CPU time that takes."""

from __future__ import annotations

from statistics import median

from ..arithmetic import paired_ratio, spread
from ..bench import Bench, take_turns
from ..contenders import CURL, DIRECT, DRAIN, SLUICE, THREADS
from ..processes import Failed, Flow, flow
from ..results import Bar, CaseResult, Row
from ..sizes import GiB, MiB


def measure_body(bench: Bench, name: str, url: str, expected: str) -> Flow:
    """One body through one contender; the CPU time is that of its whole tree, the service's too, without the consumer."""
    before = bench.service.cpu() if name in (SLUICE, DIRECT) else 0.0
    if name == DIRECT:
        # The consumer is a child of sluicectl here, so it has to say itself what it has cost.
        command = [*bench.contender(SLUICE).command(url), "--", bench.native.consumer, "cpu"]
        result = flow(command, ["cat"], timeout=120)
        output, _, consumer = result.output.rstrip().rpartition(" ")
        result = Flow(result.seconds, result.cpu - int(consumer) / 1e6, output + "\n")
    else:
        result = flow(bench.contender(name).command(url), [bench.native.consumer], timeout=120)
    if result.output != expected:
        raise Failed(f"bytes and sum are {result.output.strip()} instead of {expected.strip()}")
    service = bench.service.cpu() - before if name in (SLUICE, DIRECT) else 0.0
    return Flow(result.seconds, result.cpu + service, result.output)


def run(bench: Bench, tls: bool) -> list[CaseResult]:
    sizes = bench.sizes
    way = "TLS" if tls else "HTTP"
    result = CaseResult(
        "b" if tls else "a", f"One body of {sizes.body / GiB:g} GiB over {way} into a C program that freads"
    )
    work = CaseResult("h", f"CPU seconds per GiB over {way}: client, service and lanes, without nginx and the consumer")
    expected = bench.origin.serve("large", sizes.body, bench.native.consumer)
    url = bench.origin.tls_url("large") if tls else bench.origin.url("large")
    names = [contender.name for contender in bench.contenders if contender.speaks_tls or not tls]
    if SLUICE in names:
        names.insert(0, DIRECT)
    measured = take_turns(names, sizes.rounds, lambda name: measure_body(bench, name, url, expected), result.failures)

    seconds = {name: [flow.seconds for flow in flows] for name, flows in measured.items()}
    cpu = {name: [flow.cpu for flow in flows] for name, flows in measured.items()}
    for name in measured:
        speeds = [sizes.body / MiB / value for value in seconds[name]]
        result.rows.append(
            Row(
                name,
                {"MiB/s": f"{median(speeds):,.0f}", "spread": f"{spread(speeds):.0%}"}
                | ({"× curl": f"{paired_ratio(seconds[CURL], seconds[name]):.2f}"} if CURL in measured else {}),
            )
        )
        result.series[name] = [[value] for value in speeds]
        each = [value * GiB / sizes.body for value in cpu[name]]
        work.rows.append(
            Row(
                name,
                {"CPU s/GiB": f"{median(each):.2f}"}
                | ({"× curl": f"{paired_ratio(cpu[name], cpu[CURL]):.2f}"} if CURL in measured else {}),
            )
        )
    limits = [(CURL, 0.95)] if tls else [(CURL, 1.2), (DRAIN, 2.5), (THREADS, 2.5)]
    for name, through in ((DIRECT, ""), (SLUICE, ", through the shell's pipe")):
        if name not in measured:
            continue
        for other, limit in limits:
            if other in measured:
                ratio = paired_ratio(seconds[other], seconds[name])
                result.bars.append(Bar(f"throughput over {way}, × {other}{through}", ratio, limit, True))
        if CURL in measured:
            ratio = paired_ratio(cpu[name], cpu[CURL])
            work.bars.append(Bar(f"CPU time over {way}, × {CURL}{through}", ratio, 1.25 if tls else 0.9, False))
    return [result, work]
