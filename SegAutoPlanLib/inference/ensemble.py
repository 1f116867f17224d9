"""Several models that answer as one: the mean of their probabilities, a few slices at a time.

Folds of one configuration are averaged as logits, on the network's grid (`sliding_window.py`). Models of different
configurations have different grids: nnU-Net averages their probabilities on the image's, and so does this, without
ever holding those of a whole volume unless they are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FileError, UserInputError
from ..executors import MEMORY_SHARE
from ..images import Image
from ..labels import LabelScheme
from ..machine import available_memory
from ..models import ModelFolder
from ..planning.budget import VALUE_BYTES, require_memory, require_volume_fits
from ..preprocessing.grid import Neighbours, spacing_to_reach, target_shape
from ..progress import SILENT, Reporter
from .model import TrainedModel
from .resampled_logits import SLAB_BYTES, grid_interpolation, resampled_slabs
from .segment import Segmentation, Segmenter
from .stages import NetworkAnswer, PreparedCase, Stages, differences, load_stages


@dataclass(frozen=True)
class Ensemble:
    """One or several models on a device, ready for any number of images of the same channels."""

    members: tuple[Stages, ...]

    def __post_init__(self) -> None:
        require_alike([member.model.files for member in self.members])

    @classmethod
    def alone(cls, segmenter: Segmenter) -> Ensemble:
        """A single model."""
        return cls((Stages((segmenter,)),))

    @property
    def model(self) -> TrainedModel:
        """The first member's, whose labels, channels and files are those of all."""
        return self.members[0].model

    @property
    def segmenters(self) -> tuple[Segmenter, ...]:
        """Of all stages of all members."""
        return tuple(segmenter for member in self.members for segmenter in member.segmenters)

    def prepare(self, image: Image, previous: np.ndarray | None = None) -> list[PreparedCase]:
        """Preprocess an image for each member.

        Args:
            previous: labels (1, z, y, x) for those that are a cascade's second stage, on the image's grid.

        Raises:
            UserInputError: the image does not fit a model.
        """
        if previous is not None:
            self.require_second_stage()
        return [
            member.prepare(image, previous if member.model.configuration.previous_stage is not None else None)
            for member in self.members
        ]

    def require_second_stage(self) -> None:
        """Refuse a first stage's segmentations where no member takes them.

        Raises:
            UserInputError: none is a cascade's second stage.
        """
        if all(member.model.configuration.previous_stage is None for member in self.members):
            raise UserInputError(
                f"{self.model.files.path.name}: is no second stage of a cascade and takes no other model's "
                "segmentations; leave them out (--previous-stage)."
            )

    def logits_bytes(self, prepared: Sequence[PreparedCase]) -> int:
        """What the logits of all members need, float32, on the grids of their last stages."""
        voxels = 0
        for member, one in zip(self.members, prepared, strict=True):
            geometry, configuration = one.case.geometry, member.model.configuration
            spacing = spacing_to_reach(geometry.spacing, configuration.spacing)
            voxels += math.prod(target_shape(geometry.cropped_shape, geometry.spacing, spacing))
        return voxels * self.model.label_scheme.head_count * VALUE_BYTES

    def has_room(self, prepared: Sequence[PreparedCase]) -> bool:
        """Whether the memory that is free now holds the logits, and half as much again for what is done with them."""
        free = available_memory()
        return free is None or 1.5 * self.logits_bytes(prepared) < MEMORY_SHARE * free

    def logits(
        self, prepared: Sequence[PreparedCase], with_probabilities: bool = False, reporter: Reporter = SILENT
    ) -> list[NetworkAnswer]:
        """Let every member's network answer; those of several are brought to main memory.

        Raises:
            UserInputError: there is no memory for it, or a network computes no numbers.
            StopRequested: between two tiles.
        """
        if len(self.members) > 1:
            what = f"the logits of {len(self.members)} models"
            require_memory(
                self.logits_bytes(prepared), self.model.files.path.name, what, "average fewer models at once"
            )
        answers = []
        for member, case in zip(self.members, prepared, strict=True):
            answer = member.logits(case, with_probabilities, reporter, whole=len(self.members) > 1)
            if len(self.members) > 1:
                answer = NetworkAnswer(answer.segmenter, answer.case, answer.logits.cpu())
            answers.append(answer)
        return answers

    def segmentation(self, answers: Sequence[NetworkAnswer], with_probabilities: bool = False) -> Segmentation:
        """What the answers come to on the image's grid."""
        if len(answers) == 1:
            [answer] = answers
            return answer.segmenter.exported(answer.logits, answer.case, with_probabilities)
        geometries = {answer.case.geometry for answer in answers}
        if len(geometries) > 1:
            # Plans that order the axes otherwise: their slabs are not the same ones.
            return _mean_of_volumes(answers, with_probabilities)
        return _mean_of_slabs(answers, with_probabilities)

    def segment(
        self,
        image: Image,
        previous: np.ndarray | None = None,
        with_probabilities: bool = False,
        reporter: Reporter = SILENT,
    ) -> Segmentation:
        """All of that for one image (c, z, y, x)."""
        answers = self.logits(self.prepare(image, previous), with_probabilities, reporter)
        return self.segmentation(answers, with_probabilities)


