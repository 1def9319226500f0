"""A sluiced of our own, as an ordinary user."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from .processes import (
    Failed,
    Program,
    context_switches,
    cpu_of_tree,
    eventually,
    tree,
)
from .varlink import Client

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
UNPRIVILEGED = "nobody"

# Jobs that are stalled on purpose stay so, and all of them may.
SETTINGS = """
[lanes]
maximum = 96
nursery = "always"
[parking]
after_seconds = {park_after}
holding_share = 1
[log]
level = "warning"
"""


class Service:
    """sluiced with its lanes, trusting one authority, on a socket of its own.

    Where we are root it runs as nobody: the kernel does not limit root's pipes, and would show better figures than there are.
    """

    def __init__(
        self,
        stack: ExitStack,
        built: Path,
        authority: Path,
        *,
        park_after: float = 3600,
        tracer: Sequence[str] = (),
    ) -> None:
        """`tracer` is a command that runs another one, or nothing."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-service-")))
        is_root = os.geteuid() == 0
        if is_root:
            nobody = pwd.getpwnam(UNPRIVILEGED)
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        folder.chmod(0o755)
        self.socket = folder / "io.sluice.Ingest"
        self.user = UNPRIVILEGED if is_root else pwd.getpwuid(os.geteuid()).pw_name
        settings = folder / "sluiced.toml"
        settings.write_text(SETTINGS.format(park_after=park_after))
        settings.chmod(0o644)
        daemon: list[str | Path] = [built / "sluiced", "--config", settings, "--socket", self.socket]
        if is_root:
            daemon = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={nobody.pw_gid}", "--clear-groups", *daemon]
        # libcurl's list of authorities cannot be set through Foundation, so another one lies over the machine's, for
        # these processes alone.
        script = f'mount --bind "$1" {BUNDLE} && shift && exec "$@"'
        self._program = stack.enter_context(
            Program(["unshare", "-m" if is_root else "-rm", "sh", "-c", script, "sh", authority, *tracer, *daemon])
        )
        self._is_traced = bool(tracer)
        stack.callback(self.stop)
        eventually("the service has warm lanes, or ends", 60, lambda: self._program.has_ended() or self._is_warm())
        if self._program.has_ended():
            raise Failed(f"the service does not start: {self._program.errors()}")
        self.pid = self._daemon()

    def client(self) -> Client:
        return Client(self.socket)

    def cpu(self) -> float:
        """CPU seconds of the daemon and of all its lanes, those that have ended too."""
        return cpu_of_tree(self.pid)

    def processes(self) -> list[int]:
        return tree(self.pid)

    def lanes(self) -> int:
        return sum(self._lanes(activity) for activity in ("starting", "idle", "busy"))

    def lane_processes(self) -> list[int]:
        """The lanes, without the process that forks them."""

        def is_lane(pid: int) -> bool:
            try:
                return Path(f"/proc/{pid}/comm").read_text() == "sluice-lane\n"
            except OSError:
                return False

        return [pid for pid in self.processes() if is_lane(pid)]

    def context_switches(self) -> dict[int, int]:
        return context_switches(self.processes())

    def settle(self) -> None:
        """Waits until no job and no more than the warm lanes run or start."""

        def is_calm() -> bool:
            return self._lanes("busy") == 0 and self._lanes("starting") == 0

        eventually("the service is idle", 30, is_calm)

    def stop(self) -> None:
        """Safe to call twice."""
        if self._is_traced and not self._program.has_ended():
            # A tracer has signals blocked, and ends after what it traces.
            os.kill(self._daemon(), signal.SIGTERM)
            self._program.wait(10)
        self._program.stop()

    def _daemon(self) -> int:
        return tree(self._program.pid)[1 if self._is_traced else 0]

    def _is_warm(self) -> bool:
        try:
            return self._lanes("idle") >= 2
        except OSError:
            # It does not listen yet.
            return False

    def _lanes(self, state: str) -> int:
        with self.client() as client:
            lanes = client.call("Status")["lanes"]
            assert isinstance(lanes, dict)
            return int(lanes[state])


def runs_as_nobody(built: Path) -> bool:
    """Whether an ordinary user can reach and run the programs."""
    as_nobody = ["setpriv", f"--reuid={UNPRIVILEGED}", "--clear-groups"] if os.geteuid() == 0 else []
    return subprocess.run([*as_nobody, built / "sluiced", "--version"], capture_output=True).returncode == 0
