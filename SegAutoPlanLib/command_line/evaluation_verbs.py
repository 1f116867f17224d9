"""The verbs about how good models are: evaluate."""

from __future__ import annotations

import argparse

from ..pipeline.evaluate import EvaluateOptions, evaluate
from ..progress import Reporter
from ..workspace import Workspace
from .arguments import add_workers, path, record
from .verb import Result, Verb


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("references", type=path, metavar="REFERENCES", help="folder of label files")
    parser.add_argument("predictions", type=path, metavar="PREDICTIONS", help="folder of segmentations")
    parser.add_argument("--dataset-json", type=path, metavar="FILE", help="default: dataset.json in PREDICTIONS")
    parser.add_argument("--output", type=path, metavar="FILE", help="default: summary.json in PREDICTIONS")
    parser.add_argument("--ignore-missing", action="store_true", help="references without a prediction are fine")
    add_workers(parser)


def _evaluate(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    evaluated = evaluate(workspace, record(EvaluateOptions, given), reporter)
    return Result(f"{evaluated.evaluation}\nWritten to {evaluated.summary}", evaluated.evaluation.to_json())


EVALUATION_VERBS = (Verb("evaluate", "Compare segmentations with references.", _evaluate_arguments, _evaluate),)
