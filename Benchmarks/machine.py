"""The machine and the versions that figures belong to. Nothing that names the machine itself."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from .service import runs_as_nobody


def describe_machine() -> dict[str, str]:
    processor = _first(r"model name\s*: (.*)", Path("/proc/cpuinfo")) or platform.machine()
    memory = int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo")) or 0) >> 20
    soft = Path("/proc/sys/fs/pipe-user-pages-soft").read_text().strip()
    return {
        "processor": f"{processor}, {len(os.sched_getaffinity(0))} cores for us",
        "memory": f"{memory} GiB",
        "system": _first(r'PRETTY_NAME="(.*)"', Path("/etc/os-release")) or platform.system(),
        "kernel": platform.release().partition("-")[0],
        "fs.pipe-user-pages-soft": soft,
    }


def versions(built: Path) -> dict[str, str]:
    """Of whatever is there."""
    commands = {
        "sluice": [str(built / "sluiced"), "--version"],
        "nginx": ["/usr/sbin/nginx", "-v"],
        "curl": ["curl", "--version"],
        "wget": ["wget", "--version"],
        "aria2c": ["aria2c", "--version"],
        "gcc": ["gcc", "--version"],
    }
    found = {}
    for name, command in commands.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        number = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        found[name] = number[0] if number else "?"
    found["sluice"] += f", {linking(built)} build"
    found["Python"] = platform.python_version()
    try:
        found["aiohttp"] = metadata.version("aiohttp")
    except metadata.PackageNotFoundError:
        pass
    return found


def linking(built: Path) -> str:
    """Whether the lane brings Foundation along: static, or dynamic."""
    return "dynamic" if b"libFoundationNetworking.so" in (built / "sluice-lane").read_bytes() else "static"


def missing(built: Path) -> str | None:
    """Why these programs cannot be measured, if so."""
    for name in ("sluiced", "sluicectl", "sluice-lane"):
        if not os.access(built / name, os.X_OK):
            return f"{built / name} is missing: run 'make build'"
    return None if runs_as_nobody(built) else f"an ordinary user cannot run the programs in {built}"


def _first(pattern: str, path: Path) -> str | None:
    try:
        found = re.search(pattern, path.read_text())
    except OSError:
        return None
    return found[1] if found else None
