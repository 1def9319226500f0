"""A sluiced of our own, as an ordinary user."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .processes import (Failed, Program, context_switches, cpu_of_tree, eventually, private_bytes, tree)
from .varlink import Client

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
UNPRIVILEGED = "nobody"

# Jobs that are stalled on purpose stay so, and all of them may.
SETTINGS = """
[lanes]
maximum = 96
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
        self, stack: ExitStack, built: Path, authority: Path, *, park_after: float = 3600, lane: Path | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> None:
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
        daemon: list[str | Path] = [*wrapper, built / "sluiced", "--config", settings, "--socket", self.socket]
        daemon += ["--lane", lane or built / "sluice-lane"]
        if is_root:
            daemon = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={nobody.pw_gid}", "--clear-groups", *daemon]
        # libcurl's list of authorities cannot be set through Foundation, so another one lies over the machine's, for
        # these processes alone.
        script = f'mount --bind "$1" {BUNDLE} && shift && exec "$@"'
        self._program = stack.enter_context(
            Program(["unshare", "-m" if is_root else "-rm", "sh", "-c", script, "sh", authority, *daemon]))
        self.pid = self._program.pid
        eventually("the service listens", 60, lambda: self._program.has_ended() or self._answers())
        if self._program.has_ended():
            raise Failed(f"the service does not start: {self._program.errors()}")
        eventually("its lanes are warm", 60, lambda: self._lanes("idle") >= 2)

    def client(self) -> Client:
        return Client(self.socket)

    def cpu(self) -> float:
        """CPU seconds of the daemon and of all its lanes, those that have ended too."""
        return cpu_of_tree(self.pid)

    def processes(self) -> list[int]:
        return tree(self.pid)

    def private_bytes(self) -> int:
        return private_bytes(self.processes())

    def context_switches(self) -> dict[int, int]:
        return context_switches(self.processes())

    def settle(self) -> None:
        """Waits until no job and no more than the warm lanes run or start."""
        def is_calm() -> bool:
            return self._lanes("busy") == 0 and self._lanes("starting") == 0
        eventually("the service is idle", 30, is_calm)

    def stop(self) -> None:
        self._program.stop()

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                client.call("Status")
            return True
        except OSError:
            return False

    def _lanes(self, state: str) -> int:
        with self.client() as client:
            lanes = client.call("Status")["lanes"]
            assert isinstance(lanes, dict)
            return int(lanes[state])


def runs_as_nobody(built: Path) -> bool:
    """Whether an ordinary user can reach and run the programs."""
    options = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
    try:
        return subprocess.run([built / "sluiced", "--version"], capture_output=True, **options).returncode == 0  # type: ignore[call-overload]
    except OSError:
        return False
