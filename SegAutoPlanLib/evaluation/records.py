"""What an evaluation says: of each case, of all of them, and of those that could not be evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..labels import Label, LabelScheme

METRICS = ("Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref")
"""nnU-Net's, in the order of summary.json."""


@dataclass(frozen=True)
class CaseEvaluation:
    """The agreement of one case, label by label."""

    prediction_file: Path
    reference_file: Path
    metrics: dict[Label, dict[str, float]]
    """nnU-Net's `METRICS` of each foreground label or region."""
    beyond: dict[Label, dict[str, float]] = field(default_factory=dict)
    """What the field reports besides: distances in mm, volumes, lesions. Empty where it was not asked for."""


@dataclass(frozen=True)
class CaseProblem:
    """A case that could not be evaluated, and why, in one sentence."""

    name: str
    """Of its file."""
    message: str


@dataclass(frozen=True)
class Evaluation:
    """Cases and means. A Dice is NaN where a label is in neither file, and means leave NaN out."""

    label_scheme: LabelScheme
    cases: tuple[CaseEvaluation, ...]
    problems: tuple[CaseProblem, ...] = ()
    """What was left out; the means are without it."""

    def mean(self, label: Label, metric: str = "Dice") -> float:
        """Over the cases; NaN if it is NaN in all of them."""
        known = [v for case in self.cases if not math.isnan(v := case.metrics[label][metric])]
        return sum(known) / len(known) if known else math.nan

    def foreground_mean(self, metric: str = "Dice") -> float:
        """The plain mean of the labels' means: NaN if one of them is."""
        means = [self.mean(label, metric) for label in self.label_scheme.foreground]
        return sum(means) / len(means)

    def __str__(self) -> str:
        lines = [f"Mean Dice over {len(self.cases)} case(s):"]
        for label in self.label_scheme.foreground:
            lines.append(f"  {self.label_scheme.name_of(label):<24} {self.mean(label):.4f}")
        return "\n".join([*lines, f"  {'all foreground':<24} {self.foreground_mean():.4f}"])

    def to_json(self) -> dict[str, Any]:
        """nnU-Net's summary: keys "1" or "(1, 2)"; NaN is written as NaN, as nnU-Net does."""
        return {
            "foreground_mean": {metric: self.foreground_mean(metric) for metric in METRICS},
            "mean": {
                str(label): {metric: self.mean(label, metric) for metric in METRICS}
                for label in self.label_scheme.foreground
            },
            "metric_per_case": [
                {
                    "metrics": {str(label): values for label, values in case.metrics.items()},
                    "prediction_file": str(case.prediction_file),
                    "reference_file": str(case.reference_file),
                }
                for case in self.cases
            ],
        }
