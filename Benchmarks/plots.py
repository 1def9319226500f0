"""The pictures in docs/benchmarks/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from .contenders import SLUICE
from .results import CaseResult, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By a part of the name.
COLORS = {
    SLUICE: "#c2410c",
    "curl": "#1d4ed8",
    "wget": "#0e7490",
    "drain": "#4d7c0f",
    "threads": "#7e22ce",
    " in C": "#a8a29e",
}


def draw(results: Results, folder: Path) -> None:
    """All of those for which there are figures."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and the same figures make the same file.
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "sluice",
            "font.family": "sans-serif",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    by_key: dict[str, list[CaseResult]] = {}
    for case in results.cases:
        by_key.setdefault(case.key, []).append(case)
    bodies = [case for key in "ab" for case in by_key.get(key, []) if case.series]
    if bodies:
        _save(folder / "throughput.svg", [partial(_bars, case, "MiB/s") for case in bodies])
    for case in by_key.get("c", []):
        _save(folder / "jobs.svg", [partial(_bars, case, "jobs per second")])
    for case in by_key.get("f", []):
        _save(folder / "neighbours.svg", [partial(_neighbours, case)])
    for case in by_key.get("g", []):
        if case.series:
            _save(folder / "memory.svg", [partial(_memory, case)])


def _save(path: Path, draws: Sequence[Callable[[Axes], None]]) -> None:
    """One picture, with a part for each function."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(draws), figsize=(4.6 * len(draws) if len(draws) > 1 else 7, 3.2), layout="constrained"
    )
    for one, place in zip(draws, [axes] if len(draws) == 1 else axes, strict=True):
        one(place)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    pyplot.close(figure)


def _color(name: str) -> str:
    """The same for a contender in all pictures."""
    return next((color for part, color in COLORS.items() if part in name), "#44403c")


def _bars(case: CaseResult, label: str, axes: Axes) -> None:
    """A bar for the median, and a line from the least to the most."""
    names = list(case.series)
    values = [[point[0] for point in case.series[name]] for name in names]
    middles = [median(one) for one in values]
    reach = [
        [middle - min(one) for middle, one in zip(middles, values)],
        [max(one) - middle for middle, one in zip(middles, values)],
    ]
    axes.barh(names, middles, xerr=reach, color=[_color(name) for name in names], ecolor="#44403c", height=0.65)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.set_title(f"({case.key}) {case.title}", fontsize=8.5, loc="right")


def _neighbours(case: CaseResult, axes: Axes) -> None:
    numbers: list[float] = []
    for name, points in case.series.items():
        numbers = [point[0] for point in points]
        axes.plot(
            range(len(points)),
            [point[1] for point in points],
            marker="o",
            label=name,
            color=_color(name),
            linewidth=2.5 if name == SLUICE else 1.5,
            linestyle="--" if name.startswith("curl") else "-",
        )
    axes.set_xticks(range(len(numbers)), [f"{number:g}" for number in numbers])
    axes.set_ylim(bottom=-0.03)
    axes.set_xlabel("stalled jobs beside it")
    axes.set_ylabel("speed, by that alone")
    axes.legend(frameon=False, fontsize=9)


def _memory(case: CaseResult, axes: Axes) -> None:
    for name, points in case.series.items():
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            label=name,
            color=_color(name),
            linewidth=2.5 if name == SLUICE else 1.5,
            linestyle="--" if name == "splice in C" else "-",
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("private memory, MB")
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
