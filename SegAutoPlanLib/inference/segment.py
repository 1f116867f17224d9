"""One image in, one segmentation out, all in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import UserInputError
from ..images import Image
from ..networks import UNet
from ..networks.device import choose_device
from ..planning.budget import VALUE_BYTES, require_volume_fits
from ..preprocessing import CaseGeometry, PreprocessedCase, preprocess_case
from ..preprocessing.previous_stage import one_hot
from ..progress import SILENT, Reporter
from .export import export
from .model import TrainedModel
from .sliding_window import WindowOptions, predict_logits
from .tiling import LOWEST_STEP_SIZE, padding_to, tile_of

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
    ) -> None:
        if not LOWEST_STEP_SIZE <= step_size <= 1:
            raise UserInputError(f"--step-size {step_size}: must be a number from {LOWEST_STEP_SIZE} to 1.")
        self.model = model
        self.device = choose_device(device)
        self.mirroring = self.device.type != "cpu" if mirroring is None else mirroring
        self.leaves_out_mirroring = mirroring is None and not self.mirroring and bool(model.mirror_axes)
        """Whether it is off because nobody asked for it and there is no GPU."""
        self._options = WindowOptions(step_size, model.mirror_axes if self.mirroring else (), use_gaussian)
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
        return self.exported(self.logits(case, reporter), case, with_probabilities)

    def exported(self, logits: torch.Tensor, case: PreprocessedCase, with_probabilities: bool = False) -> Segmentation:
        """What the logits of a preprocessed case come to on its image's grid."""
        exported = export(logits, case.geometry, self.model.configuration, self.model.label_scheme, with_probabilities)
        return Segmentation(exported.labels, exported.probabilities, case.geometry)

    def logits(self, case: PreprocessedCase, reporter: Reporter = SILENT) -> torch.Tensor:
        """(heads, z, y, x) float32 on the grid of the preprocessed case."""
        data = case.data
        if self.model.configuration.previous_stage:
            if case.segmentation is None:
                raise UserInputError(
                    f"{self.model.files.path.name} is a cascade's second stage and needs the first one's "
                    "segmentations; give --previous-stage FOLDER."
                )
            data = np.concatenate([data, one_hot(case.segmentation, self.model.label_scheme.foreground_labels)])
        logits = predict_logits(
            self._networks,
            np.ascontiguousarray(data),
            self.model.configuration.patch_size,
            self.model.label_scheme.head_count,
            self.device,
            self._options,
            reporter,
        )
        # The label of the largest of values that are none would be a label all the same.
        if not all(map(torch.isfinite, logits.aminmax())):
            raise UserInputError(
                f"{self.model.files.path.name}: what the network computes for this image are not finite numbers; "
                "use another checkpoint or other folds, or --device cpu."
            )
        return logits

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
        padding = padding_to(case.data.shape[1:], tile_of(self.model.configuration.patch_size))
        padded = [size + sum(around) for size, around in zip(case.data.shape[1:], padding, strict=True)]
        # A graphics card may have room for the logits where the computer has none.
        values = self.model.input_channels + (heads + 1 if self.device.type == "cpu" else 0)
        require_volume_fits(padded, values, VALUE_BYTES, f"segmenting {heads} classes on a grid", name)
        shape = case.geometry.shape_before_cropping
        require_volume_fits(shape, 1, 1, "the segmentation", name)
        if with_probabilities:
            require_volume_fits(shape, heads, VALUE_BYTES, f"the probabilities of {heads} classes", name)

    def segment(self, image: Image, with_probabilities: bool = False, reporter: Reporter = SILENT) -> Segmentation:
        """Segment an image (c, z, y, x) with the channels of the model."""
        return self.segment_preprocessed(self.preprocess(image), with_probabilities, reporter)
