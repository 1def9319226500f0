"""Kills lanes, kills the daemon, restarts the service: at random moments, and keeps account of it."""

import os
import random
import signal
import subprocess
import time

LANE_EVERY, KILL_EVERY, RESTART_EVERY = 0.35, 7, 9
# The daemon is left alone for so long after it has come back: else little would ever be transferred.
PEACE = 1.5


def show(unit, name):
    return subprocess.run(
        ["systemctl", "show", f"--property={name}", "--value", unit], check=True, capture_output=True,
        text=True).stdout.strip()


def main_process(unit):
    return int(show(unit, "MainPID") or 0)


def stat(process):
    """Its name and its parent; None where it is gone."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            name, _, rest = file.read().decode(errors="replace").partition(" (")[2].rpartition(") ")
        return name, int(rest.split()[1])
    except OSError:
        return None


def lanes(daemon):
    """The lanes of a daemon."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and stat(entry) == ("sluice-lane", daemon):
            found.append(int(entry))
    return sorted(found)


class Troublemaker:
    """What it does and when is rolled with the seed; which processes it meets is not."""

    def __init__(self, unit, seed, report):
        self.unit, self.report = unit, report
        self.dice = random.Random(f"{seed}/kills")
        self.daemon = main_process(unit)
        self.next = {}
        now = time.monotonic()
        for kind, every in (("lane", LANE_EVERY), ("kill", KILL_EVERY), ("restart", RESTART_EVERY)):
            self.every = getattr(self, "every", {}) | {kind: every}
            self._schedule(kind, now)

    def _schedule(self, kind, now):
        self.next[kind] = now + self.dice.expovariate(1 / self.every[kind])

    def step(self):
        """Waits for the next event and does it; returns when it is time to look around."""
        kind = min(self.next, key=self.next.get)
        now = time.monotonic()
        if self.next[kind] > now + 0.2:
            time.sleep(0.2)
            return
        time.sleep(max(0, self.next[kind] - now))
        if kind == "lane":
            self._kill_lane()
        else:
            self._end_daemon(kind)
        self._schedule(kind, time.monotonic())

    def _kill_lane(self):
        candidates = lanes(self.daemon)
        if not candidates:
            return
        process = self.dice.choice(candidates)
        try:
            handle = os.pidfd_open(process)
        except OSError:
            return
        try:
            if stat(process) == ("sluice-lane", self.daemon):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                self.report({"kind": "lane", "at": time.monotonic(), "process": process})
        except OSError:
            pass
        finally:
            os.close(handle)

    def _end_daemon(self, kind):
        self.check()
        before = self.daemon
        self.report({"kind": kind, "at": time.monotonic(), "process": before})
        if kind == "kill":
            os.kill(before, signal.SIGKILL)
        else:
            subprocess.run(["systemctl", "restart", self.unit], check=False)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if show(self.unit, "ActiveState") == "active" and main_process(self.unit) not in (0, before):
                break
            time.sleep(0.02)
        else:
            self.report({"kind": "unexpected", "at": time.monotonic(), "what": f"no daemon 30 s after a {kind}"})
        self.daemon = main_process(self.unit)
        self.report({"kind": "back", "at": time.monotonic(), "process": self.daemon})
        for other in self.next:
            if other != "lane":
                self.next[other] = max(self.next[other], time.monotonic() + PEACE)

    def check(self):
        """That nobody else has ended the daemon: above all not the daemon itself."""
        now = main_process(self.unit)
        if now != self.daemon:
            self.report({
                "kind": "unexpected", "at": time.monotonic(),
                "what": f"the daemon {self.daemon} ended by itself; now it is {now}"})
            self.daemon = now


def main(pipe, unit, seed):
    """A process: goes on until it is told to stop."""
    maker = Troublemaker(unit, seed, pipe.send)
    while not pipe.poll():
        maker.step()
    maker.check()
    pipe.send(None)
