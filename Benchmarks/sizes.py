"""How much of everything a run does."""

from __future__ import annotations

from dataclasses import dataclass

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Sizes:
    """The parameters of all cases. Sizes in bytes, times in seconds."""

    name: str
    rounds: int
    """How often each contender has its turn; medians are taken over them."""
    body: int
    """The one large body of (a) and (b)."""
    jobs: int
    """How many small bodies (c) fetches."""
    small: int
    """How large a small body is."""
    inflight: int
    """How many of them at a time."""
    bodies: int
    """How many bodies (d) fetches at once."""
    each: int
    """How large each of them is."""
    bursts: tuple[tuple[int, int], ...]
    """How many bodies of which size (k) fetches at once."""
    file: int
    """The body that (l) writes to a file."""
    samples: int
    """How many first bytes (e) waits for in each round."""
    fast: int
    """The body of the fast job in (f)."""
    stalled: tuple[int, ...]
    """Beside how many stalled ones it runs."""
    held: int
    """How many streaming, and how many stalled, jobs (g) divides memory by."""
    parked: int
    """How many parked ones."""
    stalled_body: int
    """The body whose consumer stalls after a mebibyte."""
    observe: float
    """For how long its memory is looked at."""
    idle: float
    """For how long (i) counts wake-ups."""


FULL = Sizes(
    name="full",
    rounds=5,
    body=4 * GiB,
    jobs=5000,
    small=10 * KiB,
    inflight=8,
    bodies=64,
    each=16 * MiB,
    bursts=((64, 10 * KiB), (64, 2 * MiB), (200, MiB)),
    file=GiB,
    samples=200,
    fast=GiB,
    stalled=(0, 1, 8, 32, 64),
    held=8,
    parked=500,
    stalled_body=GiB,
    observe=10,
    idle=20,
)

# For the guard: small, but often.
CHECK = Sizes(
    name="check",
    rounds=5,
    body=256 * MiB,
    jobs=500,
    small=10 * KiB,
    inflight=8,
    bodies=64,
    each=4 * MiB,
    bursts=((64, 10 * KiB), (64, 2 * MiB), (200, MiB)),
    file=256 * MiB,
    samples=100,
    fast=128 * MiB,
    stalled=(0, 8, 64),
    held=8,
    parked=200,
    stalled_body=256 * MiB,
    observe=1,
    idle=5,
)

SHORT = Sizes(
    name="short",
    rounds=3,
    body=256 * MiB,
    jobs=500,
    small=10 * KiB,
    inflight=8,
    bodies=64,
    each=2 * MiB,
    bursts=((64, 10 * KiB), (64, 2 * MiB)),
    file=64 * MiB,
    samples=40,
    fast=64 * MiB,
    stalled=(0, 64),
    held=4,
    parked=100,
    stalled_body=GiB,
    observe=1,
    idle=5,
)
