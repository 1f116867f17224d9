"""A model and, before a cascade's second stage, the first one: from an image to logits, nothing in files between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import FileError, UserInputError
from ..images import Image
from ..models import ModelFolder, first_stage_folder
from ..preprocessing import PreprocessedCase
from ..progress import SILENT, Reporter
from .model import TrainedModel, load_model
from .segment import Segmentation, Segmenter


@dataclass(frozen=True)
class PreparedCase:
    """What the first stage that is to run takes, and what those after it are made from."""

    stages: tuple[Segmenter, ...]
    """Those that are to run, in their order."""
    case: PreprocessedCase
    image: Image | None
    """None where no other stage follows."""


@dataclass(frozen=True)
class NetworkAnswer:
    """What became of a preprocessed case, and whose it is."""

    segmenter: Segmenter
    case: PreprocessedCase
    logits: torch.Tensor | Segmentation
    """(heads, z, y, x); the segmentation itself, where those of all classes did not fit and were not all wanted."""


@dataclass(frozen=True)
class Stages:
    """Models that build on each other, ready to run. Most often a single one."""

    segmenters: tuple[Segmenter, ...]
    """The last one's segmentations are the result."""

    @property
    def last(self) -> Segmenter:
        return self.segmenters[-1]

    @property
    def model(self) -> TrainedModel:
        """Of the last stage."""
        return self.last.model

    def prepare(self, image: Image, previous: np.ndarray | None = None) -> PreparedCase:
        """Preprocess for the first stage that is to run.

        Args:
            previous: labels (1, z, y, x) of the stage before the last on the image's grid; the last one alone is to run
                then.

        Raises:
            UserInputError: the image does not fit the model.
        """
        stages = self.segmenters if previous is None else self.segmenters[-1:]
        if previous is None and stages[0].model.configuration.previous_stage is not None:
            raise UserInputError(
                f"{stages[0].model.files.path.name} is a cascade's second stage and needs the first one's "
                "segmentations; give --previous-stage FOLDER, or the first stage's model with --previous-model FOLDER."
            )
        case = stages[0].preprocess(image, previous)
        return PreparedCase(stages, case, image if len(stages) > 1 else None)

    def logits(
        self,
        prepared: PreparedCase,
        with_probabilities: bool = False,
        reporter: Reporter = SILENT,
        whole: bool = False,
    ) -> NetworkAnswer:
        """Run the stages; each one's segmentation on the image's grid becomes a channel per label of the next.

        Args:
            whole: whether all logits are wanted, even where they hardly fit.

        Raises:
            UserInputError: there is no memory for it, or the network computes no numbers.
            StopRequested: between two tiles.
        """
        case = prepared.case
        for segmenter, following in zip(prepared.stages, prepared.stages[1:], strict=False):
            found = segmenter.segment_preprocessed(case, reporter=reporter).labels
            # As a reader gives it.
            previous = found[None].astype(np.int16 if found.dtype == np.uint8 else np.int32)
            case = following.preprocess(prepared.image, previous)
        self.last.require_fits(case, with_probabilities)
        if whole:
            return NetworkAnswer(self.last, case, self.last.logits(case, reporter))
        return NetworkAnswer(self.last, case, self.last.answer(case, with_probabilities, reporter))


def load_stages(
    model: ModelFolder | Path | str,
    folds: Sequence[int | str] | None = None,
    checkpoint: str = "final",
    previous_model: Path | None = None,
    with_first_stage: bool = True,
    **how: Any,
) -> Stages:
    """Read a model and, if it is a cascade's second stage, the one whose segmentations it takes.

    Args:
        folds: of every stage; default: all numbered ones that have the checkpoint.
        previous_model: the first stage's folder; default: the sibling of the model's own trainer and plans.
        with_first_stage: False where its segmentations are there already.
        how: what `Segmenter` takes beside its model.

    Raises:
        UserInputError: something is missing, or the two do not belong together.
    """
    chain = [load_model(model, folds, checkpoint)]
    while with_first_stage and chain[0].configuration.previous_stage is not None:
        following = chain[0]
        folder = first_stage_folder(following.files, following.configuration.previous_stage, previous_model)
        first = load_model(folder, folds, checkpoint)
        require_stage_of(first, following)
        chain.insert(0, first)
        # A plan's stages lead in no circle; of a third one the sibling is looked for.
        previous_model = None
    return Stages(tuple(Segmenter(one, **how) for one in chain))


def require_stage_of(first: TrainedModel, following: TrainedModel) -> None:
    """Refuse a model as the first stage of another to which it does not belong.

    Raises:
        FileError: it is another configuration, or segments other labels from other images.
    """
    wanted, there = following.configuration.previous_stage, first.configuration.name
    remedy = f"give the folder of its {wanted} with --previous-model, or its segmentations with --previous-stage"
    if there != wanted:
        raise FileError(first.files.path, f"holds {there}, and {following.files.path.name} follows {wanted}", remedy)
    different = differences(first.files, following.files)
    if different:
        raise FileError(first.files.path, f"has {different} than {following.files.path.name}", remedy)


def differences(one: ModelFolder, other: ModelFolder) -> str | None:
    """What keeps two models from working on the same images for the same labels, to go on with `than …`."""
    for what, value_of in {
        "other labels": lambda model: model.label_scheme,
        "other channels": lambda model: model.channel_names,
        "another file ending": lambda model: model.file_ending,
        "another reader of images": lambda model: model.plan.image_io,
    }.items():
        if value_of(one) != value_of(other):
            return what
    return None
