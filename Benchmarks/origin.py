"""nginx with its own files, ports and certificates."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .processes import Failed, Program, eventually, run

HOST = "127.0.0.1"
BLOCK = 1 << 20


class Origin:
    """An nginx that serves from memory, over HTTP and over TLS with an authority of its own. HTTP/1.1 alone."""

    def __init__(self, stack: ExitStack, scratch: Path, room: int) -> None:
        """`room` is how many bytes of files will be served: in /dev/shm, if they fit there."""
        self.authority = scratch / "ca.pem"
        self._sums: dict[str, str] = {}
        self.root = self._make_root(stack, room)
        self._certify(scratch)
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if nginx is None:
            raise Failed("there is no nginx")
        # Somebody may take a port between its choice and nginx's bind(2): then choose again.
        for _ in range(5):
            self.port, self.tls_port = _free_port(), _free_port()
            folder = scratch / "nginx"
            folder.mkdir(exist_ok=True)
            (folder / "nginx.conf").write_text(self._configuration(folder, scratch))
            program = stack.enter_context(Program([nginx, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]))
            if self._listens(program):
                return
        raise Failed(f"nginx does not start: {program.errors()}")

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.port}/{name}"

    def tls_url(self, name: str) -> str:
        return f"https://localhost:{self.tls_port}/{name}"

    def serve(self, name: str, size: int, consumer: Path) -> str:
        """Makes a file, and returns what `consumer` says of it: how many bytes, and their sum."""
        if name not in self._sums:
            path = self.root / name
            noise = random.Random(size).randbytes(min(size, BLOCK))
            with path.open("wb") as file:
                for number in range(size // BLOCK):
                    file.write(number.to_bytes(8, "little") + noise[8:])
                file.write(noise[: size % BLOCK])
            path.chmod(0o644)
            with path.open("rb") as file:
                self._sums[name] = run([consumer], stdin=file)
        return self._sums[name]

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        self._sums.pop(name, None)

    def _listens(self, program: Program) -> bool:
        """Waits until it does, or has ended."""

        def is_decided() -> bool:
            return program.has_ended() or _answers(self.port) and _answers(self.tls_port)

        eventually("nginx listens or ends", 10, is_decided)
        return not program.has_ended()

    def _make_root(self, stack: ExitStack, room: int) -> Path:
        memory = Path("/dev/shm")
        fits = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > room * 1.1
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=memory if fits else None))
        )
        root.chmod(0o755)
        return root

    def _certify(self, scratch: Path) -> None:
        key: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        names = scratch / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        own_key, request = scratch / "server.key", scratch / "server.csr"
        run(["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=Benchmark CA",
             "-keyout", scratch / "ca.key", "-out", self.authority])  # fmt: skip
        run(["openssl", "req", "-new", *key, "-subj", "/CN=localhost", "-keyout", own_key, "-out", request])
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", scratch / "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", names, "-out", scratch / "server.pem"])  # fmt: skip
        self.authority.chmod(0o644)

    def _configuration(self, folder: Path, scratch: Path) -> str:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        # Where bodies are paced, it is by limit_rate; a stalled client is waited for as long as a case lasts.
        return f"""
            daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr error;
            events {{ worker_connections 2048; }}
            http {{
              access_log off; {temporary}
              default_type application/octet-stream; sendfile on; send_timeout 600s;
              keepalive_timeout 600s; keepalive_requests 1000000;
              ssl_certificate {scratch}/server.pem; ssl_certificate_key {scratch}/server.key;
              server {{
                listen {HOST}:{self.port} backlog=1024; listen {HOST}:{self.tls_port} ssl backlog=1024;
                root {self.root};
                location /paced/ {{ alias {self.root}/; limit_rate 4m; }}
              }}
            }}
            """


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
