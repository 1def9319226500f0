"""The cases, by their letters. (h) comes out of (a) and (b)."""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..results import CaseResult
from . import bursts, files, idle, jobs, latency, memory, neighbours, parallel, throughput, waiting

CASES: dict[str, Callable[[Bench], list[CaseResult]]] = {
    "a": lambda bench: throughput.run(bench, tls=False),
    "b": lambda bench: throughput.run(bench, tls=True),
    "c": jobs.run,
    "d": parallel.run,
    "e": latency.run,
    "f": neighbours.run,
    "g": memory.run,
    "i": idle.run,
    "j": waiting.run,
    "k": bursts.run,
    "l": files.run,
}
