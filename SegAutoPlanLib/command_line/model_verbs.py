"""The verbs about networks: train, predict, ensemble, demo."""

from __future__ import annotations

import argparse

from ..losses import LOSSES
from ..models import CHECKPOINTS
from ..pipeline.demo import EPOCHS, DemoOptions, demo
from ..pipeline.ensemble import EnsembleOptions, ensemble
from ..pipeline.losses import LossesOptions, losses
from ..progress import Reporter
from ..training import FROZEN
from ..workspace import Workspace
from .arguments import (
    add_dataset,
    add_device,
    add_plans,
    add_precision,
    add_scheduler,
    add_workers,
    fold,
    part,
    path,
    positive,
    record,
)
from .verb import Result, Verb

RECIPE_HELP = (
    "of the table that `recipes` prints, nnU-Net's name of a trainer, or your own file (mine.toml); default: nnU-Net's "
    "own, with --minutes up to 120 the one for short trainings"
)


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    parser.add_argument("configuration", metavar="CONFIGURATION", help="2d, 3d_fullres, 3d_lowres …")
    parser.add_argument("fold", metavar="FOLD", type=fold, help="0 to 4, or all")
    add_plans(parser)
    parser.add_argument("--recipe", metavar="NAME", help=RECIPE_HELP)
    parser.add_argument("--epochs", type=int, metavar="N", help="the recipe's length (the schedule follows)")
    parser.add_argument("--iterations", type=int, metavar="N", help="training steps per epoch")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="how long everything may take: as many steps as fit, instead of epochs",
    )
    parser.add_argument(
        "--loss",
        metavar="NAME",
        help="default: what fits the labels; the verb losses says when to take which; one of " + ", ".join(LOSSES),
    )
    add_device(parser)
    parser.add_argument(
        "--gpus", type=positive, default=1, metavar="N", help="processes, one per GPU, on each computer"
    )
    parser.add_argument(
        "--nodes", type=positive, default=1, metavar="N", help="computers; the same command is started on each"
    )
    parser.add_argument("--rendezvous", metavar="HOST:PORT", help="of one of the computers, where all of them meet")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--pretrained", type=path, metavar="PATH", help="a checkpoint or model: start from its weights where they fit"
    )
    parser.add_argument(
        "--freeze", metavar="PART", help=f"what stays as it is, one of {', '.join(FROZEN)} (default: the recipe's)"
    )
    parser.add_argument("--save-probabilities", action="store_true", help="of the validation cases, as npz")
    parser.add_argument(
        "--validate-only", nargs="?", const="final", choices=("best", "final"), help="validate, do not train"
    )
    parser.add_argument(
        "--no-checkpoints", dest="checkpoints", action="store_false", help="write nothing but the final checkpoint"
    )
    parser.add_argument("--seed", type=int, default=12345, metavar="N")
    add_precision(parser)


def _train(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    from ..pipeline.train import Benchmark, TrainOptions, train

    trained = train(workspace, record(TrainOptions, given), reporter)
    if trained is None:  # another process, or another computer, has the result
        return Result("")
    if isinstance(trained, Benchmark):
        return Result(
            f"{trained.result}\nFastest epoch: {trained.fastest_epoch_s:.2f} s.",
            {"result": str(trained.result), "fastest_epoch_s": trained.fastest_epoch_s},
        )
    dice = ", ".join(f"{name} {value:.3f}" for name, value in trained.dice_by_label.items())
    cases = "the fold's validation cases"
    if trained.validated < trained.validation_cases:
        cases = (
            f"{trained.validated} of the fold's {trained.validation_cases} validation cases, for which there was time "
            "(train --validate-only does all)"
        )
    found = f"Dice on {cases}: {dice}." if trained.validation_cases else "The fold has no validation cases."
    return Result(
        f"{trained.checkpoint}\n{found}",
        {
            "checkpoint": str(trained.checkpoint),
            "model": str(trained.model),
            "validation_dice": trained.validation_dice,
            "dice": trained.dice_by_label,
            "validated": trained.validated,
            "validation_cases": trained.validation_cases,
        },
    )


def _predict_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="…/Trainer__Plans__configuration; the probabilities of several are averaged",
    )
    parser.add_argument(
        "--input", type=path, nargs="+", required=True, metavar="PATH", help="a folder, or one case's files"
    )
    parser.add_argument("--output", type=path, required=True, metavar="FOLDER")
    parser.add_argument("--folds", nargs="+", metavar="FOLD", help="default: all that are trained")
    parser.add_argument("--checkpoint", default=CHECKPOINTS[0], choices=CHECKPOINTS)
    parser.add_argument("--step-size", type=float, default=0.5, metavar="X", help="of the tile (default: 0.5)")
    parser.add_argument(
        "--no-gaussian",
        dest="use_gaussian",
        action="store_false",
        help="count the border of a tile as much as its middle where tiles overlap",
    )
    parser.add_argument(
        "--mirroring",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="average over mirrored copies: slightly better, eight times the work in 3-D (default: on a GPU)",
    )
    parser.add_argument("--save-probabilities", action="store_true", help="npz files, for ensembling")
    add_device(parser)
    parser.add_argument(
        "--previous-stage",
        type=path,
        metavar="FOLDER",
        help="a cascade's first-stage segmentations (default: the first stage is run as well)",
    )
    parser.add_argument(
        "--previous-model",
        type=path,
        metavar="FOLDER",
        help="the first stage's model (default: the sibling of the same trainer and plans)",
    )
    parser.add_argument(
        "--continue",
        dest="skip_existing",
        action="store_true",
        help="keep results that are there and complete, also corrected ones; damaged ones are made again",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="work in a folder that holds files of others too, and replace what has a result's name (with --continue: "
        "believe what is complete)",
    )
    parser.add_argument("--part", type=part, default=(1, 1), metavar="K/N", help="do the K-th of N parts")
    add_precision(parser)
    _inexact_arguments(parser)
    add_scheduler(parser)


