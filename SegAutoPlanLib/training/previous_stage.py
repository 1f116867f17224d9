"""A cascade's second input: the previous stage's labels as channels, made as faulty in training as they can be in life.

The labels that a second stage is given while it trains are better than those that it will be given later. nnU-Net
therefore changes them: it grows, shrinks, closes or opens single labels, and takes away components. What is done to a
sample is drawn in one function and done in another, so that it can be recorded and done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.fft import irfftn, next_fast_len, rfftn

P_OPERATORS = 0.4
"""That some labels of a sample are changed by operators."""
P_REMOVAL = 0.2
"""That some labels of a sample lose a component."""
P_LABEL = 0.5
"""That a label of such a sample is among them."""
RADIUS = (1.0, 8.0)
"""Of the structuring element, in voxels."""
LARGEST_REMOVED = 0.15
"""Of the patch; a larger component stays."""


@dataclass(frozen=True)
class Operator:
    """One of `OPERATORS`, done to one label."""

    channel: int
    """Place of the label among the foreground labels."""
    name: str
    across: int
    """Voxels from one end of the ball (in 2d: disk) to the other."""


@dataclass(frozen=True)
class Removal:
    """A component taken away from one label."""

    channel: int
    chosen: float
    """Which of those that are small enough, from 0 to below 1."""


@dataclass(frozen=True)
class LabelNoise:
    """Everything that is done to the labels of one sample, in this order."""

    operators: tuple[Operator, ...] = ()
    removals: tuple[Removal, ...] = ()


NO_NOISE = LabelNoise()


def draw_label_noise(rng: np.random.Generator, labels: int) -> LabelNoise:
    """What happens to one sample with so many foreground labels, with nnU-Net's probabilities."""
    operators: tuple[Operator, ...] = ()
    removals: tuple[Removal, ...] = ()
    if rng.random() < P_OPERATORS:
        names = list(OPERATORS)
        operators = tuple(
            Operator(channel, names[rng.integers(len(names))], int(2 * rng.uniform(*RADIUS) + 1))
            for channel in _drawn_channels(rng, labels)
        )
    if rng.random() < P_REMOVAL:
        removals = tuple(Removal(channel, float(rng.random())) for channel in _drawn_channels(rng, labels))
    return LabelNoise(operators, removals)


def _drawn_channels(rng: np.random.Generator, labels: int) -> list[int]:
    return [int(channel) for channel in rng.permutation(labels) if rng.random() < P_LABEL]


def apply_label_noise(one_hot: np.ndarray, noise: LabelNoise) -> np.ndarray:
    """The changed copy of (labels, [z,] y, x) float32 channels of 0 and 1.

    What an operator adds to a label is taken from the others; where something was taken away is background.
    """
    changed = one_hot.copy()
    for operator in noise.operators:
        before = changed[operator.channel] > 0
        after = apply_operator(before, operator.name, operator.across)
        changed[:, after & ~before] = 0
        changed[operator.channel] = after
    for removal in noise.removals:
        changed[removal.channel][_component(changed[removal.channel] > 0, removal.chosen)] = 0
    return changed


def apply_operator(mask: np.ndarray, name: str, across: int) -> np.ndarray:
    """The boolean mask after dilation, erosion, closing or opening by a ball (disk) of so many voxels.

    Beyond the mask's edges there is nothing to grow from, and nothing that shrinks it.
    """
    if not mask.any():
        return mask
    # Nothing happens farther from the mask than the ball reaches.
    near = tuple(slice(max(int(where.min()) - across, 0), int(where.max()) + across + 1) for where in np.nonzero(mask))
    changed = np.zeros_like(mask)
    changed[near] = OPERATORS[name](mask[near], ball(across, mask.ndim))
    return changed


def ball(across: int, dimensions: int) -> np.ndarray:
    """A boolean ball or disk whose first and last voxels lie on its surface; (across, …)."""
    axes = np.meshgrid(*[np.linspace(-1, 1, across)] * dimensions, indexing="ij")
    # A voxel that lies on the surface belongs to it, whatever the rounding.
    return sum(axis**2 for axis in axes) <= 1 + 1e-9


def _dilate(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    # By Fourier transforms: an element of thousands of voxels costs no more than a small one.
    full = [next_fast_len(sum(sizes) - 1, real=True) for sizes in zip(mask.shape, element.shape, strict=True)]
    transformed = rfftn(mask.astype(np.float32), full) * rfftn(element.astype(np.float32), full)
    counts = irfftn(transformed, full)
    inside = tuple(
        slice(across // 2, across // 2 + size) for across, size in zip(element.shape, mask.shape, strict=True)
    )
    return counts[inside] > 0.5


def _erode(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    return ~_dilate(~mask, element)


def _close(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    return _erode(_dilate(mask, element), element)


def _open(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    return _dilate(_erode(mask, element), element)


OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "dilate": _dilate,
    "erode": _erode,
    "close": _close,
    "open": _open,
}
"""By name: (mask, structuring element) → mask."""


def _component(mask: np.ndarray, chosen: float) -> np.ndarray:
    """One of the mask's connected components (over corners too) that are small enough; empty if none is."""
    components, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    small = np.flatnonzero(sizes < LARGEST_REMOVED * mask.size) + 1
    return components == small[int(chosen * len(small))] if len(small) else np.zeros_like(mask)
