"""What is wrong with a dataset, as data and as a table that a person reads."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any, Literal

COLUMN_WIDTHS = {"case": 24, "file": 32, "problem": 60, "remedy": 44}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: in which case and file (empty for the dataset as a whole), and what to do."""

    case: str
    file: str
    problem: str
    remedy: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class IntegrityReport:
    """Every problem of a dataset, errors first."""

    dataset: str
    case_count: int
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether work can go on: there may be warnings, but no errors."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON document."""
        problems = [asdict(problem) for problem in self.problems]
        return {"ok": self.ok, "dataset": self.dataset, "case_count": self.case_count, "problems": problems}

    def __str__(self) -> str:
        counted = f"{self.dataset}: {_count(self.case_count, 'case')} checked"
        if not self.problems:
            return f"{counted}, no problems."
        found = f"{_count(len(self.errors), 'error')} and {_count(len(self.warnings), 'warning')}"
        header = ("", "case", "file", "problem", "remedy")
        rows = [(row.severity, row.case or "(all)", row.file, row.problem, row.remedy) for row in self.problems]
        return "\n".join([f"{counted}, {found}.", "", *_table(header, rows)])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    limits = [7, *COLUMN_WIDTHS.values()]
    wrapped = [
        [textwrap.wrap(cell, limit, break_on_hyphens=False) or [""] for cell, limit in zip(row, limits, strict=True)]
        for row in rows
    ]
    widths = [
        max(len(header[column]), *(len(line) for row in wrapped for line in row[column]))
        for column in range(len(header))
    ]

    def line(cells: list[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    lines = [line(list(header)), line(["-" * width for width in widths])]
    for row in wrapped:
        for index in range(max(len(cell) for cell in row)):
            lines.append(line([cell[index] if index < len(cell) else "" for cell in row]))
    return lines
