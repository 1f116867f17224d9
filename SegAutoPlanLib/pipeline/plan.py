"""`plan`: how to preprocess and train, decided and stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dataset import Dataset, load_dataset
from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..executors import Workers
from ..files import read_json, write_json
from ..fingerprint import Fingerprint
from ..machine import core_count, multiply_adds_per_second
from ..planning import PLANNERS, Machine, Plan, plan_experiments, plan_path, planner_named, read_plan, write_plan
from ..planning.normalization import normalization_schemes
from ..planning.plan_gate import require_intensities_for
from ..planning.plan_json import MAX_PLAN_BYTES
from ..progress import SILENT, Reporter
from ..schema import Mismatch, array_of, either, nothing
from ..workspace import Workspace
from .adopt_plan import adopt, name_of_adopted, needs_fingerprint, read_model_to_adopt
from .fingerprint import current_fingerprint
from .option_rules import GIGABYTES, MILLIMETRES, require_option, require_plans_name
from .workers_options import WorkersOptions

CHECK_IMAGES = "correct the names of the channels, or the images and labels"


@dataclass(frozen=True)
class PlanOptions(WorkersOptions):
    """What to plan, and with which planner; the workers measure the fingerprint, where that has to be done first."""

    dataset: str | Path
    """An id, a name, or the folder of a raw dataset."""
    planner: str = "plain"
    gpu_memory_gb: float | None = None
    """Plan for this much GPU memory; None: the planner's own."""
    spacing: Sequence[float] | None = None
    """(z, y, x) in mm instead of the dataset's own."""
    plans_name: str | None = None
    """Name of the plans file; None: the planner's own."""
    from_model: Path | None = None
    """A model folder whose plan is taken instead of planning, to fine-tune from its weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_option("--gpu-memory-gb", self.gpu_memory_gb, GIGABYTES)
        require_option("--spacing", self.spacing, either(nothing, array_of(MILLIMETRES, length=3)))
        require_plans_name(self.plans_name)
        planned = (
            ("--planner", self.planner != "plain"),
            ("--gpu-memory-gb", self.gpu_memory_gb),
            ("--spacing", self.spacing),
        )
        for option, given in planned:
            if given and self.from_model is not None:
                raise UserInputError(f"{option}: the plan of a model (--from-model) is taken as it is; leave this out.")


def plan(workspace: Workspace, options: PlanOptions, reporter: Reporter = SILENT) -> Plan:
    """Plan from the stored fingerprint, which is measured first if it is missing or older than the images.

    User-added configurations of an earlier plan of the same name are kept.

    Raises:
        UserInputError: the dataset, the fingerprint or an option cannot be worked with.
        StopRequested: while measuring, once a stop was asked for.
    """
    raw = load_dataset(workspace.raw_folder(options.dataset))
    if options.from_model is not None:
        return _adopt(workspace, raw, options, reporter)
    return _plan(workspace, raw, options, options.on_cases, reporter)


def find_plan(
    workspace: Workspace,
    raw: Dataset,
    plans_name: str,
    workers: Workers | None = None,
    reporter: Reporter = SILENT,
) -> Plan:
    """The stored plan of that name; a planner's own is planned now if it is missing.

    Raises:
        UserInputError: there is no such plan, and no planner makes it.
    """
    path = stored_plan(workspace, raw, plans_name)
    if path.is_file():
        found = read_plan(path)
        if found.plans_name != plans_name:
            raise FileError(
                path,
                f'is the plan "{found.plans_name}" by its "plans_name", whose file and results would be replaced',
                f'write "{plans_name}" there, or give the file the name {found.plans_name}.json',
            )
        return found
    planners = {preset.plans_name: name for name, preset in PLANNERS.items()}
    if plans_name not in planners:
        raise UserInputError(f"{path}: there is no such plan; make it first with: plan {raw.name} --plans {plans_name}")
    return _plan(workspace, raw, PlanOptions(raw.folder, planners[plans_name]), workers, reporter)


def stored_plan(workspace: Workspace, raw: Dataset, plans_name: str) -> Path:
    """Where a dataset's plan of that name is stored."""
    return plan_path(workspace.preprocessed / raw.name, plans_name)


def _plan(
    workspace: Workspace, raw: Dataset, options: PlanOptions, workers: Workers | None, reporter: Reporter
) -> Plan:
    planner = planner_named(options.planner)
    known = current_fingerprint(workspace, raw, workers, reporter)
    _require_intensities(raw, known)
    name = options.plans_name or planner.plans_name
    target = stored_plan(workspace, raw, name)
    existing = _existing(target)
    made = plan_experiments(
        known, raw, planner.name, options.gpu_memory_gb, options.spacing, name, existing, _this_computer()
    )
    write_plan(made, target)
    write_json(target.with_name(DATASET_FILE), raw.dataset_json.document)
    return made


def _adopt(workspace: Workspace, raw: Dataset, options: PlanOptions, reporter: Reporter) -> Plan:
    model = read_model_to_adopt(options.from_model)
    name = name_of_adopted(model, options.plans_name)
    target = stored_plan(workspace, raw, name)
    _existing(target)
    known = current_fingerprint(workspace, raw, options.on_cases, reporter) if needs_fingerprint(model, raw) else None
    return adopt(model, raw, known, name, target)


def _require_intensities(raw: Dataset, known: Fingerprint) -> None:
    """Before a plan is made that could not be used: a channel whose foreground cannot be scaled."""
    try:
        require_intensities_for(normalization_schemes(raw.channel_names), known.foreground_intensities)
    except Mismatch as mismatch:
        raise FileError(
            raw.folder / DATASET_FILE, f"by the images, {mismatch.where} {mismatch.problem}", CHECK_IMAGES
        ) from None


def _existing(target: Path) -> Any:
    """The plan that is replaced, whose user-added configurations are kept; None if there is none."""
    if not target.exists():
        return None
    document = read_json(target, MAX_PLAN_BYTES)
    if not isinstance(document, dict) or not {"configurations", "plans_name"} <= document.keys():
        raise FileError(target, "is not a plan and is not replaced by one", "move it away, or choose another --plans")
    return document


def _this_computer() -> Machine:
    cores = core_count()
    name = f"the {cores} processor core{'s' if cores > 1 else ''} of this computer"
    return Machine.of_processor(name, multiply_adds_per_second())
