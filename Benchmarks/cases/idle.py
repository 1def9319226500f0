"""(i): whether a service with nothing to do sleeps."""

from __future__ import annotations

import time
from contextlib import ExitStack

from ..arithmetic import wakeups
from ..bench import Bench
from ..processes import run as run_program
from ..results import Bar, CaseResult, Row


def run(bench: Bench) -> list[CaseResult]:
    sizes = bench.sizes
    result = CaseResult("i", f"Wake-ups per second of an idle service, over {sizes.idle:g} s")
    bench.origin.serve("small", sizes.small, bench.native.consumer)
    with ExitStack() as stack:
        fresh, used = bench.another_service(stack), bench.another_service(stack)
        run_program([bench.native.client, used.socket, "jobs", "50", "8", str(sizes.small), bench.origin.url("small")])
        used.settle()
        # Threads of a runtime's pool that have nothing to do end after some seconds; that is not idling yet.
        time.sleep(sizes.idle + 5)
        names = {"started, nothing done yet": fresh, "after 50 jobs, lanes kept for the next": used}
        before = {name: service.context_switches() for name, service in names.items()}
        time.sleep(sizes.idle)
        for name, service in names.items():
            after = service.context_switches()
            per_second = wakeups(before[name], after) / sizes.idle
            result.rows.append(
                Row(
                    name,
                    {
                        "wake-ups/s": f"{per_second:.2f}",
                        "processes": f"{len(service.processes())}",
                        "threads": f"{len(after)}",
                    },
                )
            )
            if service is fresh:
                result.bars.append(Bar("wake-ups of an idle service", per_second, 0.0, False, "/s"))
    return [result]
