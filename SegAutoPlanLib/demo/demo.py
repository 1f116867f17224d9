"""The main job on real images: check → fingerprint → plan → preprocess → train → segment → evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import pipeline
from ..dataset import load_dataset
from ..errors import UserInputError
from ..evaluation.evaluate import agreement
from ..images import read_segmentation
from ..labels import LabelScheme
from ..progress import SILENT, Reporter
from ..workspace import Workspace
from .hold_out import hold_out_cases
from .icbm import DemoData, HeldOut, build_icbm_dataset

CONFIGURATIONS = ("3d_fullres", "2d")
"""What is trained: the first of these that the plan has."""
RECIPE = "short"
EPOCHS = 6
GPU_MEMORY_GB = 0.25
"""Small patches: the better use of a few minutes of a CPU, which sees more of them in the time."""


@dataclass(frozen=True)
class DemoOutcome:
    """Held-out Dice by label name, and words about it."""

    text: str
    summary: dict[str, Any]


def prepare_data(workspace: Workspace, dataset: Path | None) -> DemoData:
    """The ICBM dataset, or a given one with one case in five held out."""
    if dataset is not None:
        return hold_out_cases(dataset, workspace.raw)
    return build_icbm_dataset(workspace.raw, workspace.raw.parent / "held_out")


def run_demo(
    workspace: Workspace, dataset: Path | None = None, epochs: int = EPOCHS, reporter: Reporter = SILENT
) -> DemoOutcome:
    """The whole job without Slicer; `make demo` does the same through the Slicer module.

    Raises:
        UserInputError: the dataset has problems.
    """
    # Here, because the data can be prepared without torch.
    from ..fold import TrainOptions, train_fold
    from ..inference import Segmenter, load_model, predict

    data = prepare_data(workspace, dataset)
    reporter.event("demo", message=data.story)
    checked = pipeline.check(workspace, data.dataset, reporter)
    if not checked.ok:
        raise UserInputError(str(checked))
    plan = pipeline.plan(workspace, data.dataset, gpu_memory_gb=GPU_MEMORY_GB, reporter=reporter)
    reporter.event("plan", message=f"\n{plan}")
    configuration = choose_configuration(plan.configurations)
    trained = train_fold(
        workspace, data.dataset, configuration, 0, TrainOptions(recipe=RECIPE, epochs=epochs), reporter
    )
    segmenter = Segmenter(load_model(trained.folder.parent))
    output = workspace.raw.parent / "segmented"
    labels = load_dataset(data.dataset).label_scheme
    dice: dict[str, dict[str, float]] = {}
    for case in data.held_out:
        (file,) = predict(segmenter, case.image_files, output, reporter=reporter)
        dice[case.name] = held_out_dice(case, file, labels, plan.image_io)
    return DemoOutcome(dice_in_words(dice), {"dice": dice, "model": str(trained.folder.parent), "output": str(output)})


def choose_configuration(available: Any) -> str:
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
    """A line a label: the mean over the held-out cases."""
    names = next(iter(dice.values()))
    lines = ["Dice on what was held out:"]
    for name in names:
        values = [case[name] for case in dice.values() if case[name] == case[name]]
        mean = sum(values) / len(values) if values else float("nan")
        lines.append(f"  {name:<20} {mean:.4f}  ({len(values)} case{'s' if len(values) != 1 else ''})")
    return "\n".join(lines)
