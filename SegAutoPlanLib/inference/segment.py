"""One image in, one segmentation out, all in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserInputError
from ..images import Image
from ..networks import UNet
from ..networks.casting import usual_format
from ..networks.device import choose_device
from ..number_format import AUTOMATIC, FULL_PRECISION, NumberFormat
from ..planning.architecture_json import architecture_to_json
from ..planning.budget import SMALLER_VOLUME, VALUE_BYTES, inference_bytes, require_memory, require_volume_fits
from ..preprocessing import CaseGeometry, PreprocessedCase, preprocess_case
from ..preprocessing.previous_stage import one_hot
from ..progress import SILENT, Reporter
from ..shortcuts import EXACT, Shortcuts
from .export import Exporter, export
from .format_choice import choose_format, digest_of, tile_with_most_structure
from .memory_plan import MemoryPlan, free_memory, plan_memory, slab_bytes, sum_bytes
from .model import TrainedModel
from .sliding_window import WindowOptions, logit_slabs, predict_logits
from .tiling import LOWEST_STEP_SIZE, count_tiles, padding_to, tile_of

WITHOUT_MIRRORING = (
    "Segmenting without mirrored copies: averaging over them makes results slightly better and costs up to eight times "
    "as much, which is a lot without a GPU (--mirroring asks for it all the same)."
)


@dataclass(frozen=True)
class Segmentation:
    """The result on the image's own grid."""

    labels: np.ndarray
    """(z, y, x) uint8 or uint16."""
    probabilities: np.ndarray | None
    """(heads, z, y, x) float32, if they were asked for."""
    geometry: CaseGeometry
    """Of the case; its `header` is what a writer needs to give the grid back."""