def load_ensemble(
    models: Sequence[ModelFolder | Path | str],
    folds: Sequence[int | str] | None = None,
    checkpoint: str = "final",
    previous_model: Path | None = None,
    with_first_stage: bool = True,
    **how: Any,
) -> Ensemble:
    """Read one model or several, each with a cascade's first stage where it needs one; see `load_stages`.

    Raises:
        UserInputError: something is missing, or the models are not for the same labels and images.
    """
    folders = [model if isinstance(model, ModelFolder) else ModelFolder.read(model) for model in models]
    require_alike(folders)
    members = [load_stages(model, folds, checkpoint, previous_model, with_first_stage, **how) for model in folders]
    if previous_model is not None and all(len(member.segmenters) == 1 for member in members):
        raise UserInputError(
            f"--previous-model {previous_model}: no model here is a cascade's second stage, and takes another one's "
            "segmentations; leave the option out."
        )
    return Ensemble(tuple(members))


def require_alike(models: Sequence[ModelFolder]) -> None:
    """Refuse to average models that are not for the same labels and images.

    Raises:
        FileError: the sentence says in what two of them differ.
    """
    for other in models[1:]:
        if different := differences(other, models[0]):
            raise FileError(other.path, f"has {different} than {models[0].path}", "average models of one dataset only")


def probabilities_to_segmentation(probabilities: Tensor, label_scheme: LabelScheme) -> Tensor:
    """(heads, …) → label values (…): the most probable label, or regions above a half in `regions_class_order`."""
    if not label_scheme.has_regions:
        return probabilities.argmax(0)
    result = torch.zeros(probabilities.shape[1:], dtype=torch.int64)
    for head, value in zip(probabilities, label_scheme.regions_class_order, strict=True):
        result[head > 0.5] = value
    return result


def label_type(label_scheme: LabelScheme) -> type[np.unsignedinteger]:
    """Of the voxels of a segmentation."""
    return np.uint8 if len(label_scheme.foreground_labels) < 255 else np.uint16


def _mean_of_slabs(answers: Sequence[NetworkAnswer], with_probabilities: bool) -> Segmentation:
    scheme, geometry = answers[0].segmenter.model.label_scheme, answers[0].case.geometry
    heads, shape = scheme.head_count, geometry.shape_before_cropping
    labels = np.zeros(shape, label_type(scheme))
    mean = None
    if with_probabilities:
        mean = np.zeros((heads, *shape), np.float32)
        if not scheme.has_regions:
            mean[0] = 1  # background outside the crop
    inside = tuple(slice(lower, upper) for lower, upper in geometry.bounding_box)
    for slices, slab in _mean_slabs(answers):
        target = (slice(inside[0].start + slices.start, inside[0].start + slices.stop), *inside[1:])
        labels[target] = probabilities_to_segmentation(slab, scheme).numpy()
        if mean is not None:
            mean[(slice(None), *target)] = slab.numpy()
    back = geometry.file_axes
    if mean is not None:
        mean = np.ascontiguousarray(mean.transpose(0, *(axis + 1 for axis in back)))
    return Segmentation(np.ascontiguousarray(labels.transpose(back)), mean, geometry)


def _mean_slabs(answers: Sequence[NetworkAnswer]) -> Iterator[tuple[slice, Tensor]]:
    """Slabs (heads, slices, y, x) of the mean probabilities within the crop, first axis ascending."""
    grids = [_grid_of(answer) for answer in answers]
    depth, height, width = answers[0].case.geometry.cropped_shape
    heads = answers[0].segmenter.model.label_scheme.head_count
    thickness = max(1, SLAB_BYTES // (VALUE_BYTES * heads * height * width))
    for start in range(0, depth, thickness):
        stop = min(start + thickness, depth)
        total = torch.zeros((heads, stop - start, height, width))
        for answer, grid in zip(answers, grids, strict=True):
            for slices, slab in resampled_slabs(answer.logits, [grid[0].part(start, stop), *grid[1:]]):
                probable = slab.sigmoid() if answer.segmenter.model.label_scheme.has_regions else slab.softmax(0)
                total[:, slices] += probable
        yield slice(start, stop), total.div_(len(answers))


def _grid_of(answer: NetworkAnswer) -> list[Neighbours]:
    configuration, geometry = answer.segmenter.model.configuration, answer.case.geometry
    spacing = spacing_to_reach(geometry.spacing, configuration.spacing)
    resampler = configuration.resampling.probabilities
    return grid_interpolation(answer.logits.shape[1:], geometry.cropped_shape, spacing, geometry.spacing, resampler)


def _mean_of_volumes(answers: Sequence[NetworkAnswer], with_probabilities: bool) -> Segmentation:
    model = answers[0].segmenter.model
    shape = answers[0].case.geometry.shape_before_cropping
    what = f"the probabilities of {model.label_scheme.head_count} classes, twice,"
    require_volume_fits(shape, 2 * model.label_scheme.head_count, VALUE_BYTES, what, model.files.path.name)
    total = None
    for answer in answers:
        probabilities = answer.segmenter.exported(answer.logits, answer.case, with_probabilities=True).probabilities
        total = probabilities if total is None else np.add(total, probabilities, out=total)
    total /= len(answers)
    labels = np.empty(total.shape[1:], label_type(model.label_scheme))
    thickness = max(1, SLAB_BYTES // (VALUE_BYTES * math.prod(total.shape) // len(labels)))
    for start in range(0, len(labels), thickness):
        slab = torch.from_numpy(total[:, start : start + thickness])
        labels[start : start + thickness] = probabilities_to_segmentation(slab, model.label_scheme).numpy()
    return Segmentation(labels, total if with_probabilities else None, answers[0].case.geometry)
