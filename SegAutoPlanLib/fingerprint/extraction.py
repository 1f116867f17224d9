"""From the raw cases to the fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..dataset import Case, Dataset, read_case
from ..errors import UserInputError
from ..executors import Workers, run_cases
from ..files import read_json, write_json
from ..images import Image
from ..progress import SILENT, Reporter
from ..schema import require
from .cropping import crop_to_nonzero
from .fingerprint import FINGERPRINT_RULE, Fingerprint
from .foreground_samples import SAMPLES_IN_TOTAL, DrawnValues, draw_foreground
from .sample_pool import SamplePool

BYTES_PER_VALUE = 12
"""Measured: the image as read and as float32, labels, crop mask and draws of a case."""


@dataclass(frozen=True)
class CaseFingerprint:
    """What one case adds to the fingerprint."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    relative_size: float
    drawn: tuple[DrawnValues, ...]


def extract_fingerprint(
    dataset: Dataset, workers: Workers | int | None = None, reporter: Reporter = SILENT
) -> Fingerprint:
    """Sizes, spacings and foreground intensities of all training cases; equal to nnU-Net's.

    Memory does not grow with the number of cases.

    Raises:
        UserInputError: a case cannot be used, or no case has any foreground.
        StopRequested: the reporter was asked to stop.
    """
    look = partial(_fingerprint_of_case, dataset.without_cases(), SAMPLES_IN_TOTAL // len(dataset.cases))
    needed = BYTES_PER_VALUE * dataset.largest_case().values
    shapes, spacings, sizes = [], [], []
    pools = [SamplePool() for _ in dataset.channel_names]
    try:
        # In order, because sums of floating-point numbers depend on it in their last digits.
        for case in run_cases(
            look,
            dataset.cases,
            stage="fingerprint",
            workers=workers,
            bytes_per_case=needed,
            reporter=reporter,
            ordered=True,
        ):
            shapes.append(case.shape)
            spacings.append(case.spacing)
            sizes.append(case.relative_size)
            for pool, drawn in zip(pools, case.drawn, strict=True):
                pool.add(drawn)
        if not len(pools[0]):
            raise UserInputError(
                f"{dataset.folder}: no case has any foreground voxel; check that labelsTr holds the segmentations."
            )
        intensities = tuple(pool.statistics() for pool in pools)
    finally:
        for pool in pools:
            pool.close()
    return Fingerprint(
        spacings=tuple(spacings),
        shapes_after_crop=tuple(shapes),
        foreground_intensities=intensities,
        median_relative_size_after_cropping=float(np.median(sizes)),
    )


def write_fingerprint(fingerprint: Fingerprint, path: Path | str) -> None:
    """Write dataset_fingerprint.json as nnU-Net does (keys sorted)."""
    write_json(path, fingerprint.to_json(), sort_keys=True)


def read_fingerprint(path: Path | str) -> Fingerprint:
    """Read dataset_fingerprint.json.

    Raises:
        UserInputError: missing, or not a fingerprint.
    """
    content = read_json(path)
    require(
        FINGERPRINT_RULE,
        content,
        path,
        "this is not a dataset fingerprint, delete it and the dataset is measured again",
    )
    return Fingerprint.from_json(content)


def require_image(blank: bool, case: Case) -> None:
    """Refuse an image that is zero everywhere.

    Raises:
        UserInputError: it is.
    """
    if blank:
        raise UserInputError(
            f"{case.identifier}: {case.image_files[0]} is zero everywhere; export it again or remove the case."
        )


def read_labelled_case(dataset: Dataset, case: Case) -> tuple[Image, Image]:
    """Image and segmentation of a training case.

    Raises:
        UserInputError: either is missing or damaged, or they do not fit together.
    """
    image, segmentation = read_case(dataset, case)
    if segmentation is None:
        raise UserInputError(f"{case.identifier}: has no label file; add one or remove the case.")
    return image, segmentation


def _fingerprint_of_case(dataset: Dataset, draws: int, case: Case) -> CaseFingerprint:
    image, segmentation = read_labelled_case(dataset, case)
    crop = crop_to_nonzero(image.array, segmentation.array[0])
    require_image(crop.blank, case)
    return CaseFingerprint(
        shape=crop.image.shape[1:],
        spacing=tuple(image.spacing),
        relative_size=crop.image[0].size / image.array[0].size,
        drawn=draw_foreground(crop.image, crop.segmentation > 0, draws),
    )