def _inexact_arguments(parser: argparse.ArgumentParser) -> None:
    inexact = parser.add_argument_group("inexact", "sooner on large images, with other segmentations than the model's")
    inexact.add_argument("--skip-air", action="store_true", help="inexact: tiles without body are background")
    inexact.add_argument(
        "--coarse-step-above",
        type=positive,
        metavar="TILES",
        help="inexact: a larger step where an image has more tiles than this",
    )
    inexact.add_argument(
        "--time-limit",
        type=float,
        metavar="MINUTES",
        help="inexact: per image, after which only what is not covered yet is computed, without mirrored copies",
    )


def _predict(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    from ..pipeline.predict import PredictOptions, predict

    # A process that does one prediction after the other hands its model on.
    predicted = predict(workspace, record(PredictOptions, given), reporter, getattr(given, "kept", None))
    label = f", inexact ({predicted.inexact})" if predicted.inexact else ""
    return Result(
        f"{len(predicted.files)} segmentation(s) in {given.output}{label}",
        {"files": [str(file) for file in predicted.files], "inexact": predicted.inexact or None},
    )


def _ensemble_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        type=path,
        nargs="+",
        required=True,
        metavar="FOLDER",
        help="results of predict --save-probabilities, of the same cases",
    )
    parser.add_argument("--output", type=path, required=True, metavar="FOLDER")
    parser.add_argument("--save-probabilities", action="store_true", help="the mean ones, as npz files")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="work in a folder that holds files of others too, and replace what has a result's name",
    )
    add_workers(parser)


def _ensemble(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    written = ensemble(workspace, record(EnsembleOptions, given), reporter).files
    return Result(f"{len(written)} segmentation(s) in {given.output}", {"files": [str(file) for file in written]})


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", type=path, required=True, metavar="DIR", help="a raw dataset; one case in five is held out"
    )
    parser.add_argument(
        "--epochs", type=positive, default=EPOCHS, metavar="N", help=f"of the short recipe (default: {EPOCHS})"
    )


def _demo(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    outcome = demo(workspace, record(DemoOptions, given), reporter)
    summary = {"dice": outcome.dice, "model": str(outcome.model), "output": str(outcome.segmentations)}
    return Result(str(outcome), summary)


def _losses_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset", nargs="?", metavar="DATASET", help="only those that fit the labels of this one (id, name or folder)"
    )


def _losses(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    table = losses(workspace, record(LossesOptions, given), reporter)
    return Result(str(table), table.to_json())


MODEL_VERBS = (
    Verb("losses", "List the losses that train --loss takes, and when to take which.", _losses_arguments, _losses),
    Verb(
        "train",
        "Train one fold and validate it; does what has to come before.",
        _train_arguments,
        _train,
        runs_networks=True,
    ),
    Verb("predict", "Segment images with a trained model.", _predict_arguments, _predict, runs_networks=True),
    Verb("ensemble", "Average the probabilities that several models have saved.", _ensemble_arguments, _ensemble),
    Verb(
        "demo",
        "The main job on a raw dataset, start to end; measured on what it holds out.",
        _demo_arguments,
        _demo,
        runs_networks=True,
    ),
)
