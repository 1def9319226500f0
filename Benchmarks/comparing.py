"""Figures for the long form of the guard: ratios, which need the machine that they were recorded on, doing nothing else."""

from __future__ import annotations

from . import counting
from .bench import Bench
from .cases import CASES
from .guard import SLACK, Figure, better
from .processes import Failed

# Ratios to other contenders, or to itself alone; what the short form has counted is left out.
CASES_WITH_RATIOS = "abcdef"


def ratios(bench: Bench) -> dict[str, Figure]:
    """What the bars are about, by their names."""
    figures: dict[str, Figure] = {}
    for key in CASES_WITH_RATIOS:
        for case in CASES[key](bench):
            if case.failures:
                raise Failed("; ".join(case.failures))
            for bar in case.bars:
                if not bar.unit:
                    # Of a hundred samples the second worst is a matter of luck.
                    slack = 0.5 if "p99" in bar.what else SLACK
                    figures[bar.what] = Figure(bar.value, bar.higher_is_better, slack)
    return figures | counting.times(bench)


def again(bench: Bench, figures: dict[str, Figure]) -> dict[str, Figure]:
    """Measures everything once more, and keeps the better figures."""
    fresh = ratios(bench)
    return {name: better(figure, fresh[name]) for name, figure in figures.items()}
