"""`plan --from-model`: the plan of a trained model for a dataset that shall be fine-tuned from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..dataset import Dataset
from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..files import write_json
from ..fingerprint import Fingerprint
from ..models import PLANS_FILE, ModelFolder
from ..planning import PLANNERS, Plan, plan_from_json, plan_to_json, write_plan
from ..planning.adoption import adopt_plan, adopted_name, has_new_channels
from .option_rules import require_plans_name


def read_model_to_adopt(folder: Path) -> ModelFolder:
    """The model whose plan shall be taken.

    Raises:
        UserInputError: it is no model folder, or its plan is not that of its dataset.json.
    """
    model = ModelFolder.read(folder)
    planned, channels = len(model.plan.foreground_intensities), len(model.channel_names)
    if planned != channels:
        raise FileError(
            folder / PLANS_FILE,
            f"is for {planned} channels, but {DATASET_FILE} beside it names {channels}",
            "copy both files from one and the same model",
        )
    return model


def needs_fingerprint(model: ModelFolder, raw: Dataset) -> bool:
    """Whether the dataset has channels about which the model's plan says nothing."""
    return has_new_channels(model.channel_names, raw.channel_names)


def name_of_adopted(model: ModelFolder, wanted: str | None) -> str:
    """The name of the plan in the dataset.

    Raises:
        UserInputError: the model's name cannot be a part of it, or it is one that a planner gives.
    """
    name = wanted or adopted_name(model.plan)
    require_plans_name(name)
    if name in {planner.plans_name for planner in PLANNERS.values()}:
        raise UserInputError(f"--plans {name}: is the name of a planner's own plan; choose another one.")
    return name


def adopt(model: ModelFolder, raw: Dataset, known: Fingerprint | None, name: str, target: Path) -> Plan:
    """Write the model's plan for the dataset.

    Args:
        known: the dataset's fingerprint, where a channel is new.
        target: the file of the plan.

    Raises:
        UserInputError: with a new channel's intensities the plan could not be used.
    """
    intensities = known.foreground_intensities if known is not None else ()
    made = adopt_plan(model.plan, model.channel_names, raw.channel_names, intensities, raw.name, raw.image_io, name)
    made = plan_from_json(plan_to_json(made), str(target))
    write_plan(made, target)
    write_json(target.with_name(DATASET_FILE), raw.dataset_json.document)
    trained = model.name.configuration if model.name else ""
    configuration = trained if trained in made.configurations else next(iter(made.configurations))
    return replace(
        made,
        explanation=(
            f"The plan of {model.path}: its voxel sizes, patches, networks and intensities, as the plan {name} of "
            f"{raw.name}.",
            f"Fine-tune with: train {raw.name} {configuration} 0 --plans {name} --recipe finetune "
            f"--pretrained {model.path}",
        ),
    )
