"""(g): private memory of the service, of its jobs in each state, and of everybody whose consumer stalls."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from ..bench import Bench
from ..contenders import SLUICE, Contender, contenders
from ..processes import Failed, Program, eventually, pipes, private_bytes, tree
from ..results import Bar, CaseResult, Row
from ..service import Service
from ..sizes import GiB, KiB, MiB
from ..varlink import Client

MB = 1_000_000
# How often memory is looked at, in seconds.
STEP = 0.1


def run(bench: Bench) -> list[CaseResult]:
    result = CaseResult("g", "Private memory (Private_Clean and Private_Dirty of all processes)")
    bench.origin.serve("stalled", bench.sizes.stalled_body, bench.native.consumer)
    for part in (_of_the_service, _of_parked_jobs):
        try:
            part(bench, result)
        except Failed as failure:
            result.failures.append(str(failure))
    return [result, _of_everybody(bench)]


def _of_the_service(bench: Bench, result: CaseResult) -> None:
    """Idle, and for each job that streams or is stalled, the daemon's growth and the job's lane together."""
    with ExitStack() as stack:
        service = bench.another_service(stack)
        client = stack.enter_context(service.client())
        idle, daemon = service.private_bytes(), private_bytes([service.pid])
        count = bench.sizes.held
        result.rows.append(Row("idle service, two warm lanes", {"MB": f"{idle / MB:.1f}"}))
        result.bars.append(Bar("idle service", idle / MB, 25, False, "MB"))

        def each(state: str) -> float:
            """What one of the jobs that are in this state now has."""
            jobs = client.jobs_in(state)
            lanes = [int(str(job["laneProcessID"])) for job in jobs]
            if len(jobs) < count or not all(lanes):
                raise Failed(f"{len(jobs)} jobs are {state}, not {count}")
            return (private_bytes([service.pid]) - daemon + private_bytes(lanes)) / len(jobs)

        # Paced by the origin, so that consumers keep up.
        paced = bench.origin.url("paced/stalled")
        with ExitStack() as streaming:
            readers = [client.fetch(paced) for _ in range(count)]
            ends = [client.pipes[job] for job in readers]
            streaming.enter_context(Program([bench.native.drain, *map(str, ends)], pass_fds=ends))
            eventually("jobs stream", 20, lambda: len(client.jobs_in("streaming")) == count)
            time.sleep(2)
            streams = each("streaming")
        client.close_pipes()
        service.settle()
        for _ in range(count):
            client.fetch(bench.origin.url("stalled"))
        eventually("jobs are stalled", 20, lambda: len(client.jobs_in("stalled")) == count)
        stalls = each("stalled")
        result.rows.append(Row("a streaming job, with its lane", {"MB": f"{streams / MB:.2f}"}))
        result.rows.append(Row("a stalled job, with its lane", {"MB": f"{stalls / MB:.2f}"}))
        result.bars.append(Bar("a stalled job, with its lane", stalls / MB, 5, False, "MB"))


def _of_parked_jobs(bench: Bench, result: CaseResult) -> None:
    """The daemon's growth by many of them: they have no lanes."""
    count = bench.sizes.parked
    with ExitStack() as stack:
        service = bench.another_service(stack, park_after=0.2)
        client = stack.enter_context(service.client())
        # The first ones make the daemon grow by what it keeps for any number of jobs.
        _park(bench, client, few := 20)
        daemon = private_bytes([service.pid])
        _park(bench, client, few + count)
        each = (private_bytes([service.pid]) - daemon) / count
        result.rows.append(Row(f"a parked job, of {count}", {"MB": f"{each / MB:.4f}"}))
        result.bars.append(Bar("a parked job", each / KiB, 16, False, "KiB"))


def _park(bench: Bench, client: Client, count: int) -> None:
    """Has so many jobs parked, those counted that are."""
    while len(client.pipes) < count:
        client.fetch(bench.origin.url("stalled"))
    eventually("jobs are parked", 60, lambda: client.count("parked") == count)


def _of_everybody(bench: Bench) -> CaseResult:
    """Each contender on its own, over time: its consumer reads a mebibyte and then nothing."""
    sizes = bench.sizes
    result = CaseResult("g", f"Private memory with a consumer that stalls after 1 MiB of {sizes.stalled_body / GiB:g} GiB, whole trees")
    with ExitStack() as stack:
        # One that has nothing left of other cases.
        service = bench.another_service(stack)
        present, _ = contenders(bench.built, service.socket, bench.origin, bench.native)
        for contender in present:
            try:
                points = _observe(bench, contender, service)
            except Failed as failure:
                result.failures.append(f"{contender.name}: {failure}")
                continue
            result.series[contender.name] = points
            result.rows.append(Row(contender.name, {
                "most, MB": f"{max(memory for _, memory in points):.1f}", "at the end, MB": f"{points[-1][1]:.1f}"}))
    result.notes.append("Of sluice it is the client, the daemon and two lanes, of which one is at work. Buffers of pipes and sockets are the kernel's.")
    return result


def _observe(bench: Bench, contender: Contender, service: Service) -> list[list[float]]:
    """Seconds and MB."""
    points: list[list[float]] = []
    with ExitStack() as stack:
        readers, writers = pipes(stack, 1)
        program = stack.enter_context(Program(contender.command(bench.origin.url("stalled")), stdout=writers[0]))
        os.close(writers.pop())
        begin = time.monotonic()
        missing = MiB
        while missing > 0:
            piece = os.read(readers[0], missing)
            if not piece:
                raise Failed(f"ended early: {program.errors()}")
            missing -= len(piece)
        while (now := time.monotonic() - begin) < bench.sizes.observe:
            pids = tree(program.pid) + (service.processes() if contender.name == SLUICE else [])
            points.append([now, private_bytes(pids) / MB])
            time.sleep(STEP)
        if program.has_ended():
            raise Failed(f"ended early: {program.errors()}")
    return points
