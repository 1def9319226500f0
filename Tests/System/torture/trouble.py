"""Kills lanes and the daemon, restarts the service and more of the kind, at random moments, and keeps account of it."""

import os
import random
import signal
import subprocess
import time

# What is done, and how many seconds lie between two of a kind on average: a lane or the daemon is killed, the service is
# restarted, the daemon frozen for a while (and lanes killed meanwhile, and at the end perhaps the daemon), the service
# manager replaced by itself.
EVERY = {"lane": 0.25, "kill": 4, "restart": 6, "freeze": 5, "reexec": 15}
# The chance that the process which follows is killed as well.
AGAIN = 0.3
# The daemon is left alone for so long after it has come back: else little would ever be transferred.
PEACE = 1


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


def filters(process):
    """How many filters of system calls a process has. A lane adds one of its own, and then is ready."""
    try:
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Seccomp_filters:"):
                    return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0


class Troublemaker:
    """What it does and when is rolled with the seed; which processes it meets is not."""

    def __init__(self, unit, seed, report):
        self.unit, self.report = unit, report
        self.dice = random.Random(f"{seed}/kills")
        self.daemon = main_process(unit)
        now = time.monotonic()
        self.next = {kind: now + self._pause(kind) for kind in EVERY}

    def _pause(self, kind):
        return self.dice.expovariate(1 / EVERY[kind])

    def step(self):
        """Waits for the next event and does it; returns when it is time to look around."""
        kind = min(self.next, key=self.next.get)
        now = time.monotonic()
        if self.next[kind] > now + 0.2:
            time.sleep(0.2)
            return
        time.sleep(max(0, self.next[kind] - now))
        match kind:
            case "lane":
                self._kill_lane()
            case "freeze":
                self._freeze()
            case "reexec":
                self._note("reexec", 1)
                subprocess.run(["systemctl", "daemon-reexec"], check=False)
            case _:
                self._end_daemon(kind)
        self.next[kind] = time.monotonic() + self._pause(kind)

    def _note(self, kind, process):
        self.report({"kind": kind, "at": time.monotonic(), "process": process})

    def _kill_lane(self):
        # Not one that is only starting: three of those in a row mean that no lane can be started, and jobs fail.
        own = filters(self.daemon)
        candidates = [process for process in lanes(self.daemon) if filters(process) > own]
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
                self._note("lane", process)
        except OSError:
            pass
        finally:
            os.close(handle)

    def _freeze(self):
        self.check()
        self._note("freeze", self.daemon)
        os.kill(self.daemon, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0, 0.3))
        for _ in range(self.dice.randint(0, 3)):
            self._kill_lane()
        time.sleep(self.dice.uniform(0, 0.5))
        if self.dice.random() < 0.3:
            self._end_daemon("kill")
        else:
            os.kill(self.daemon, signal.SIGCONT)
            self._note("thaw", self.daemon)

    def _end_daemon(self, kind):
        self.check()
        before = self.daemon
        if kind == "kill":
            os.kill(before, signal.SIGKILL)
            # Noted afterwards: until then the daemon may have accepted a job, which it has not kept.
            self._note(kind, before)
            # Now and then the next one does not get far either: it is killed while it reads what was kept.
            while self.dice.random() < AGAIN and (after := self._next_process(before)):
                time.sleep(self.dice.uniform(0, 0.15))
                os.kill(after, signal.SIGKILL)
                self._note("kill", after)
                before = after
        else:
            self._note(kind, before)
            subprocess.run(["systemctl", "restart", self.unit], check=False)
        self._next_process(before, "active")
        self.daemon = main_process(self.unit)
        self._note("back", self.daemon)
        for other in self.next:
            if other != "lane":
                self.next[other] = max(self.next[other], time.monotonic() + PEACE)

    def _next_process(self, before, *states):
        """Waits for the process that follows, and until the unit is in one of the states; 0 if there is none."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            process = main_process(self.unit)
            if process not in (0, before) and (not states or show(self.unit, "ActiveState") in states):
                return process
            time.sleep(0.01)
        self.report({
            "kind": "unexpected", "at": time.monotonic(), "what": f"no daemon 30 s after the end of {before}"})
        return 0

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
