"""What the service uses when it has nothing to do: it must be the same before and after."""

import os
import time
from dataclasses import dataclass

import trouble
import wire


@dataclass
class Idle:
    """The numbers, at a moment of rest."""
    lanes: int = 0
    descriptors: int = 0
    lane_descriptors: int = 0
    stored: int = 0
    processes: int = 0
    private_kib: int = 0
    active_jobs: int = 0
    connections: int = 0

    def __str__(self):
        return (
            f"{self.processes} processes, {self.lanes} lanes, {self.descriptors} descriptors "
            f"(at most {self.lane_descriptors} in a lane), {self.stored} in the store, "
            f"{self.private_kib / 1024:.1f} MiB private in the daemon")


def descriptors(process):
    return len(os.listdir(f"/proc/{process}/fd"))


def private(process):
    with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


def measure(unit, socket):
    caller = wire.Caller(socket, time.monotonic() + 30)
    try:
        status, _ = caller.call("Status")
    finally:
        caller.close()
    daemon = trouble.main_process(unit)
    found = trouble.lanes(daemon)
    jobs = status["jobs"]
    return Idle(
        lanes=len(found), descriptors=descriptors(daemon),
        lane_descriptors=max((descriptors(lane) for lane in found), default=0),
        stored=int(trouble.show(unit, "NFileDescriptorStore") or 0),
        processes=sum(1 for entry in os.listdir("/proc") if entry.isdigit() and ours(entry)),
        private_kib=private(daemon), connections=status["connections"],
        active_jobs=sum(jobs[state] for state in ("queued", "connecting", "streaming", "stalled", "parked", "waiting")))


def ours(process):
    found = trouble.stat(process)
    return found is not None and found[0] in ("sluiced", "sluice-lane")


def settle(unit, socket, seconds=20):
    """The numbers once they do not change any more and no job is left, or as they are when the time is over."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            now = measure(unit, socket)
        except FileNotFoundError:
            # A lane went while it was looked at.
            continue
        if last is not None and now.active_jobs == 0 and now.connections == 1 and (
            (now.lanes, now.descriptors, now.stored) == (last.lanes, last.descriptors, last.stored)
        ):
            return now
        last = now
        time.sleep(1.5)
    return last


def growth(before, after):
    """Sentences about what has not gone back."""
    found = []
    for name, slack in (
        ("lanes", 0), ("processes", 0), ("descriptors", 3), ("lane_descriptors", 8), ("stored", 0),
        ("active_jobs", 0), ("connections", 0), ("private_kib", 32 << 10),
    ):
        was, is_ = getattr(before, name), getattr(after, name)
        if is_ > was + slack:
            found.append(f"{name.replace('_', ' ')}: {is_} at rest after it, {was} before")
    return found
