"""How volumes are brought to another grid: which of nnU-Net's functions does it, with which options."""

from __future__ import annotations

from dataclasses import dataclass

OPTIONS = {
    "resample_data_or_seg_to_shape": ("is_seg", "order", "order_z", "force_separate_z"),
    "resample_torch_fornnunet": ("is_seg", "force_separate_z", "memefficient_seg_resampling"),
    "no_resampling_hack": (),
}
"""The functions that can be carried out here, by nnU-Net's names, and the options of each in plans.json's order."""


@dataclass(frozen=True)
class Resampler:
    """A function of `OPTIONS` and its options; of those that it does not have the value is without meaning."""

    function: str
    is_seg: bool = False
    order: int = 3
    """Of the interpolating splines: 0 is nearest, 1 linear, 3 cubic."""
    order_z: int = 0
    """The same along an axis that is resampled on its own."""
    force_separate_z: bool | None = None
    """Whether the coarsest axis is resampled on its own; None: if voxels are much longer along it."""
    memefficient_seg_resampling: bool = False

    @property
    def options(self) -> dict[str, bool | int | None]:
        """The function's keyword arguments; plans.json's `…_kwargs`."""
        return {name: getattr(self, name) for name in OPTIONS.get(self.function, ())}


@dataclass(frozen=True)
class Resampling:
    """Of images (`data`), of label maps (`seg`), and of the network's output on its way back (`probabilities`)."""

    data: Resampler
    seg: Resampler
    probabilities: Resampler


_SPLINES = "resample_data_or_seg_to_shape"
CUBIC_IMAGES = Resampling(
    data=Resampler(_SPLINES, order=3),
    seg=Resampler(_SPLINES, is_seg=True, order=1),
    probabilities=Resampler(_SPLINES, order=1),
)
"""What nnU-Net's planners choose: cubic for images, linear for labels and probabilities."""
