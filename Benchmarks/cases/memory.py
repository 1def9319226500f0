"""(g): private memory of the service, of its jobs in each state, and of everybody whose consumer stalls."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from ..bench import Bench
from ..contenders import SLUICE, Contender, contenders
from ..processes import Failed, Program, eventually, pipes, private_bytes, proportional_bytes, tree
from ..results import Bar, CaseResult, Row
from ..service import Service
from ..sizes import GiB, KiB, MiB
from ..varlink import Client

MB = 1_000_000
# How often memory is looked at, in seconds.
STEP = 0.1


def run(bench: Bench) -> list[CaseResult]:
    result = CaseResult("g", "Memory that processes have to themselves (Private_Clean, Private_Dirty), and with their parts of what they share (Pss)")
    try:
        service, parked = service_bytes(bench), parked_bytes(bench)
        result.rows = [
            _row("idle service, two warm lanes", service, "idle"),
            _row("a streaming job, with its lane", service, "streaming"),
            _row("a stalled job, with its lane", service, "stalled"),
            Row(f"a parked job, of {bench.sizes.parked}", {"private MB": f"{parked / MB:.4f}", "Pss MB": ""}),
        ]
        result.bars = [
            Bar("idle service", service["idle"] / MB, 25, False, "MB"),
            Bar("a stalled job, with its lane", service["stalled"] / MB, 5, False, "MB"),
            Bar("a parked job", parked / KiB, 16, False, "KiB"),
        ]
    except Failed as failure:
        result.failures.append(str(failure))
    return [result, _of_everybody(bench)]


def _row(name: str, service: dict[str, float], state: str) -> Row:
    return Row(
        name, {"private MB": f"{service[state] / MB:.2f}", "Pss MB": f"{service[f'{state}, Pss'] / MB:.2f}"}
    )


def service_bytes(bench: Bench) -> dict[str, float]:
    """Of the idle service, and for each job that streams or is stalled: the daemon's growth and the job's lane together.

    Each of them private, and proportional (", Pss").
    """
    bench.origin.serve("stalled", bench.sizes.stalled_body, bench.native.consumer)
    with ExitStack() as stack:
        service = bench.another_service(stack)
        client = stack.enter_context(service.client())
        everything = service.processes()
        idle = {"idle": private_bytes(everything), "idle, Pss": proportional_bytes(everything)}
        daemon, daemons_part = private_bytes([service.pid]), proportional_bytes([service.pid])
        count = bench.sizes.held

        def each(state: str) -> dict[str, float]:
            """What one of the jobs has, once all are in this state."""
            lanes: list[int] = []

            def are_there() -> bool:
                # On a busy machine one of them is now and then in another state for a moment.
                lanes[:] = [int(str(job["laneProcessID"])) for job in client.jobs_in(state)]
                return len(lanes) == count and all(lanes)

            eventually(f"{count} jobs are {state}", 20, are_there)
            return {
                state: (private_bytes([service.pid]) - daemon + private_bytes(lanes)) / count,
                f"{state}, Pss": (proportional_bytes([service.pid, *lanes]) - daemons_part) / count,
            }

        # Paced by the origin, so that consumers keep up.
        paced = bench.origin.url("paced/stalled")
        ends = [client.pipes[client.fetch(paced)] for _ in range(count)]
        with Program([bench.native.drain, *map(str, ends)], pass_fds=ends):
            each("streaming")
            time.sleep(2)
            streaming = each("streaming")
        client.close_pipes()
        service.settle()
        for _ in range(count):
            client.fetch(bench.origin.url("stalled"))
        return idle | streaming | each("stalled")


def parked_bytes(bench: Bench) -> float:
    """The daemon's growth by each of many jobs that are parked: they have no lanes."""
    bench.origin.serve("stalled", bench.sizes.stalled_body, bench.native.consumer)
    with ExitStack() as stack:
        service = bench.another_service(stack, park_after=0.2)
        client = stack.enter_context(service.client())
        # The first ones make the daemon grow by what it keeps for any number of jobs.
        few, many = 20, bench.sizes.parked
        _park(bench, client, few)
        daemon = private_bytes([service.pid])
        _park(bench, client, few + many)
        return (private_bytes([service.pid]) - daemon) / many


def _park(bench: Bench, client: Client, count: int) -> None:
    """Has so many jobs parked, those counted that are."""
    while len(client.pipes) < count:
        client.fetch(bench.origin.url("stalled"))
    eventually("jobs are parked", 60, lambda: client.count("parked") == count)


def _of_everybody(bench: Bench) -> CaseResult:
    """Each contender on its own, over time: its consumer reads a mebibyte and then nothing."""
    sizes = bench.sizes
    result = CaseResult(
        "g", f"Private memory with a consumer that stalls after 1 MiB of {sizes.stalled_body / GiB:g} GiB, whole trees"
    )
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
            result.rows.append(
                Row(
                    contender.name,
                    {
                        "most, MB": f"{max(memory for _, memory in points):.1f}",
                        "at the end, MB": f"{points[-1][1]:.1f}",
                    },
                )
            )
    result.notes.append(
        "Of sluice it is the client, the daemon and two lanes, of which one is at work. Buffers of pipes and sockets are the kernel's."
    )
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
