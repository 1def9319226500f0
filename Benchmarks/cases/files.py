"""(l): one body into a file, and to where nothing is kept."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ..arithmetic import paired_ratio, spread
from ..bench import Bench, take_turns
from ..contenders import CURL, SLUICE
from ..processes import Command, Failed, Flow, Program
from ..results import Bar, CaseResult, Row
from ..sizes import MiB

# The file's data and its name are on the disk when sluicectl has ended.
KEPT, CURL_KEPT = "sluice -o FILE", "curl -o FILE, then sync FILE"
INTO, CURL_INTO = "sluice > FILE", "curl > FILE"
NOWHERE, CURL_NOWHERE = "sluice > /dev/null", "curl > /dev/null"
PAIRS = ((KEPT, CURL_KEPT), (INTO, CURL_INTO), (NOWHERE, CURL_NOWHERE))


def run(bench: Bench) -> list[CaseResult]:
    size = bench.sizes.file
    result = CaseResult("l", f"One body of {size / MiB:g} MiB into a file, or nowhere")
    bench.origin.serve("file", size, bench.native.consumer)
    url = bench.origin.url("file")
    path = bench.scratch / "file"
    sluice, curl = bench.contender(SLUICE).command(url), bench.contender(CURL).command(url)
    then_sync = ["sh", "-c", 'out="$1"; shift; "$@" --output "$out" && sync "$out"', "sh", path, *curl]
    ways: dict[str, Callable[[], Flow]] = {
        KEPT: lambda: _fetch(bench, [*sluice, "-o", path], path, size),
        CURL_KEPT: lambda: _fetch(bench, then_sync, path, size),
        INTO: lambda: _fetch(bench, sluice, path, size, opens=path),
        CURL_INTO: lambda: _fetch(bench, curl, path, size, opens=path),
        NOWHERE: lambda: _fetch(bench, sluice, None, size, opens=Path(os.devnull)),
        CURL_NOWHERE: lambda: _fetch(bench, curl, None, size, opens=Path(os.devnull)),
    }
    measured = take_turns(ways, bench.sizes.rounds, lambda name: ways[name](), result.failures)
    seconds = {name: [one.seconds for one in flows] for name, flows in measured.items()}
    for name, flows in measured.items():
        figures = {
            "s": f"{median(seconds[name]):.2f}",
            "spread": f"{spread(seconds[name]):.0%}",
            "CPU s": f"{median(one.cpu for one in flows):.2f}",
        }
        result.rows.append(Row(name, figures))
    for ours, theirs in PAIRS:
        if ours in measured and theirs in measured:
            ratio = paired_ratio(seconds[ours], seconds[theirs])
            result.bars.append(Bar(f"time of {ours}, × {theirs}", ratio, 1.1, False))
    return [result]


def _fetch(bench: Bench, command: Command, path: Path | None, size: int, opens: Path | None = None) -> Flow:
    """One body; `opens` is a file for the standard output."""
    if path is not None:
        path.unlink(missing_ok=True)
    # What the one before has left to be written is not this one's.
    subprocess.run(["sync"], check=True)
    before = bench.service.cpu()
    begin = time.monotonic()
    stdout = os.open(opens, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) if opens is not None else None
    try:
        with Program(command, stdout=stdout) as program:
            ended = program.successful(120)
            seconds = time.monotonic() - begin
    finally:
        if stdout is not None:
            os.close(stdout)
    if path is not None:
        if path.stat().st_size != size:
            raise Failed(f"{program.describe()}: the file has {path.stat().st_size} bytes instead of {size}")
        path.unlink()
    return Flow(seconds, ended.cpu + bench.service.cpu() - before, "")
