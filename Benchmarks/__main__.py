"""The command line: see `python -m Benchmarks --help`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from . import comparing, counting
from .bench import REPOSITORY, Bench, load_average, say
from .cases import CASES
from .guard import Figure, Verdict, judge, load, save
from .machine import describe_machine, linking, missing, versions
from .plots import draw
from .processes import Failed
from .report import is_quiet, table, write_document
from .results import CaseResult, Results
from .sizes import CHECK, FULL, SHORT

# The latest run of everything in full, of which the document can be written again.
SAVED = REPOSITORY / ".build/bench/results.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m Benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the cases and print the table")
    run.add_argument("--built", type=Path, default=REPOSITORY / ".build/release", help="where the programs are")
    run.add_argument("--short", action="store_true", help="small bodies and few rounds")
    run.add_argument("--rounds", type=int, help="in place of the form's")
    run.add_argument("--cases", default="".join(CASES), help="the letters of some")
    commands.add_parser("write", help="write docs/benchmarks.md again, from the latest run")
    check = commands.add_parser("check", help="compare with what was recorded")
    check.add_argument("--built", type=Path, default=REPOSITORY / ".build/release", help="where the programs are")
    check.add_argument("--short", action="store_true", help="only what a busy machine does not spoil")
    check.add_argument("--record", action="store_true", help="record instead of comparing")
    arguments = parser.parse_args()
    if arguments.command == "run" and (unknown := set(arguments.cases) - set(CASES)):
        parser.error(f"there is no case {''.join(sorted(unknown))}: give letters of {''.join(CASES)}; (h) comes with (a) and (b)")
    # So that a `kill` leaves nothing behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.command == "write":
        write(Results.load(SAVED))
        return 0
    reason = missing(arguments.built)
    if reason:
        say(reason)
        return 2
    try:
        return run_cases(arguments) if arguments.command == "run" else run_check(arguments)
    except Failed as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        return 130


def run_cases(arguments: argparse.Namespace) -> int:
    sizes = SHORT if arguments.short else FULL
    command = "make bench-short" if arguments.short else "make bench"
    if arguments.rounds:
        sizes = replace(sizes, rounds=arguments.rounds)
        command += f" ROUNDS={arguments.rounds}"
    load = f"{load_average():.2f}"
    calm = "the machine is quiet" if is_quiet(load) else "others are at work, and figures will be noisy"
    say(f"load average {load}: {calm}")
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
        command=command,
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        form=sizes.name,
        rounds=sizes.rounds,
        load_average=load,
        machine=describe_machine(),
        versions=versions(arguments.built),
        absent=absent,
        cases=cases,
    )
    print(table(results))
    if not arguments.short and set(arguments.cases) == set(CASES):
        results.save(SAVED)
        write(results)
    return 1 if any(case.failures for case in cases) else 0


def write(results: Results) -> None:
    """docs/benchmarks.md and its pictures."""
    docs = REPOSITORY / "docs"
    draw(results, docs / "benchmarks")
    write_document(results, Path(__file__).parent / "template.md", docs / "benchmarks.md")
    say("wrote docs/benchmarks.md")


def run_check(arguments: argparse.Namespace) -> int:
    build = linking(arguments.built)
    with ExitStack() as stack:
        bench = Bench.start(stack, arguments.built.resolve(), CHECK)
        counter = counting.Counter(bench)
        verdicts = _judge(build, "counts", counter.count(), lambda _: counter.again(), arguments.record)
        if not arguments.short:
            ratios = comparing.ratios(bench)
            verdicts += _judge(
                build, "ratios", ratios, lambda figures: comparing.again(bench, figures), arguments.record
            )
    print("\n".join(map(str, verdicts)))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _judge(
    build: str,
    kind: str,
    figures: dict[str, Figure],
    again: Callable[[dict[str, Figure]], dict[str, Figure]],
    record: bool,
) -> list[Verdict]:
    """What seems worse is measured again, twice: a machine that others use makes figures worse for a while, a mistake stays."""
    if record:
        for _ in range(2):
            figures = again(figures)
        save(build, kind, figures)
    recorded = load(build, kind)
    verdicts = judge(figures, recorded)
    for _ in range(2):
        if all(verdict.passed for verdict in verdicts):
            break
        say("some figures are worse than recorded: measuring again")
        figures = again(figures)
        verdicts = judge(figures, recorded)
    return verdicts


sys.exit(main())
