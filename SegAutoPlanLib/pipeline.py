"""The stages in a workspace: each function reads what the stage needs, does it, and writes what nnU-Net would.

The command line has a verb for each of them and Slicer's logic calls the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .dataset import Dataset, IntegrityReport, check_dataset, load_dataset
from .errors import UserInputError
from .files import read_json, write_json
from .fingerprint import Fingerprint, extract_fingerprint, read_fingerprint, write_fingerprint
from .machine import core_count, multiply_adds_per_second
from .planning import PLANNERS, Machine, Plan, plan_experiments, read_plan, write_plan
from .preprocessing import preprocess_dataset
from .progress import SILENT, Reporter
from .workspace import Workspace

FINGERPRINT_FILE = "dataset_fingerprint.json"


def check(workspace: Workspace, dataset: str | Path, reporter: Reporter = SILENT) -> IntegrityReport:
    """Every problem of a raw dataset."""
    return check_dataset(load_dataset(workspace.raw_folder(dataset)), reporter=reporter)


def fingerprint(
    workspace: Workspace, dataset: str | Path, workers: int | None = None, reporter: Reporter = SILENT
) -> Fingerprint:
    """Extract and store the fingerprint."""
    raw = load_dataset(workspace.raw_folder(dataset))
    found = extract_fingerprint(raw, workers=workers, reporter=reporter)
    write_fingerprint(found, workspace.preprocessed / raw.name / FINGERPRINT_FILE)
    return found


def plan(
    workspace: Workspace,
    dataset: str | Path,
    planner: str = "plain",
    gpu_memory_gb: float | None = None,
    spacing: Sequence[float] | None = None,
    plans_name: str | None = None,
    reporter: Reporter = SILENT,
) -> Plan:
    """Plan from the stored fingerprint, which is extracted first if it is missing or older than the images.

    User-added configurations of an earlier plan of the same name are kept.
    """
    raw = load_dataset(workspace.raw_folder(dataset))
    folder = workspace.preprocessed / raw.name
    stored = folder / FINGERPRINT_FILE
    is_current = _is_current(stored, raw)
    known = read_fingerprint(stored) if is_current else fingerprint(workspace, dataset, reporter=reporter)
    name = plans_name or _default_plans_name(planner)
    target = folder / f"{name}.json"
    existing = read_json(target) if target.is_file() else None
    made = plan_experiments(known, raw, planner, gpu_memory_gb, spacing, name, existing, _this_computer())
    write_plan(made, target)
    write_json(folder / "dataset.json", raw.dataset_json)
    return made


def preprocess(
    workspace: Workspace,
    dataset: str | Path,
    plans_name: str = "nnUNetPlans",
    configurations: Sequence[str] | None = None,
    workers: int | None = None,
    reporter: Reporter = SILENT,
) -> dict[str, Path]:
    """Preprocess what is not there yet; makes the plan first if there is none."""
    raw = load_dataset(workspace.raw_folder(dataset))
    made = load_plan(workspace, raw, plans_name, reporter)
    return preprocess_dataset(raw, made, workspace.preprocessed, configurations, workers, reporter)


def load_plan(workspace: Workspace, raw: Dataset, plans_name: str, reporter: Reporter = SILENT) -> Plan:
    """The stored plan of that name; one of the presets' names is planned now if it is missing."""
    path = workspace.preprocessed / raw.name / f"{plans_name}.json"
    if path.is_file():
        return read_plan(path)
    planners = {preset.plans_name: name for name, preset in PLANNERS.items()}
    if plans_name not in planners:
        raise UserInputError(f"{path}: there is no such plan; make it first with: plan {raw.name} --plans {plans_name}")
    return plan(workspace, raw.folder, planners[plans_name], reporter=reporter)


def _this_computer() -> Machine:
    cores = core_count()
    name = f"the {cores} processor core{'s' if cores > 1 else ''} of this computer"
    return Machine.of_processor(name, multiply_adds_per_second())


def _is_current(stored: Path, raw: Dataset) -> bool:
    if not stored.is_file() or len(read_fingerprint(stored).spacings) != len(raw.cases):
        return False
    files = [file for case in raw.cases for file in (*case.image_files, case.label_file) if file is not None]
    return all(file.stat().st_mtime <= stored.stat().st_mtime for file in files if file.is_file())


def _default_plans_name(planner: str) -> str:
    if planner not in PLANNERS:
        raise UserInputError(f"--planner {planner}: there is no such planner; choose one of {', '.join(PLANNERS)}.")
    return PLANNERS[planner].plans_name
