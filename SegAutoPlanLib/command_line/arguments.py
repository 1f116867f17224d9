"""What several verbs' arguments share: their types, and a record made of what was given."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from ..errors import UserInputError
from ..models import fold_of
from ..number_format import AUTOMATIC, PRECISION_CHOICES
from ..planning.presets import FULL_PLANS_NAME

Record = TypeVar("Record")


def record(kind: type[Record], given: argparse.Namespace) -> Record:
    """A verb's options: each field of the record is the argument of the same name.

    A field that no argument fills keeps its default.
    """
    return kind(**{field.name: getattr(given, field.name) for field in fields(kind) if hasattr(given, field.name)})


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """The raw dataset that a verb works on."""
    parser.add_argument("dataset", metavar="DATASET", help="id (4), name (Dataset004_X) or raw dataset folder")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Who works on the cases: `--workers` here, or a cluster's `--scheduler`."""
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="cases at once (default: what cores and memory allow)"
    )
    add_scheduler(parser)


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """A cluster that works on the cases."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster that works on the cases, e.g. tcp://10.0.0.1:8786; it needs this package everywhere, "
        "and its workers the same files (here: the package distributed)",
    )


def add_plans(parser: argparse.ArgumentParser) -> None:
    """Which plan of the dataset."""
    parser.add_argument(
        "--plans",
        dest="plans_name",
        default=FULL_PLANS_NAME,
        metavar="NAME",
        help=f"name of the plans file (default: {FULL_PLANS_NAME})",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """What computes."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def add_precision(parser: argparse.ArgumentParser) -> None:
    """What networks compute in."""
    parser.add_argument(
        "--precision",
        default=AUTOMATIC,
        choices=PRECISION_CHOICES,
        help="auto: the number format that is the fastest here, measured once; full: float32",
    )


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def fold(text: str) -> int | str:
    """The number of a fold, or `all`."""
    try:
        return fold_of(text)
    except UserInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def part(text: str) -> tuple[int, int]:
    """`K/N` as two numbers."""
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with 1 <= K <= N, e.g. 1/4")
    return int(first), int(second)


def path(text: str) -> Path:
    """A file or folder; an empty text, such as an unset variable of a shell gives, would mean the folder one is in."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or folder")
    return Path(text)