class Segmenter:
    """A model on a device, ready for any number of images.

    Args:
        model: what `load_model` read.
        device: `auto`, `cpu`, `cuda` or `mps`.
        mirroring: average over mirrored copies along the axes that the model was trained for; costs 2^axes as much.
            None means where it is affordable: on a GPU.
        step_size: distance of neighbouring tiles as a fraction of their size, 0.05 to 1.
        use_gaussian: whether the middle of a tile counts more than its border, where tiles overlap.
        precision: `auto`: the number format that is the fastest here and gives the same labels; `full`: float32.
        formats_file: where measured formats are remembered, if anywhere.
        cases: how many images are to come: whether measuring formats pays.
        shortcuts: what makes segmentations sooner and inexact.

    Raises:
        UserInputError: no such device, a step size out of range, or a network that is too large for it.
    """

    def __init__(
        self,
        model: TrainedModel,
        device: str = "auto",
        mirroring: bool | None = None,
        step_size: float = 0.5,
        use_gaussian: bool = True,
        precision: str = AUTOMATIC,
        formats_file: Path | None = None,
        cases: int = 1,
        shortcuts: Shortcuts = EXACT,
    ) -> None:
        if not LOWEST_STEP_SIZE <= step_size <= 1:
            raise UserInputError(f"--step-size {step_size}: must be a number from {LOWEST_STEP_SIZE} to 1.")
        self.model = model
        self.device = choose_device(device)
        self.mirroring = self.device.type != "cpu" if mirroring is None else mirroring
        self.leaves_out_mirroring = mirroring is None and not self.mirroring and bool(model.mirror_axes)
        """Whether it is off because nobody asked for it and there is no GPU."""
        self.shortcuts = shortcuts
        self._options = WindowOptions(
            step_size,
            model.mirror_axes if self.mirroring else (),
            use_gaussian,
            shortcuts=shortcuts,
            has_background=not model.label_scheme.has_regions,
        )
        self._formats_file, self._cases = formats_file, cases
        self._number_format: NumberFormat | None = None if precision == AUTOMATIC else FULL_PRECISION
        model.require_fits(self.device.type)
        self._networks: list[UNet] = [model.build(i).to(self.device) for i in range(len(model.folds))]

    def preprocess(self, image: Image, previous: np.ndarray | None = None) -> PreprocessedCase:
        """The image as the network takes it; `previous` are labels (1, z, y, x) of a cascade's previous stage.

        Raises:
            UserInputError: the number of channels is not the model's.
        """
        expected = len(self.model.channel_names)
        if image.array.shape[0] != expected:
            raise UserInputError(
                f"The image has {image.array.shape[0]} channel(s), but the model {self.model.files.path.name} needs "
                f"{expected} ({', '.join(self.model.channel_names)}); give a file for each."
            )
        segmentation = None if previous is None else Image(previous, image.header)
        return preprocess_case(image, segmentation, self.model.plan, self.model.configuration, self.model.label_scheme)

    def segment_preprocessed(
        self, case: PreprocessedCase, with_probabilities: bool = False, reporter: Reporter = SILENT
    ) -> Segmentation:
        """Slide the window over a preprocessed case and bring the result back to the image's grid."""
        self.require_fits(case, with_probabilities)
        return self.exported(self.answer(case, with_probabilities, reporter), case, with_probabilities)

    def answer(
        self, case: PreprocessedCase, with_probabilities: bool = False, reporter: Reporter = SILENT
    ) -> torch.Tensor | Segmentation:
        """The logits of a preprocessed case for `exported`; where they would not fit, the segmentation itself.

        Then it is made slab by slab, and the logits of all classes are never held whole.
        """
        plan = self._memory_plan(case)
        if plan.axis is None:
            return self._whole_logits(case, plan, reporter)
        configuration, scheme = self.model.configuration, self.model.label_scheme
        shape = case.data.shape[1:]
        exporter = Exporter(shape, case.geometry, configuration, scheme, with_probabilities, plan.axis)
        data = self._network_input(case)
        options = self._options_for(data, reporter)
        for start, slab in logit_slabs(*self._work_on(data), options, plan, reporter):
            self._require_finite(slab)
            exporter.add(start, slab)
        exported = exporter.result()
        return Segmentation(exported.labels, exported.probabilities, case.geometry)

    def exported(
        self, answer: torch.Tensor | Segmentation, case: PreprocessedCase, with_probabilities: bool = False
    ) -> Segmentation:
        """What the logits of a preprocessed case come to on its image's grid; a segmentation is that already."""
        if isinstance(answer, Segmentation):
            return answer
        exported = export(answer, case.geometry, self.model.configuration, self.model.label_scheme, with_probabilities)
        return Segmentation(exported.labels, exported.probabilities, case.geometry)

    def logits(self, case: PreprocessedCase, reporter: Reporter = SILENT) -> torch.Tensor:
        """(heads, z, y, x) float32 on the grid of the preprocessed case."""
        return self._whole_logits(case, self._memory_plan(case, whole=True), reporter)

    def _whole_logits(self, case: PreprocessedCase, plan: MemoryPlan, reporter: Reporter) -> torch.Tensor:
        data = self._network_input(case)
        logits = predict_logits(*self._work_on(data), self._options_for(data, reporter), reporter, plan)
        self._require_finite(logits)
        return logits

    def _network_input(self, case: PreprocessedCase) -> np.ndarray:
        if not self.model.configuration.previous_stage:
            return np.ascontiguousarray(case.data)
        if case.segmentation is None:
            raise UserInputError(
                f"{self.model.files.path.name} is a cascade's second stage and needs the first one's "
                "segmentations; give --previous-stage FOLDER."
            )
        return np.concatenate([case.data, one_hot(case.segmentation, self.model.label_scheme.foreground_labels)])

    def _work_on(self, data: np.ndarray) -> tuple[Any, ...]:
        """The first arguments of the sliding window."""
        heads = self.model.label_scheme.head_count
        return self._networks, data, self.model.configuration.patch_size, heads, self.device

    def _memory_plan(self, case: PreprocessedCase, whole: bool = False) -> MemoryPlan:
        configuration, heads = self.model.configuration, self.model.label_scheme.head_count
        free_device, free_host = free_memory(self.device)
        if free_device is not None:
            free_device -= inference_bytes(
                configuration.architecture, self.model.input_channels, heads, configuration.patch_size
            )
        tile = tile_of(configuration.patch_size)
        return plan_memory(heads, self._padded_shape(case), tile, self.device, free_device, free_host, whole)

    def _padded_shape(self, case: PreprocessedCase) -> list[int]:
        padding = padding_to(case.data.shape[1:], tile_of(self.model.configuration.patch_size))
        return [size + sum(around) for size, around in zip(case.data.shape[1:], padding, strict=True)]

    def _options_for(self, data: np.ndarray, reporter: Reporter) -> WindowOptions:
        """With the number format, which is kept once it was remembered or measured."""
        number_format = self._number_format
        if number_format is None:
            model, patch, step_size = self.model, self.model.configuration.patch_size, self._options.step_size
            copies = len(model.folds) * 2 ** len(self._options.mirror_axes)
            number_format = self._number_format = choose_format(
                self._networks,
                lambda: tile_with_most_structure(data, patch, step_size),
                model.label_scheme,
                self.device,
                lambda: [architecture_to_json(model.configuration.architecture), patch, digest_of(model.weights)],
                self._cases * copies * count_tiles(data.shape[1:], patch, step_size),
                self._formats_file,
                reporter,
            )
        return replace(self._options, number_format=number_format or usual_format(self.device))

    def _require_finite(self, logits: torch.Tensor) -> None:
        # The label of the largest of values that are none would be a label all the same.
        if not all(map(torch.isfinite, logits.aminmax())):
            raise UserInputError(
                f"{self.model.files.path.name}: what the network computes for this image are not finite numbers; "
                "use another checkpoint or other folds, or --device cpu."
            )

    def require_fits(self, case: PreprocessedCase, with_probabilities: bool = False) -> None:
        """Refuse, before hours of work, a case whose segmentation this computer has no place for.

        Raises:
            UserInputError: the sentence tells the numbers.
        """
        heads, name = self.model.label_scheme.head_count, self.model.files.path.name
        expected = len(self.model.channel_names)
        if len(case.data) != expected:
            raise UserInputError(
                f"{name} needs {expected} channel(s), but the preprocessed case has {len(case.data)}; delete the "
                "folder of preprocessed cases and preprocess the dataset again."
            )
        padded, tile = self._padded_shape(case), tile_of(self.model.configuration.patch_size)
        needed = self.model.input_channels * VALUE_BYTES * math.prod(padded)
        # A graphics card may have room for the logits where the computer has none.
        if self.device.type == "cpu":
            needed += min(sum_bytes(heads, padded), slab_bytes(heads, padded, tile))
        voxels = " × ".join(f"{edge:,}" for edge in padded)
        require_memory(needed, name, f"segmenting {heads} classes on a grid of {voxels} voxels", SMALLER_VOLUME)
        shape = case.geometry.shape_before_cropping
        require_volume_fits(shape, 1, 1, "the segmentation", name)
        if with_probabilities:
            require_volume_fits(shape, heads, VALUE_BYTES, f"the probabilities of {heads} classes", name)

    def segment(self, image: Image, with_probabilities: bool = False, reporter: Reporter = SILENT) -> Segmentation:
        """Segment an image (c, z, y, x) with the channels of the model."""
        return self.segment_preprocessed(self.preprocess(image), with_probabilities, reporter)
