"""The verbs of the command line and their arguments. The names are fixed: scripts rely on them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import __version__
from . import verbs


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m SegAutoPlanLib",
        description="Self-configuring segmentation: labelled images in, a trained network and segmentations out.",
    )
    parser.add_argument("--version", action="version", version=f"SegAutoPlan {__version__}")
    subparsers = parser.add_subparsers(metavar="VERB", required=True)
    for add in (_add_import, _add_check, _add_fingerprint, _add_plan, _add_preprocess, _add_train, _add_predict):
        add(subparsers)
    _add_evaluate(subparsers)
    _add_runs(subparsers)
    _add_demo(subparsers)
    return parser


def _verb(
    subparsers: Any, name: str, run: verbs.Verb, summary: str, takes_dataset: bool = True
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=summary, description=summary)
    if takes_dataset:
        parser.add_argument("dataset", metavar="DATASET", help="id (4), name (Dataset004_X) or raw dataset folder")
    parser.add_argument("--workspace", metavar="DIR", help="default: $SEGAUTOPLAN_WORKSPACE, else ./workspace")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--run-folder", metavar="DIR", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="processes (default: what cores and memory allow)"
    )


def _add_import(subparsers: Any) -> None:
    summary = "Make a raw dataset of what other programs left."
    parser = _verb(subparsers, "import", verbs.import_dataset, summary, takes_dataset=False)
    parser.add_argument("kind", choices=tuple(verbs.IMPORTERS), help="what SOURCE is")
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the folder; it is only read")
    parser.add_argument("--id", type=int, metavar="N", help="number of the new dataset (default: the task's)")
    parser.add_argument("--name", metavar="NAME", help="pairs: name of the new dataset")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help='pairs: channel names; "CT" decides a lot')
    parser.add_argument("--segments", nargs="+", metavar="NAME", help="pairs: only these, in this order")
    parser.add_argument("--regions", action="store_true", help="pairs: segments that overlap become regions")


def _add_check(subparsers: Any) -> None:
    _verb(subparsers, "check", verbs.check, "Report every problem of a raw dataset.")


def _add_fingerprint(subparsers: Any) -> None:
    summary = "Measure sizes, spacings and foreground intensities."
    _add_workers(_verb(subparsers, "fingerprint", verbs.fingerprint, summary))


def _add_plan(subparsers: Any) -> None:
    parser = _verb(subparsers, "plan", verbs.plan, "Decide how to preprocess and train, and say why.")
    parser.add_argument("--planner", default="plain", help="plain, resenc-m, resenc-l or resenc-xl (default: plain)")
    parser.add_argument("--gpu-memory-gb", type=float, metavar="X", help="plan for this much GPU memory")
    parser.add_argument(
        "--spacing", type=float, nargs=3, metavar=("Z", "Y", "X"), help="target spacing in mm instead of the median"
    )
    parser.add_argument("--plans", metavar="NAME", help="name of the plans file (default: the planner's)")


def _add_preprocess(subparsers: Any) -> None:
    parser = _verb(subparsers, "preprocess", verbs.preprocess, "Crop, normalise and resample every case.")
    _add_plans(parser)
    parser.add_argument("--configurations", nargs="+", metavar="NAME", help="default: 2d, 3d_fullres, 3d_lowres")
    _add_workers(parser)


def _add_train(subparsers: Any) -> None:
    parser = _verb(subparsers, "train", verbs.train, "Train one fold and validate it; does what has to come before.")
    parser.add_argument("configuration", metavar="CONFIGURATION", help="2d, 3d_fullres, 3d_lowres …")
    parser.add_argument("fold", metavar="FOLD", type=_fold, help="0 to 4, or all")
    _add_plans(parser)
    parser.add_argument("--recipe", default="default", metavar="NAME", help="default, short, 250epochs, nomirroring")
    parser.add_argument("--epochs", type=int, metavar="N")
    parser.add_argument("--iterations", type=int, metavar="N", help="training steps an epoch")
    parser.add_argument("--loss", metavar="NAME", help="dice_ce or dice_bce (default: what fits the labels)")
    _add_device(parser)
    parser.add_argument("--gpus", type=_positive, default=1, metavar="N", help="processes, one a GPU (Linux)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--pretrained", type=Path, metavar="PATH", help="checkpoint to start the weights from")
    parser.add_argument("--save-probabilities", action="store_true", help="of the validation cases, as npz")
    parser.add_argument("--validate-only", nargs="?", const="final", choices=("best", "final"), help="do not train")
    parser.add_argument("--no-checkpoints", action="store_true", help="write nothing but the final checkpoint")
    parser.add_argument("--seed", type=int, default=12345, metavar="N")


def _add_predict(subparsers: Any) -> None:
    parser = _verb(subparsers, "predict", verbs.predict, "Segment images with a trained model.", takes_dataset=False)
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="…/Trainer__Plans__configuration")
    parser.add_argument(
        "--input", type=Path, nargs="+", required=True, metavar="PATH", help="a folder, or one case's files"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--folds", nargs="+", metavar="FOLD", help="default: all that are trained")
    parser.add_argument("--checkpoint", default="final", choices=("final", "best", "latest"))
    parser.add_argument("--step-size", type=float, default=0.5, metavar="X", help="of the tile (default: 0.5)")
    parser.add_argument(
        "--mirroring",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="average over mirrored copies: slightly better, eight times the work in 3-D (default: on a GPU)",
    )
    parser.add_argument("--save-probabilities", action="store_true", help="npz files, for ensembling")
    _add_device(parser)
    parser.add_argument("--previous-stage", type=Path, metavar="FOLDER", help="a cascade's first-stage segmentations")
    parser.add_argument("--continue", dest="skip_existing", action="store_true", help="skip cases that are there")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="do the K-th of N parts")


def _add_evaluate(subparsers: Any) -> None:
    parser = _verb(
        subparsers, "evaluate", verbs.evaluate, "Compare segmentations with references.", takes_dataset=False
    )
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="folder of label files")
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="folder of segmentations")
    parser.add_argument("--dataset-json", type=Path, metavar="FILE", help="default: dataset.json in PREDICTIONS")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: summary.json in PREDICTIONS")
    parser.add_argument("--ignore-missing", action="store_true", help="references without a prediction are fine")


def _add_runs(subparsers: Any) -> None:
    parser = _verb(subparsers, "runs", verbs.runs, "List, follow or stop runs.", takes_dataset=False)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "follow", "stop"))
    parser.add_argument("name", nargs="?", metavar="RUN", help="a run's name (default: the newest)")


def _add_demo(subparsers: Any) -> None:
    summary = "The main job on real images, start to end: the ICBM 152 template, or any raw dataset."
    parser = _verb(subparsers, "demo", verbs.demo, summary, takes_dataset=False)
    parser.add_argument("--dataset", type=Path, metavar="DIR", help="a raw dataset; one case in five is held out")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="of the short recipe (default: 6)")


def _add_plans(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plans", default="nnUNetPlans", metavar="NAME", help="default: nnUNetPlans")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _fold(text: str) -> int | str:
    if text == "all":
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a fold; give a number or all")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with 1 <= K <= N, e.g. 1/4")
    return int(first), int(second)
