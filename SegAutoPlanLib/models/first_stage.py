"""Where the first stage of a cascade lies: beside the second one, under the same trainer and plans."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserInputError
from .model_folder import ModelFolder
from .names import ModelName


def first_stage_folder(model: ModelFolder, previous_stage: str, given: Path | None = None) -> Path:
    """The model folder whose segmentations a second stage takes.

    Args:
        previous_stage: the configuration that its plan names.
        given: the folder, where it is not the sibling `Trainer__Plans__configuration`.

    Raises:
        UserInputError: there is no such folder; the sentence names where it was looked for.
    """
    if given is not None:
        return given
    remedy = "give that model's folder with --previous-model, or its segmentations with --previous-stage"
    about = f"{model.path}: is a cascade's second stage and needs the segmentations of its {previous_stage}"
    # A relative path such as `.` has no name of its own.
    place = model.path.absolute()
    name = ModelName.parse(place.name)
    if name is None:
        raise UserInputError(
            f"{about}, whose folder cannot be told because this one was renamed from Trainer__Plans__configuration; "
            f"{remedy}."
        )
    folder = place.parent / str(ModelName(name.trainer, name.plans, previous_stage))
    if not folder.is_dir():
        raise UserInputError(f"{about}, but there is no {folder}; train it, {remedy}.")
    return folder
