"""The command lines of everything that is compared: a URL's body to standard output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .native import Native
from .origin import HOST, Origin

SLUICE, CURL, WGET, ARIA2 = "sluice", "curl", "wget", "aria2c"
# The consumer gets the job's pipe itself: `sluicectl fetch URL -- consumer`.
DIRECT = "sluice, -- consumer"
DRAIN, THREADS = "aiohttp, drain", "aiohttp, threads"
FLOOR_WRITE, FLOOR_SPLICE = "recv+write in C", "splice in C"

AIOHTTP_PROGRAM = Path(__file__).parent / "aiohttp_pipes.py"


@dataclass(frozen=True)
class Contender:
    """One way to get a body into a pipe."""

    name: str
    command: Callable[[str], list[str | Path]]
    """What fetches a URL to standard output."""
    speaks_tls: bool = True


def aiohttp(way: str, authority: Path, *arguments: str) -> list[str | Path]:
    """Our program with aiohttp: `way` is drain or threads."""
    return [sys.executable, AIOHTTP_PROGRAM, way, authority, *arguments]


def contenders(built: Path, socket: Path, origin: Origin, native: Native) -> tuple[list[Contender], list[str]]:
    """Those that are here, and the names of those that are not."""
    ca = origin.authority
    path_of = f"{HOST}:{origin.port}"

    def floor(program: Path) -> Callable[[str], list[str | Path]]:
        return lambda url: [program, HOST, str(origin.port), url.partition(path_of)[2]]

    everybody = [
        Contender(SLUICE, lambda url: [built / "sluicectl", "fetch", "--socket", socket, "--quiet", url]),
        Contender(CURL, lambda url: ["curl", "-q", "--silent", "--show-error", "--fail", "--cacert", ca, url]),
        Contender(WGET, lambda url: ["wget", "--no-config", "--quiet", f"--ca-certificate={ca}", "-O", "-", url]),
        Contender(DRAIN, lambda url: aiohttp("drain", ca, "body", url)),
        Contender(THREADS, lambda url: aiohttp("threads", ca, "body", url)),
        Contender(FLOOR_WRITE, floor(native.floor_write), speaks_tls=False),
        Contender(FLOOR_SPLICE, floor(native.floor_splice), speaks_tls=False),
    ]
    present, absent = [], []
    for contender in everybody:
        program = contender.command("")[0]
        if (
            isinstance(program, str)
            and shutil.which(program) is None
            or not has_aiohttp()
            and "aiohttp" in contender.name
        ):
            absent.append(contender.name)
        else:
            present.append(contender)
    if shutil.which(ARIA2) is None:
        absent.append(ARIA2)
    return present, absent


def has_aiohttp() -> bool:
    """Whether this Python has it: Makefile's environment does."""
    from importlib.util import find_spec

    return find_spec("aiohttp") is not None
