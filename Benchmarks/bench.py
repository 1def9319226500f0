"""What every case works with, and how contenders take turns."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from .contenders import Contender, contenders
from .native import Native
from .origin import Origin
from .processes import Failed
from .service import Service
from .sizes import Sizes

REPOSITORY = Path(__file__).parent.parent
Measured = TypeVar("Measured")


@dataclass
class Bench:
    """An origin, a service and the contenders, for as long as the `with` block of `stack` lasts."""

    built: Path
    sizes: Sizes
    stack: ExitStack
    scratch: Path
    native: Native
    origin: Origin
    service: Service
    contenders: list[Contender]
    absent: list[str]

    @staticmethod
    def start(stack: ExitStack, built: Path, sizes: Sizes) -> Bench:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        scratch.chmod(0o755)
        native = Native(REPOSITORY / ".build/bench")
        room = sizes.body + sizes.each + sizes.fast + sizes.stalled_body + sizes.file
        origin = Origin(stack, scratch, room)
        service = Service(stack, built, origin.authority)
        present, absent = contenders(built, service.socket, origin, native)
        return Bench(built, sizes, stack, scratch, native, origin, service, present, absent)

    def another_service(self, stack: ExitStack, **options: object) -> Service:
        """One more, untouched."""
        return Service(stack, self.built, self.origin.authority, **options)  # type: ignore[arg-type]

    def with_another_service(self) -> Bench:
        """The same, with one more service in the place of the first, for as long as that."""
        service = self.another_service(self.stack)
        present, _ = contenders(self.built, service.socket, self.origin, self.native)
        return replace(self, service=service, contenders=present)

    def contender(self, name: str) -> Contender:
        for contender in self.contenders:
            if contender.name == name:
                return contender
        raise Failed(f"{name} is not here")


def take_turns(
    names: Iterable[str], rounds: int, measure: Callable[[str], Measured], failures: list[str]
) -> dict[str, list[Measured]]:
    """Measures everybody in each round, beginning with another one each time. Who fails is out, and is told."""
    order = list(names)
    results: dict[str, list[Measured]] = {name: [] for name in order}
    for number in range(rounds):
        shift = number % len(order) if order else 0
        for name in order[shift:] + order[:shift]:
            if name not in results:
                continue
            try:
                results[name].append(measure(name))
            except Failed as failure:
                failures.append(f"{name}: {failure}")
                del results[name]
    return results


def say(text: str) -> None:
    """To the person who waits."""
    print(text, file=sys.stderr, flush=True)


def load_average() -> float:
    return os.getloadavg()[0]
