"""The linear resampling of nnU-Net's `torchres` plans: a family of its own, not to be mixed with the cubic one.

It is defined by torch's interpolation down to the rounding of half precision, so torch does it here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .grid import separate_axis

if TYPE_CHECKING:
    import torch

SCORE = 1000
"""What an indicator counts before it is rounded to half precision."""
OUT_OF_PLANE = "nearest-exact"


def resample_linear(
    array: np.ndarray,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    force_separate_z: bool | None = None,
    memefficient_seg_resampling: bool = False,
) -> np.ndarray:
    """Resample a (c, z, y, x) array to `new_shape` (z, y, x); nnU-Net's `resample_torch_fornnunet`.

    Values are interpolated linearly (the coarse axis of anisotropic images takes the nearest slice) and come out as
    float32. Labels go to the largest interpolated indicator, the lowest of those that are equal in half precision;
    in the memory-saving variant to the last one above one half.
    """
    import torch

    new_shape = tuple(int(size) for size in new_shape)
    if array.shape[1:] == new_shape:
        return array
    axis = separate_axis(current_spacing, new_spacing, force_separate_z)
    volume = torch.from_numpy(np.ascontiguousarray(array))
    with torch.no_grad():
        if axis is None:
            return _resized(volume, new_shape, "trilinear", is_seg, memefficient_seg_resampling).numpy()
        slices = volume.movedim(axis + 1, 1)
        plane = tuple(size for a, size in enumerate(new_shape) if a != axis)
        flat = slices.reshape(-1, *slices.shape[2:])
        flat = _resized(flat, plane, "bilinear", is_seg, memefficient_seg_resampling)
        between = flat.reshape(*slices.shape[:2], *plane).movedim(1, axis + 1)
        return _resized(between, new_shape, OUT_OF_PLANE, is_seg, memefficient_seg_resampling).contiguous().numpy()


def _resized(volume: torch.Tensor, size: tuple[int, ...], mode: str, is_seg: bool, above_half: bool) -> torch.Tensor:
    if tuple(volume.shape[1:]) == size:
        return volume
    if not is_seg:
        return _interpolated(volume, size, mode)
    return _last_above_half(volume, size, mode) if above_half else _largest_score(volume, size, mode)


def _interpolated(volume: torch.Tensor, size: tuple[int, ...], mode: str) -> torch.Tensor:
    from torch.nn import functional

    return functional.interpolate(volume[None].float(), size, mode=mode)[0]


def _largest_score(labels: torch.Tensor, size: tuple[int, ...], mode: str) -> torch.Tensor:
    values = labels.unique().tolist()
    best = _interpolated((labels == values[0]) * SCORE, size, mode).half()
    winner = best.new_full(best.shape, values[0], dtype=labels.dtype)
    for value in values[1:]:
        score = _interpolated((labels == value) * SCORE, size, mode).half()
        winner[score > best] = value
        best = best.maximum(score)
    return winner


def _last_above_half(labels: torch.Tensor, size: tuple[int, ...], mode: str) -> torch.Tensor:
    winner = labels.new_zeros((len(labels), *size))
    for value in labels.unique().tolist():
        winner[_interpolated(labels == value, size, mode) > 0.5] = value
    return winner
