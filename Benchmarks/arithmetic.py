"""Medians, percentiles and ratios. Nothing here knows what is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed: a value that was measured."""
    if not values:
        raise ValueError("there is no percentile of nothing")
    if not 0 <= share <= 1:
        raise ValueError(f"a share is from 0 to 1, not {share}")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within each round.

    The two of a round were measured one after the other, so what slows the machine for a while slows both.
    """
    if len(values) != len(others) or not values:
        raise ValueError(f"rounds do not pair: {len(values)} and {len(others)}")
    return median(value / other for value, other in zip(values, others, strict=True))


def spread(values: Sequence[float]) -> float:
    """How far the values lie apart, as a share of their median: 0 where all are equal."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def worsening(value: float, recorded: float, higher_is_better: bool) -> float:
    """By which share a value is worse than the recorded one; 0.15 is 15 % worse, below 0 is better."""
    if recorded == 0:
        return 0.0 if value == 0 or higher_is_better else math.inf
    return (recorded - value) / recorded if higher_is_better else (value - recorded) / recorded


def wakeups(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """How often threads were woken, by their counts at two moments. One that is new, or gone, was so once at least."""
    grown = sum(after[thread] - count for thread, count in before.items() if thread in after)
    return grown + len(before.keys() ^ after.keys())
