"""What the tests of passing models on share: a small model in a folder of results, and archives made of folders."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.pipeline.export_model import ExportedModels, ExportModelOptions, export_model
from SegAutoPlanLib.pipeline.import_model import ImportedModels, ImportModelOptions, import_model
from SegAutoPlanLib.pipeline.inspect_model import InspectModelOptions, inspect_model
from SegAutoPlanLib.workspace import Workspace

DATASET = "Dataset003_Liver"
MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"
LOOKS = {
    "liver": {"color": [0.5, 0.25, 0.125], "terminology": "Segmentation category~SCT^123037004^Anatomical Structure"},
    "tumour": {"color": [1.0, 0.0, 0.0], "terminology": ""},
}


def shared_model(model: Path, root: Path) -> Path:
    """A copy of a model as training leaves it in `root/DatasetXXX_Name`, with all that may stand beside its weights."""
    folder = Path(shutil.copytree(model, root / DATASET / MODEL))
    document = read_json(folder / "dataset.json")
    document |= {"segments": LOOKS, "licence": "CC-BY-4.0", "description": "Livers of nobody", "reference": "none"}
    write_json(folder / "dataset.json", document)
    write_json(folder / "dataset_fingerprint.json", {"spacings": []})
    (folder / "LICENSE").write_text("Do what you like.\n")
    for fold in (0, 1):
        summary = {
            "foreground_mean": {"Dice": 0.75 + fold / 8},
            "metric_per_case": [{"prediction_file": "/home/somebody/a.nii.gz", "reference_file": "C:\\x\\b.nii"}],
        }
        write_json(folder / f"fold_{fold}" / "validation" / "summary.json", summary)
        (folder / f"fold_{fold}" / "progress.png").write_bytes(b"picture")
        (folder / f"fold_{fold}" / "training_log_2026_01_01_00_00_00.txt").write_text("/home/somebody")
    compared = folder / "crossval_results_folds_0_1"
    write_json(compared / "summary.json", {"foreground_mean": {"Dice": 0.8}})
    write_json(
        compared / "postprocessing.json",
        {
            "postprocessing_fns": ["remove_all_but_largest_component_from_segmentation"] * 2,
            "postprocessing_kwargs": [{"labels_or_regions": [[1, 2], 2]}, {"labels_or_regions": 1}],
        },
    )
    return folder


def exported(models: list, output: Path, workspace: Workspace | None = None, **options) -> ExportedModels:
    """`export-model`."""
    return export_model(workspace or Workspace.at(output.parent), ExportModelOptions(models, output, **options))


def imported(path: Path, workspace: Path, **options) -> ImportedModels:
    """`import-model` into the workspace at that path."""
    return import_model(Workspace.at(workspace), ImportModelOptions(path, **options))


def inspected(path: Path):
    """`inspect-model`."""
    return inspect_model(Workspace.at(path.parent), InspectModelOptions(path))


def packed(folder: Path, archive: Path, prefix: str = "", more: dict[str, bytes] | None = None) -> Path:
    """The zip archive of all that is in a folder, as any program packs it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*")):
            target.write(path, prefix + path.relative_to(folder).as_posix())
        for name, content in (more or {}).items():
            target.writestr(name, content)
    return archive


def files_below(folder: Path) -> dict[str, bytes]:
    """The content of every file."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def changed_plan(folder: Path, change) -> None:
    """The model's plans.json after a function was called with its content."""
    document = json.loads((folder / "plans.json").read_text())
    change(document)
    (folder / "plans.json").write_text(json.dumps(document))
