"""A client of io.sluice.Ingest for what is not timed: consumers that do not read, and questions about jobs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType

from .processes import Failed

INTERFACE = "io.sluice.Ingest."


class Client:
    """One connection, and the pipes of the jobs that were asked for over it."""

    def __init__(self, path: Path, timeout: float = 30) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(os.fspath(path))
        self.pipes: dict[str, int] = {}

    def call(self, method: str, parameters: dict[str, object] | None = None) -> dict[str, object]:
        return self._call(method, parameters or {})[0]

    def fetch(self, url: str, **parameters: object) -> str:
        """Asks for a body; its pipe is then in `pipes` under the id that is returned."""
        reply, passed = self._call("Fetch", {"url": url, **parameters})
        job = str(reply["id"])
        self.pipes[job] = passed[int(str(reply["bodyFileDescriptor"]))]
        return job

    def jobs_in(self, state: str) -> list[dict[str, object]]:
        """The jobs that are in a state now."""
        jobs = self.call("List", {"active": True})["jobs"]
        assert isinstance(jobs, list)
        return [job for job in jobs if job["state"] == state]

    def count(self, state: str) -> int:
        counts = self.call("Status")["jobs"]
        assert isinstance(counts, dict)
        return int(counts[state])

    def close_pipes(self) -> None:
        """Every consumer goes away."""
        while self.pipes:
            os.close(self.pipes.popitem()[1])

    def _call(self, method: str, parameters: dict[str, object]) -> tuple[dict[str, object], list[int]]:
        self._socket.sendall(json.dumps({"method": INTERFACE + method, "parameters": parameters}).encode() + b"\0")
        reply, passed = b"", []
        while not reply.endswith(b"\0"):
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, 16)
            if not data:
                raise Failed(f"{method}: the service closed the connection")
            reply += data
            passed += descriptors
        message = json.loads(reply[:-1])
        if "error" in message:
            raise Failed(f"{method}: {message}")
        return message.get("parameters", {}), passed

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_pipes()
        self._socket.close()
