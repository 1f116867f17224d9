"""The verbs that pass models on: inspect-model, import-model, export-model."""

from __future__ import annotations

import argparse

from ..progress import Reporter
from ..workspace import Workspace
from .arguments import path, record
from .verb import Result, Verb

A_MODEL = "a model's folder, a dataset's results, or a zip archive"


def _inspect_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=path, metavar="PATH", help=A_MODEL)


def _inspect(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    from ..pipeline.inspect_model import InspectModelOptions, inspect_model

    report = inspect_model(workspace, record(InspectModelOptions, given), reporter)
    return Result(str(report), report.to_json(), 0 if report.is_usable else 2)


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=path, metavar="ZIP_OR_FOLDER", help=A_MODEL)
    parser.add_argument("--name", metavar="DatasetXXX_NAME", help="what its dataset is to be called here")
    parser.add_argument("--overwrite", action="store_true", help="replace models of the same name")


def _import(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    from ..pipeline.import_model import ImportModelOptions, import_model

    imported = import_model(workspace, record(ImportModelOptions, given), reporter)
    left_out = [f"Left out {count} files: {reason}." for reason, count in imported.left_out.items()]
    return Result(
        "\n".join([*map(str, imported.folders), *left_out, *imported.notes]),
        {
            "models": [str(folder) for folder in imported.folders],
            "left_out": dict(imported.left_out),
            "notes": list(imported.notes),
        },
    )


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar="DATASET_OR_MODEL_FOLDER", help="all models of a dataset (id or name), or a folder"
    )
    parser.add_argument("--output", type=path, required=True, metavar="ZIP")
    parser.add_argument("--configurations", nargs="+", metavar="NAME", help="of datasets (default: all trained ones)")
    parser.add_argument("--folds", nargs="+", metavar="FOLD", help="default: all that are trained")
    parser.add_argument("--checkpoint", default="final", choices=("final", "best"))
    parser.add_argument(
        "--keep-optimizer",
        action="store_true",
        help="the optimiser's state, too, to go on with a training elsewhere (twice the size)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an archive that is there")


def _export(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    from ..pipeline.export_model import ExportModelOptions, export_model

    exported = export_model(workspace, record(ExportModelOptions, given), reporter)
    words = f"{exported.archive} ({exported.size / (1 << 20):.1f} MB): {', '.join(exported.models)}"
    return Result(
        "\n".join([words, *exported.notes]),
        {
            "archive": str(exported.archive),
            "size": exported.size,
            "models": list(exported.models),
            "notes": list(exported.notes),
        },
    )


EXCHANGE_VERBS = (
    Verb(
        "inspect-model",
        "Tell what a model is before you trust it; nothing is unpacked or executed.",
        _inspect_arguments,
        _inspect,
    ),
    Verb(
        "import-model",
        "Take a model of nnU-Net 2 or of SegAutoPlan into the workspace: all of it, checked, or nothing.",
        _import_arguments,
        _import,
    ),
    Verb(
        "export-model",
        "Pack trained models into a zip archive, which nnU-Net installs, too.",
        _export_arguments,
        _export,
    ),
)
