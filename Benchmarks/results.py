"""What cases hand to the report: rows of figures, bars, and series for the plots. All of it survives as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One contender's figures in a case, each already in words, under the names of the columns."""

    contender: str
    figures: dict[str, str]


@dataclass(frozen=True)
class Bar:
    """A figure, and what it is to reach."""

    what: str
    value: float
    limit: float
    higher_is_better: bool
    unit: str = ""
    """Nothing for a ratio."""

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.higher_is_better else self.value <= self.limit


@dataclass
class CaseResult:
    """A case's outcome. `failures` are sentences; with one, the run has failed."""

    key: str
    title: str
    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    series: dict[str, list[list[float]]] = field(default_factory=dict)
    """Points for a plot, by contender."""


@dataclass
class Results:
    """A whole run."""

    command: str
    date: str
    form: str
    rounds: int
    load_average: str
    """The load average when it began."""
    machine: dict[str, str]
    versions: dict[str, str]
    absent: list[str]
    cases: list[CaseResult]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> Results:
        data = json.loads(path.read_text())
        data["cases"] = [
            CaseResult(
                **{**case, "rows": [Row(**row) for row in case["rows"]], "bars": [Bar(**bar) for bar in case["bars"]]}
            )
            for case in data["cases"]
        ]
        return Results(**data)
