"""`demo`: the main job on a real dataset, start to end: check → plan → preprocess → train → segment → evaluate."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ..dataset.hold_out import HeldOut, HeldOutData, hold_out_cases
from ..errors import UserInputError
from ..evaluation import agreement
from ..images import read_segmentation
from ..labels import LabelScheme
from ..models import ModelFolder
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .check import CheckOptions, check
from .option_rules import LENGTH, require_option
from .plan import PlanOptions, plan

CONFIGURATIONS = ("3d_fullres", "2d")
"""What is trained: the first of these that the plan has."""
RECIPE = "short"
EPOCHS = 6
GPU_MEMORY_GB = 0.25
"""Small patches: the better use of a few minutes of a CPU, which sees more of them in the time."""


@dataclass(frozen=True)
class DemoOptions:
    """What to show the method on."""

    dataset: Path
    """A raw dataset; one case in five is held out of training."""
    epochs: int = EPOCHS

    def __post_init__(self) -> None:
        require_option("--epochs", self.epochs, LENGTH)


@dataclass(frozen=True)
class DemoOutcome:
    """How well the network does on what it has not seen."""

    model: Path
    segmentations: Path
    dice: dict[str, dict[str, float]]
    """By held-out case, then by label name."""

    def __str__(self) -> str:
        return dice_in_words(self.dice)


def demo(workspace: Workspace, options: DemoOptions, reporter: Reporter = SILENT) -> DemoOutcome:
    """The whole job without Slicer on a dataset of which one case in five is held out.

    Raises:
        UserInputError: the dataset has problems.
        StopRequested: once a stop was asked for.
    """
    return run_demo(workspace, hold_out_cases(options.dataset, workspace.raw), options.epochs, reporter)


def run_demo(workspace: Workspace, data: HeldOutData, epochs: int, reporter: Reporter = SILENT) -> DemoOutcome:
    """The whole job on data of which something was held out; `make demo` does the same through the Slicer module."""
    # Here, because what is held out can be chosen and measured without torch.
    from .predict import PredictOptions, predict
    from .train import TrainOptions, train

    reporter.event("demo", message=data.story)
    checked = check(workspace, CheckOptions(data.dataset), reporter)
    if not checked.ok:
        reporter.event("check", message=f"\n{checked}")
        raise UserInputError(f"{data.dataset}: has problems; correct them, check lists them all.")
    made = plan(workspace, PlanOptions(data.dataset, gpu_memory_gb=GPU_MEMORY_GB), reporter)
    reporter.event("plan", message=f"\n{made}")
    configuration = choose_configuration(made.configurations)
    trained = train(workspace, TrainOptions(data.dataset, configuration, 0, recipe=RECIPE, epochs=epochs), reporter)
    output = workspace.raw.parent / "segmented"
    label_scheme = ModelFolder.read(trained.model).label_scheme
    dice: dict[str, dict[str, float]] = {}
    for case in data.held_out:
        (file,) = predict(workspace, PredictOptions(trained.model, case.image_files, output), reporter).files
        dice[case.name] = held_out_dice(case, file, label_scheme, made.image_io)
    return DemoOutcome(trained.model, output, dice)


def choose_configuration(available: Container[str]) -> str:
    """3d_fullres where the plan has it, else 2d."""
    return next(name for name in CONFIGURATIONS if name in available)


def held_out_dice(case: HeldOut, segmentation: Path, label_scheme: LabelScheme, image_io: str) -> dict[str, float]:
    """Dice of each label on the part that was held out, by name."""
    part = (0, *case.left_out)
    reference = read_segmentation(case.reference_file, image_io).array[part]
    result = read_segmentation(segmentation, image_io).array[part]
    agreed = agreement(reference, result, label_scheme)
    return {label_scheme.name_of(label): agreed[label]["Dice"] for label in label_scheme.foreground}


def dice_in_words(dice: dict[str, dict[str, float]]) -> str:
    """A line per label: the mean over the held-out cases."""
    names = next(iter(dice.values()))
    lines = ["Dice on what was held out:"]
    for name in names:
        values = [case[name] for case in dice.values() if case[name] == case[name]]
        mean = sum(values) / len(values) if values else float("nan")
        lines.append(f"  {name:<20} {mean:.4f}  ({len(values)} case{'s' if len(values) != 1 else ''})")
    return "\n".join(lines)
