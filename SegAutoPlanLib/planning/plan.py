"""The plan: everything that was decided about preprocessing, network and batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import FileError
from ..schema import shown
from .resampling import Resampling

if TYPE_CHECKING:
    from ..fingerprint.fingerprint import Intensities
    from ..labels import LabelScheme

LONGEST_SHOWN = 100


@dataclass(frozen=True)
class Architecture:
    """The network of one configuration; lists run from full resolution down, axes in transposed order."""

    kind: str
    """`plain` or `residual`."""
    features_per_stage: tuple[int, ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    blocks_per_stage: tuple[int, ...]
    """Convolutions (plain) or residual blocks (residual) of each encoder stage."""
    convs_per_decoder_stage: tuple[int, ...]
    normalization: str = "instance"
    """`instance` or `batch`, of the features; plans say `instance`, and only a trainer's choice replaces it."""

    @property
    def dimensions(self) -> int:
        return len(self.strides[0])


@dataclass(frozen=True)
class Configuration:
    """One way to train: `2d`, `3d_fullres`, `3d_lowres`, `3d_cascade_fullres` or a user's own.

    `spacing` (mm), `patch_size` and `median_image_size` (voxels) are in transposed axis order, two numbers
    each for 2d and three otherwise.
    """

    name: str
    data_identifier: str
    batch_size: int
    patch_size: tuple[int, ...]
    median_image_size: tuple[float, ...]
    spacing: tuple[float, ...]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling: Resampling
    architecture: Architecture
    batch_dice: bool
    preprocessor_name: str = "DefaultPreprocessor"
    previous_stage: str | None = None
    next_stage: tuple[str, ...] = ()

    def input_channels(self, channels: int, labels: LabelScheme) -> int:
        """Of the network: those of the image, and for a cascade one per foreground label of the previous stage."""
        return channels + (len(labels.foreground_labels) if self.previous_stage else 0)


@dataclass(frozen=True)
class Source:
    """A plans.json as it stood, so that what was read can be written in the same words.

    The plan alone says what is planned. Where it still says what the source says, the source's own wording is
    written: `inherits_from`, entries that this program does not know, the formats of earlier versions. What was
    changed since is written anew.
    """

    header: dict[str, Any] = field(default_factory=dict)
    """All but the configurations, of which it has an empty place; empty for a plan that was not read."""
    configurations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: all entries of a plan that was read; those that a user added to one that was made."""
    file: str = ""
    """Where it was read, for the sentences; empty for a plan that was not."""


@dataclass(frozen=True)
class Plan:
    """A whole plan. `str(plan)` explains it in words; `plan_json` writes it as nnU-Net reads it.

    To change one, `dataclasses.replace` what shall be different.
    """

    dataset_name: str
    plans_name: str
    original_median_spacing: tuple[float, ...]
    original_median_shape: tuple[int, ...]
    image_io: str
    transpose_forward: tuple[int, ...]
    transpose_backward: tuple[int, ...]
    foreground_intensities: tuple[Intensities, ...]
    """One per channel."""
    planner: str
    """nnU-Net's name of it."""
    configurations: dict[str, Configuration]
    """Those that can be used, by name; what they inherit is filled in."""
    unusable: dict[str, str] = field(default_factory=dict)
    """The others: name → why, e.g. `it inherits in a circle (a from b from a)`."""
    source: Source = field(repr=False, compare=False, default_factory=Source)
    explanation: tuple[str, ...] = ()
    """Sentences: what was decided, and why."""
    caveats: tuple[str, ...] = ()
    """Sentences: where this plan may disappoint."""

    def __str__(self) -> str:
        return "\n".join([*self.explanation, *(f"Warning: {line}" for line in self.warnings)])

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences: which configurations cannot be used, and where this plan may disappoint."""
        return (*map(self._why_unusable, self.unusable), *self.caveats)

    def configuration(self, name: str) -> Configuration:
        """The configuration of that name.

        Raises:
            UserInputError: the plan has none, or it cannot be used here.
        """
        if name in self.configurations:
            return self.configurations[name]
        known = ", ".join(self.configurations)
        if name in self.unusable:
            problem = f"{_shown_name(name)} cannot be used, because {self.unusable[name]}"
            raise FileError(self.file, problem, f"correct it, or choose one of {known}")
        raise FileError(self.file, f"there is no configuration {shown(name)}", f"choose one of {known}")

    @property
    def file(self) -> str:
        """What to call the plan in a sentence: the file that it was read from, else its name."""
        return self.source.file or self.plans_name

    def _why_unusable(self, name: str) -> str:
        return f"{_shown_name(name)}: cannot be used, because {self.unusable[name]}."


def _shown_name(name: str) -> str:
    return name if name.isprintable() and len(name) < LONGEST_SHOWN else shown(name)
