"""The C programs: floors, consumers and a client, compiled where they are older than their sources."""

from __future__ import annotations

from pathlib import Path

from .processes import run

SOURCES = Path(__file__).parent / "native"


class Native:
    """The compiled programs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        newest_header = max(header.stat().st_mtime for header in SOURCES.glob("*.h"))
        for source in sorted(SOURCES.glob("*.c")):
            program = self._path(source.stem)
            if not program.exists() or program.stat().st_mtime < max(source.stat().st_mtime, newest_header):
                run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source])
        self.consumer = self._path("consumer")
        self.drain = self._path("drain")
        self.first_byte = self._path("first_byte")
        self.client = self._path("client")
        self.floor_write = self._path("floor_write")
        self.floor_splice = self._path("floor_splice")

    def _path(self, stem: str) -> Path:
        return self._folder / stem.replace("_", "-")
