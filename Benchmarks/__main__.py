"""The command line: see `python -m Benchmarks --help`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from .bench import REPOSITORY, Bench, load_average, say
from .cases import CASES
from .machine import describe_machine, missing, versions
from .processes import Failed
from .report import table
from .results import CaseResult, Results
from .sizes import FULL, SHORT


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m Benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the cases and print the table")
    run.add_argument("--built", type=Path, default=REPOSITORY / ".build/release", help="where the programs are")
    run.add_argument("--short", action="store_true", help="small bodies and few rounds")
    run.add_argument("--cases", default="".join(CASES), help="the letters of some")
    arguments = parser.parse_args()
    # So that a `kill` leaves nothing behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reason = missing(arguments.built)
    if reason:
        say(reason)
        return 2
    return run_cases(arguments)


def run_cases(arguments: argparse.Namespace) -> int:
    sizes = SHORT if arguments.short else FULL
    say(f"load average {load_average():.2f}; {'a quiet machine' if load_average() < 1.5 else 'others are at work: figures will be noisy'}")
    cases: list[CaseResult] = []
    with ExitStack() as stack:
        bench = Bench.start(stack, arguments.built.resolve(), sizes)
        for key in arguments.cases:
            begin = time.monotonic()
            try:
                cases += CASES[key](bench)
            except Failed as failure:
                cases.append(CaseResult(key, "could not be run", failures=[str(failure)]))
            say(f"({key}) took {time.monotonic() - begin:.1f} s")
        absent = bench.absent
    results = Results(
        command="make bench-short" if arguments.short else "make bench", date=time.strftime("%Y-%m-%d", time.gmtime()),
        form=sizes.name, machine=describe_machine(), versions=versions(arguments.built), absent=absent, cases=cases)
    results.save(REPOSITORY / ".build/bench/results.json")
    print(table(results))
    return 1 if any(case.failures for case in cases) else 0


sys.exit(main())
