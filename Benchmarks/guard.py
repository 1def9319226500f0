"""What was recorded, and what counts as worse. Nothing is measured here.

recorded.json has, for a dynamic and for a static build, the figures of `check` by their names: `counts` of its short form,
and `ratios` that only the long form looks at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .arithmetic import worsening

RECORDED = Path(__file__).parent / "recorded.json"
SLACK = 0.15


@dataclass(frozen=True)
class Figure:
    """One number, and by how much it may become worse before that is a failure."""

    value: float
    higher_is_better: bool = False
    slack: float = SLACK


@dataclass(frozen=True)
class Verdict:
    """How a figure compares with the recorded one."""

    name: str
    value: float
    recorded: float | None
    """Nothing where it was not recorded yet, which is a failure: what is not recorded is not guarded."""
    worse: float
    slack: float

    @property
    def passed(self) -> bool:
        return self.recorded is not None and self.worse <= self.slack

    def __str__(self) -> str:
        if self.recorded is None:
            return f"FAIL  {self.name}: {self.value:.3g}, and nothing was recorded"
        change = (
            f"{abs(self.worse):.0%} {'worse' if self.worse > 0 else 'better'}"
            if abs(self.worse) >= 0.005
            else "the same"
        )
        return (
            f"{'ok  ' if self.passed else 'FAIL'}  {self.name}: {self.value:.3g}, recorded {self.recorded:.3g}: {change}"
            f" ({self.slack:.0%} is allowed)"
        )


def judge(figures: Mapping[str, Figure], recorded: Mapping[str, Figure]) -> list[Verdict]:
    """Compares what was measured; what was recorded and not measured is the caller's to miss."""
    verdicts = []
    for name, figure in figures.items():
        old = recorded.get(name)
        if old is None:
            verdicts.append(Verdict(name, figure.value, None, 0.0, figure.slack))
        else:
            worse = worsening(figure.value, old.value, old.higher_is_better)
            verdicts.append(Verdict(name, figure.value, old.value, worse, old.slack))
    return verdicts


def better(one: Figure, other: Figure) -> Figure:
    """The better of two measurements of the same: noise makes figures worse, and hardly ever better."""
    return max(one, other, key=lambda figure: figure.value if figure.higher_is_better else -figure.value)


def load(build: str, kind: str, path: Path = RECORDED) -> dict[str, Figure]:
    """What was recorded of a build; nothing where there is no record."""
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return {name: Figure(**figure) for name, figure in data.get(build, {}).get(kind, {}).items()}


def save(build: str, kind: str, figures: Mapping[str, Figure], path: Path = RECORDED) -> None:
    """Replaces what was recorded of a build, and leaves the other's alone."""
    data = json.loads(path.read_text()) if path.exists() else {}
    rounded = {name: asdict(figure) | {"value": float(f"{figure.value:.4g}")} for name, figure in figures.items()}
    data.setdefault(build, {})[kind] = rounded
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
