"""The table on standard output, and docs/benchmarks.md."""

from __future__ import annotations

from .results import Bar, CaseResult, Results


def table(results: Results) -> str:
    """Everything, for a terminal."""
    lines = [f"Sluice beside others, {results.form} form, {results.date}", ""]
    for case in results.cases:
        lines += [f"({case.key}) {case.title}"] + _columns(case) + [f"    {_bar_line(bar)}" for bar in case.bars]
        lines += [f"    {note}" for note in case.notes] + [f"    FAILED: {failure}" for failure in case.failures] + [""]
    if results.absent:
        lines += [f"Absent, and so not compared: {', '.join(results.absent)}.", ""]
    bars = [bar for case in results.cases for bar in case.bars]
    lines.append(f"{sum(bar.met for bar in bars)} of {len(bars)} bars are met.")
    return "\n".join(lines)


def value_of(bar: Bar) -> str:
    return f"{bar.value:.2f}{' ' * bool(bar.unit)}{bar.unit}"


def limit_of(bar: Bar) -> str:
    return f"{'≥' if bar.higher_is_better else '≤'} {bar.limit:g}{' ' * bool(bar.unit)}{bar.unit}"


def verdict(bar: Bar) -> str:
    return "met" if bar.met else "not met"


def _bar_line(bar: Bar) -> str:
    return f"{bar.what}: {value_of(bar)} (bar {limit_of(bar)}): {verdict(bar)}"


def _columns(case: CaseResult) -> list[str]:
    if not case.rows:
        return []
    names = list(dict.fromkeys(name for row in case.rows for name in row.figures))
    cells = [["", *names]] + [[row.contender, *(row.figures.get(name, "") for name in names)] for row in case.rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names) + 1)]
    return [
        "    " + line[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))
        for line in cells
    ]
