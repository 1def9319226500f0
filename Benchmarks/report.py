"""The table on standard output, and docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path
from string import Template

from .results import Bar, CaseResult, Results

NOT_QUIET = "**The machine had other work to do while this was measured: take it for a sketch.**"


def is_quiet(load_average: str) -> bool:
    """Whether nobody else was at work when the run began."""
    return float(load_average) < 1.5


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
        "    "
        + line[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))
        for line in cells
    ]


# ---- the document -------------------------------------------------------------------------------------------------


def write_document(results: Results, template: Path, document: Path) -> None:
    """Fills the template."""

    def cases(keys: str) -> str:
        return "\n\n".join(_section(case) for case in results.cases if case.key in keys)

    document.write_text(
        Template(template.read_text()).substitute(
            command=results.command,
            date=results.date,
            load=results.load_average,
            rounds=results.rounds,
            absent=f"Absent, and so not compared: {', '.join(results.absent)}. " if results.absent else "",
            calm="" if is_quiet(results.load_average) else NOT_QUIET,
            bars=_bars(results),
            throughput=cases("abh"),
            many=cases("cd"),
            latency=cases("e"),
            neighbours=cases("f"),
            memory=cases("g"),
            idle=cases("i"),
            waiting=cases("j"),
            bursts=cases("k"),
            files=cases("l"),
            machine=_pairs(results.machine),
            versions=_pairs(results.versions),
        )
    )


def _bars(results: Results) -> str:
    lines = ["| | figure | bar | measured | |", "|---|---|---|---|---|"]
    for case in results.cases:
        lines += [
            f"| ({case.key}) | {bar.what} | {limit_of(bar)} | {value_of(bar)} | {verdict(bar) if bar.met else '**not met**'} |"
            for bar in case.bars
        ]
    return "\n".join(lines)


def _section(case: CaseResult) -> str:
    names = list(dict.fromkeys(name for row in case.rows for name in row.figures))
    lines = [f"**({case.key})** {case.title}", "", f"| | {' | '.join(names)} |", "|---" + "|---:" * len(names) + "|"]
    lines += [f"| {row.contender} | {' | '.join(row.figures.get(name, '') for name in names)} |" for row in case.rows]
    lines += ["", *case.notes] if case.notes else []
    lines += ["", *(f"**Failed:** {failure}" for failure in case.failures)] if case.failures else []
    return "\n".join(lines)


def _pairs(pairs: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {value} |" for name, value in pairs.items())
