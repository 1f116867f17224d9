"""One training case in memory, checked."""

from __future__ import annotations

from ..images.geometry import require_same_grid
from ..images.image import Image
from ..images.image_io import read_image, read_segmentation
from .case_check import require_channels
from .dataset import Case, Dataset
from .label_check import require_known_labels


def read_case(dataset: Dataset, case: Case) -> tuple[Image, Image | None]:
    """The image (c, z, y, x) and the segmentation (1, z, y, x; None without a label file) of a case.

    Raises:
        FileError: the first of what `check_dataset` would call an error in this case.
    """
    image = read_image(case.image_files, dataset.image_io)
    require_channels(image.array.shape[0], dataset, case)
    if case.label_file is None:
        return image, None
    segmentation = read_segmentation(case.label_file, dataset.image_io)
    require_same_grid(segmentation, case.label_file, image, case.image_files[0])
    require_known_labels(segmentation, case.label_file, dataset.label_scheme)
    return image, segmentation
