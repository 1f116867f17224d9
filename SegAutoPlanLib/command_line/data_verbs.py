"""The verbs that prepare data: import, check, fingerprint, plan, preprocess."""

from __future__ import annotations

import argparse

from ..pipeline.check import CheckOptions, check
from ..pipeline.convert_preprocessed import ConvertPreprocessedOptions, convert_preprocessed
from ..pipeline.fingerprint import FingerprintOptions, fingerprint
from ..pipeline.import_dataset import KINDS, ImportOptions, import_dataset
from ..pipeline.plan import PlanOptions, plan
from ..pipeline.preprocess import PreprocessOptions, preprocess
from ..planning import PLANNERS, plan_to_json
from ..progress import Reporter
from ..workspace import Workspace
from .arguments import add_dataset, add_plans, add_workers, path, record
from .verb import Result, Verb


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, help="what SOURCE is")
    parser.add_argument("source", type=path, metavar="SOURCE", help="the folder; it is only read")
    parser.add_argument(
        "--id", dest="dataset_id", type=int, metavar="N", help="number of the new dataset (default: the task's)"
    )
    parser.add_argument("--name", metavar="NAME", help="pairs: name of the new dataset")
    parser.add_argument("--channels", nargs="+", metavar="NAME", help='pairs: channel names; "CT" decides a lot')
    parser.add_argument("--segments", nargs="+", metavar="NAME", help="pairs: only these, in this order")
    parser.add_argument("--regions", action="store_true", help="pairs: segments that overlap become regions")
    add_workers(parser)


def _import(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    made = import_dataset(workspace, record(ImportOptions, given), reporter)
    text = "\n".join([f"{made.folder}: {made.case_count} cases", *made.notes])
    return Result(text, {"folder": str(made.folder), "cases": made.case_count, "notes": list(made.notes)})


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    add_workers(parser)


def _check(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    found = check(workspace, record(CheckOptions, given), reporter)
    return Result(str(found), found.to_json(), 0 if found.ok else 2)


def _fingerprint_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    add_workers(parser)


def _fingerprint(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    found = fingerprint(workspace, record(FingerprintOptions, given), reporter)
    channels = ", ".join(f"{c.mean:.4g} ± {c.std:.4g}" for c in found.foreground_intensities)
    text = f"{len(found.spacings)} cases; foreground intensity of each channel: {channels}."
    return Result(text, found.to_json())


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    parser.add_argument("--planner", default="plain", metavar="NAME", help=f"{', '.join(PLANNERS)} (default: plain)")
    parser.add_argument("--gpu-memory-gb", type=float, metavar="X", help="plan for this much GPU memory")
    parser.add_argument(
        "--spacing", type=float, nargs=3, metavar=("Z", "Y", "X"), help="target spacing in mm instead of the median"
    )
    parser.add_argument(
        "--plans", dest="plans_name", metavar="NAME", help="name of the plans file (default: the planner's)"
    )
    parser.add_argument(
        "--from-model", type=path, metavar="FOLDER", help="take the plan of a trained model, to fine-tune from it"
    )
    add_workers(parser)


def _plan(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    made = plan(workspace, record(PlanOptions, given), reporter)
    words = {"explanation": list(made.explanation), "warnings": list(made.warnings)}
    return Result(str(made), {**plan_to_json(made), **words})


def _preprocess_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    add_plans(parser)
    parser.add_argument("--configurations", nargs="+", metavar="NAME", help="default: 2d, 3d_fullres, 3d_lowres")
    add_workers(parser)


def _preprocess(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    folders = preprocess(workspace, record(PreprocessOptions, given), reporter).folders
    text = "\n".join(f"{name}: {folder}" for name, folder in folders.items())
    return Result(text, {name: str(folder) for name, folder in folders.items()})


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument(
        "--to-nnunet",
        type=path,
        metavar="FOLDER",
        help="an nnUNet_preprocessed, where nnU-Net is to train",
    )
    way.add_argument(
        "--from-nnunet", type=path, metavar="FOLDER", help="nnU-Net's nnUNet_preprocessed; it is only read"
    )
    add_plans(parser)
    parser.add_argument("--configurations", nargs="+", metavar="NAME", help="default: 2d, 3d_fullres, 3d_lowres")
    add_workers(parser)


def _convert(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    folders = convert_preprocessed(workspace, record(ConvertPreprocessedOptions, given), reporter).folders
    text = "\n".join(f"{name}: {folder}" for name, folder in folders.items())
    return Result(text, {name: str(folder) for name, folder in folders.items()})


DATA_VERBS = (
    Verb("import", "Make a raw dataset of what other programs left.", _import_arguments, _import),
    Verb("check", "Report every problem of a raw dataset.", _check_arguments, _check),
    Verb(
        "fingerprint",
        "Measure sizes, spacings and foreground intensities.",
        _fingerprint_arguments,
        _fingerprint,
    ),
    Verb("plan", "Decide how to preprocess and train, and say why.", _plan_arguments, _plan),
    Verb("preprocess", "Crop, normalise and resample every case.", _preprocess_arguments, _preprocess),
    Verb(
        "convert-preprocessed",
        "Give preprocessed cases to nnU-Net, or take nnU-Net's.",
        _convert_arguments,
        _convert,
    ),
)
