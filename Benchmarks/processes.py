"""Starting programs, and what whole process trees cost.

CPU time of a program that we started is what wait4(2) says: its own and that of all descendants that it has waited for. That
of a running process is its CPU clock (clock_getcpuclockid(3)), to the nanosecond, ended threads included. No control group
is needed, so this works for any user and in any container.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

TICKS = os.sysconf("SC_CLK_TCK")
# A program and its arguments.
Command = Sequence[str | Path]


class Failed(Exception):
    """A program did not do what it was started for; the text says which and why."""


@dataclass(frozen=True)
class Ended:
    """How a program ended, and its CPU seconds with those of its reaped descendants."""

    status: int
    cpu: float


class Program:
    """A program that was started, and is gone when the `with` block is left."""

    def __init__(
        self,
        command: Command,
        *,
        stdin: int | IO[bytes] | None = None,
        stdout: int | IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.command = [str(part) for part in command]
        self._errors = tempfile.TemporaryFile()
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=self._errors,
            pass_fds=pass_fds,
        )
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._ended: Ended | None = None

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "started without a pipe"
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None, "started without a pipe"
        return self._process.stdout

    def has_ended(self) -> bool:
        return self._ended is not None or bool(select.select([self._pidfd], [], [], 0)[0])

    def wait(self, timeout: float) -> Ended:
        """Waits for the end. One that does not come in time kills the program and is a failure."""
        if self._ended is None:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                self._signal(signal.SIGKILL)
                self._reap()
                raise Failed(f"{self.describe()}: not done within {timeout:.0f} s")
            self._reap()
        assert self._ended is not None
        return self._ended

    def successful(self, timeout: float) -> Ended:
        """The same; a status other than 0 is a failure, too."""
        ended = self.wait(timeout)
        if ended.status != 0:
            raise Failed(f"{self.describe()}: status {ended.status}: {self.errors()}")
        return ended

    def stop(self, patience: float = 5) -> None:
        """Ends it, if it has not ended: SIGTERM, then SIGKILL. Safe to call twice."""
        if self._ended is not None:
            return
        self._signal(signal.SIGTERM)
        if not select.select([self._pidfd], [], [], patience)[0]:
            self._signal(signal.SIGKILL)
        self._reap()

    def errors(self) -> str:
        """The end of what it has said on standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-600:]

    def describe(self) -> str:
        return " ".join(self.command)[:200]

    def _signal(self, number: int) -> None:
        # Not Popen's: it would reap what has ended, and with it the CPU time.
        signal.pidfd_send_signal(self._pidfd, number)

    def _reap(self) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._ended = Ended(self._process.returncode, usage.ru_utime + usage.ru_stime)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        os.close(self._pidfd)


def run(command: Command, timeout: float = 60, stdin: int | IO[bytes] | None = None) -> str:
    """Runs a program to its end and returns what it printed."""
    with Program(command, stdin=stdin, stdout=subprocess.PIPE) as program:
        text = _read_all(program, timeout)
        program.successful(timeout)
        return text


def _read_all(program: Program, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    pieces: list[bytes] = []
    descriptor = program.stdout.fileno()
    while True:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            program.stop(0.5)
            raise Failed(f"{program.describe()}: not done within {timeout:.0f} s")
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return b"".join(pieces).decode()
        pieces.append(piece)


@dataclass(frozen=True)
class Flow:
    """One body, or many, through a producer into a consumer."""

    seconds: float
    cpu: float
    """CPU seconds of the producer alone."""
    output: str
    """What the consumer printed."""


def flow(producer: Command, consumer: Command, timeout: float) -> Flow:
    """`producer | consumer`, timed from the producer's start until both have ended."""
    read_end, write_end = os.pipe()
    try:
        with Program(consumer, stdin=read_end, stdout=subprocess.PIPE) as reader:
            os.close(read_end)
            read_end = -1
            begin = time.monotonic()
            with Program(producer, stdout=write_end) as writer:
                os.close(write_end)
                write_end = -1
                ended = writer.successful(timeout)
                output = _read_all(reader, timeout)
                reader.successful(timeout)
                return Flow(time.monotonic() - begin, ended.cpu, output)
    finally:
        for descriptor in (read_end, write_end):
            if descriptor >= 0:
                os.close(descriptor)


@contextmanager
def one_processor() -> Iterator[None]:
    """What is started in the `with` block shares one processor: what it costs then depends little on who uses the others."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def pipes(stack: ExitStack, count: int) -> tuple[list[int], list[int]]:
    """The read ends and the write ends of new pipes. Who takes an end from its list closes it; the others go with `stack`."""
    ends: tuple[list[int], list[int]] = ([], [])

    def close() -> None:
        for end in ends[0] + ends[1]:
            os.close(end)

    stack.callback(close)
    for _ in range(count):
        for one, end in zip(ends, os.pipe(), strict=True):
            one.append(end)
    return ends


def readable(reader: int) -> int:
    """How many bytes wait in a pipe (FIONREAD)."""
    count = array.array("i", [0])
    fcntl.ioctl(reader, termios.FIONREAD, count)
    return count[0]


# ---- looking at running processes ---------------------------------------------------------------------------------


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_of_tree(root: int) -> float:
    """CPU seconds of a running process, its descendants, and those that they have reaped."""
    total = 0.0
    for pid in tree(root):
        try:
            # CPUCLOCK_SCHED of a whole process: what clock_getcpuclockid(3) returns.
            total += time.clock_gettime(((~pid) << 3) | 2)
        except OSError:
            continue
        if fields := _stat(pid):
            total += (int(fields[13]) + int(fields[14])) / TICKS
    return total


def _stat(pid: int) -> list[str] | None:
    """The fields of proc_pid_stat(5) from the third on, or nothing where the process has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def private_bytes(pids: Sequence[int]) -> int:
    """Memory that these processes have to themselves: Private_Clean and Private_Dirty of smaps_rollup."""
    return _mapped(pids, ("Private_Clean:", "Private_Dirty:"))


def proportional_bytes(pids: Sequence[int]) -> int:
    """Memory of these processes, where each has its part of what it shares: Pss of smaps_rollup."""
    return _mapped(pids, ("Pss:",))


def _mapped(pids: Sequence[int], kinds: tuple[str, ...]) -> int:
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(kinds)) << 10
    return total


def minor_faults(pids: Sequence[int]) -> list[int]:
    """How many pages each process has had mapped one by one (minflt of proc_pid_stat(5))."""
    return [int(fields[7]) for pid in pids if (fields := _stat(pid))]


def context_switches(pids: Sequence[int]) -> dict[int, int]:
    """How often each thread of these processes was switched away from, which is once for each time it was woken."""
    counts: dict[int, int] = {}
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            try:
                lines = status.read_text().splitlines()
            except OSError:
                continue
            counts[int(status.parent.name)] = sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return counts


def eventually(what: str, timeout: float, condition: Callable[[], bool]) -> None:
    """Asks until it is so."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.01)
