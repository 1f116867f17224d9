"""One case on its way to the network: transpose, crop, normalise, resample, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UserInputError
from ..fingerprint.cropping import crop_to_nonzero
from ..images import Image
from ..labels import Label, LabelScheme
from ..planning.budget import require_memory, require_volume_fits
from ..planning.plan import Configuration, Plan
from ..planning.resampling import Resampler, Resampling
from .axis_matrix import matrix_bytes
from .case_geometry import CaseGeometry
from .foreground import locate_foreground, sampled_classes
from .grid import spacing_to_reach, target_shape
from .normalization import normalize
from .resampling import no_resampling, resample
from .torch_resampling import resample_linear

RESAMPLERS: dict[str, Callable[..., np.ndarray]] = {
    "resample_data_or_seg_to_shape": resample,
    "resample_torch_fornnunet": resample_linear,
    "no_resampling_hack": no_resampling,
}
"""By the names that plans.json uses."""
BYTES_PER_VALUE_MADE = 8
"""Measured: the resampled image and what lies between."""


@dataclass(frozen=True)
class PreprocessedCase:
    """What the network is fed with. Axes are in the plan's transposed order, called z, y, x here."""

    data: np.ndarray
    """(c, z, y, x) float32."""
    segmentation: np.ndarray | None
    """(z, y, x) int16; -1 is background outside the imaged region."""
    geometry: CaseGeometry
    """The way back to the image's own grid."""
    foreground_locations: dict[Label, np.ndarray]
    """(n, 3) voxels [z, y, x] of each class; empty without a segmentation."""


@dataclass(frozen=True)
class CroppedCase:
    """A case after transposition and cropping: what all configurations of a plan share."""

    image: np.ndarray
    segmentation: np.ndarray
    annotated: bool
    geometry: CaseGeometry
    blank: bool
    """The image is zero everywhere."""


def preprocess_case(
    image: Image, segmentation: Image | None, plan: Plan, configuration: Configuration | str, label_scheme: LabelScheme
) -> PreprocessedCase:
    """Prepare one case in memory, for training (with its segmentation) or inference (with None, or with the
    previous stage's segmentation). The arrays given are left as they are.

    Raises:
        UserInputError: the image does not fit the plan or the segmentation.
    """
    if isinstance(configuration, str):
        configuration = plan.configuration(configuration)
    cropped = crop_case(image, segmentation and replace(segmentation, array=segmentation.array.copy()), plan)
    cropped = replace(cropped, image=np.array(cropped.image))
    [(_, result)] = preprocess_cropped(cropped, plan, [configuration], label_scheme)
    return result


def crop_case(image: Image, segmentation: Image | None, plan: Plan) -> CroppedCase:
    """Transpose as the plan says and cut the empty border away; -1 is written into the segmentation outside."""
    forward = plan.transpose_forward
    array = image.array.transpose(0, *(axis + 1 for axis in forward))
    labels = None
    if segmentation is not None:
        if segmentation.array.shape[1:] != image.array.shape[1:]:
            raise UserInputError(
                f"the segmentation has {segmentation.array.shape[1:]} voxels (z, y, x) but its image "
                f"{image.array.shape[1:]}; resample one of them to the other's grid."
            )
        labels = segmentation.array[0].transpose(forward)
    crop = crop_to_nonzero(array, labels)
    geometry = CaseGeometry(image.header, tuple(forward), array.shape[1:], crop.bounding_box)
    return CroppedCase(crop.image, crop.segmentation, segmentation is not None, geometry, crop.blank)


def preprocess_cropped(
    case: CroppedCase, plan: Plan, configurations: Sequence[Configuration], label_scheme: LabelScheme
) -> Iterator[tuple[list[Configuration], PreprocessedCase]]:
    """Normalise and resample for several configurations; those for which a case comes out equal share the result.

    The case is used up: its image is normalised in place.
    """
    scaled: dict[_Scaling, dict[_Grid, list[Configuration]]] = {}
    for configuration in configurations:
        grids = scaled.setdefault(_Scaling.of(configuration), {})
        grid = _Grid.of(case, configuration)
        _require_fits(case, grid.shape, f"{plan.file}, {configuration.name}")
        grids.setdefault(grid, []).append(configuration)
    for last, (scaling, grids) in zip(_marks_last(len(scaled)), scaled.items(), strict=True):
        image = case.image if last else np.array(case.image)
        normalize(image, case.segmentation, scaling.schemes, scaling.use_mask, plan.foreground_intensities)
        for grid, sharing in grids.items():
            yield sharing, _on_grid(case, image, grid, label_scheme)


def _require_fits(case: CroppedCase, shape: tuple[int, ...], source: str) -> None:
    """Before any of it is asked for: a wrong voxel size makes volumes that no computer holds."""
    channels, *old_shape = case.image.shape
    require_volume_fits(shape, channels, BYTES_PER_VALUE_MADE, "the resampled image", source)
    for size, new_size in zip(old_shape, shape, strict=True):
        require_memory(matrix_bytes(size, new_size), source, f"resampling {size:,} voxels to {new_size:,}")


def _marks_last(count: int) -> list[bool]:
    return [False] * (count - 1) + [True]


@dataclass(frozen=True)
class _Scaling:
    schemes: tuple[str, ...]
    use_mask: tuple[bool, ...]

    @classmethod
    def of(cls, configuration: Configuration) -> _Scaling:
        return cls(configuration.normalization_schemes, configuration.use_mask_for_norm)


@dataclass(frozen=True)
class _Grid:
    """Where a case is resampled to, and how. Two that are equal give equal results."""

    shape: tuple[int, ...]
    how: tuple[Resampling, tuple[float, ...]] | None
    """The plan's functions and the spacing to reach; None if the grid stays as it is."""

    @classmethod
    def of(cls, case: CroppedCase, configuration: Configuration) -> _Grid:
        spacing = spacing_to_reach(case.geometry.spacing, configuration.spacing)
        shape = target_shape(case.image.shape[1:], case.geometry.spacing, spacing)
        if shape == case.image.shape[1:]:
            return cls(shape, None)
        return cls(shape, (configuration.resampling, spacing))

    def resample(self, array: np.ndarray, kind: str, current_spacing: tuple[float, ...]) -> np.ndarray:
        """`kind` is `data` or `seg`."""
        if self.how is None:
            return array
        resampling, spacing = self.how
        resampler: Resampler = getattr(resampling, kind)
        if resampler.function not in RESAMPLERS:
            raise UserInputError(
                f"the plan asks for the unknown resampling {resampler.function}; use one of {', '.join(RESAMPLERS)}."
            )
        return RESAMPLERS[resampler.function](array, self.shape, current_spacing, spacing, **resampler.options)


def _on_grid(case: CroppedCase, normalized: np.ndarray, grid: _Grid, label_scheme: LabelScheme) -> PreprocessedCase:
    data = np.ascontiguousarray(grid.resample(normalized, "data", case.geometry.spacing), np.float32)
    if not case.annotated:
        return PreprocessedCase(data, None, case.geometry, {})
    resampled = grid.resample(case.segmentation[None], "seg", case.geometry.spacing)[0]
    segmentation = np.ascontiguousarray(resampled, np.int16)
    return PreprocessedCase(
        data, segmentation, case.geometry, locate_foreground(segmentation, sampled_classes(label_scheme))
    )
