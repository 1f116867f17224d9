"""A real dataset that comes with a package: the ICBM 152 template in nilearn's wheel, at 1 mm.

Blocks of the left hemisphere are the training cases; the right hemisphere is never trained on, and tells how well
the network does on what it has not seen.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SegAutoPlanLib.dataset.hold_out import HeldOut, HeldOutData
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import atomic_path, write_json

NAME = "Dataset152_ICBM"
LABELS = {"background": 0, "grey matter": 1, "white matter": 2}
CHANNEL = "rescale_to_0_1"
"""nnU-Net chooses the normalisation by this name. Blocks of one image share its scale, which normalising each block by
its own mean would take away: a block with much air is not a dark one."""
FILE_NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
BLOCK = 64
OVERLAP = 16
CERTAIN = 0.5
LEAST_TISSUE = 0.01
"""Share of a block that must be brain."""


def build_icbm_dataset(raw: Path, kept_apart: Path) -> HeldOutData:
    """Write the raw dataset to `raw` and the whole head with its labels to `kept_apart`.

    Raises:
        UserInputError: nilearn, whose data this is, is not installed.
    """
    t1, labels = read_template()
    # A border of zeros is cropped off every case, and a network that has seen no air calls it something. With air
    # above zero nothing is cropped.
    t1 = sitk.Cast(t1, sitk.sitkInt16) + 1
    middle = _first_right_column(t1)
    dataset = raw / NAME
    blocks = list(_left_blocks(sitk.GetArrayViewFromImage(labels), middle))
    for number, block in enumerate(blocks, start=1):
        case = f"left_{number:02d}"
        _write(t1[block], dataset / "imagesTr" / f"{case}_0000.nii.gz")
        _write(labels[block], dataset / "labelsTr" / f"{case}.nii.gz")
    write_json(
        dataset / "dataset.json",
        {
            "channel_names": {"0": CHANNEL},
            "labels": LABELS,
            "numTraining": len(blocks),
            "file_ending": ".nii.gz",
            "name": "ICBM 152 (2009a, symmetric), left hemisphere in blocks",
            "reference": "Fonov et al., NeuroImage 54 (2011)",
        },
    )
    image, reference = kept_apart / "head_0000.nii.gz", kept_apart / "reference.nii.gz"
    _write(t1, image)
    _write(labels, reference)
    story = (
        f"ICBM 152 T1 template, 1 mm: {len(blocks)} blocks of {BLOCK}³ voxels of the left hemisphere to train on; "
        "the right hemisphere is held out."
    )
    held_out = HeldOut("head", (image,), reference, (slice(None), slice(None), slice(middle, None)))
    return HeldOutData(dataset, (held_out,), story)


def read_template() -> tuple[sitk.Image, sitk.Image]:
    """The T1 image of the whole head, and the labels of its tissues on the same grid.

    Raises:
        UserInputError: nilearn, whose data this is, is not installed.
    """
    t1, grey, white = (_read(_template_file(kind)) for kind in ("t1", "gm", "wm"))
    labels = _tissue_labels(grey, white)
    labels.CopyInformation(t1)
    return t1, labels


def _template_file(kind: str) -> Path:
    # Found without importing nilearn, which would load half of scientific Python.
    found = importlib.util.find_spec("nilearn")
    if found is None or found.origin is None:
        raise UserInputError("The demo's images come with the package nilearn; install it with: pip install nilearn")
    return Path(found.origin).parent / "datasets" / "data" / FILE_NAME.format(kind)


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise UserInputError(f"{path}: nilearn no longer brings this file; install nilearn 0.14.")
    return sitk.ReadImage(str(path))


def _tissue_labels(grey: sitk.Image, white: sitk.Image) -> sitk.Image:
    """The tissue with the larger map where that is above one half; the maps are stored as 0 … 255."""
    maps = np.stack([sitk.GetArrayFromImage(image) for image in (grey, white)]).astype(np.float32) / 255
    labels = np.where(maps.max(axis=0) > CERTAIN, maps.argmax(axis=0) + 1, 0)
    return sitk.GetImageFromArray(labels.astype(np.uint8))


def _first_right_column(image: sitk.Image) -> int:
    """The first index along x that lies right of the midplane (world x of ITK points to the left)."""
    columns = np.arange(image.GetSize()[0])
    left = np.array([image.TransformIndexToPhysicalPoint((int(i), 0, 0))[0] for i in columns])
    if left[0] < left[-1]:
        raise UserInputError("The ICBM template is stored from right to left, which this demo does not expect.")
    return int(columns[left < 0][0])


def _left_blocks(labels: np.ndarray, middle: int) -> Iterator[tuple[slice, slice, slice]]:
    """Overlapping (x, y, z) blocks that end before the midplane and hold enough tissue."""
    extents = (middle, labels.shape[1], labels.shape[0])
    for corner in itertools.product(*(_corners(extent) for extent in extents)):
        x, y, z = (slice(start, start + BLOCK) for start in corner)
        if (labels[z, y, x] > 0).mean() > LEAST_TISSUE:
            yield x, y, z


def _corners(extent: int) -> list[int]:
    count = -(-(extent - BLOCK) // (BLOCK - OVERLAP)) + 1
    return np.linspace(0, extent - BLOCK, count).astype(int).tolist()


def _write(image: sitk.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        sitk.WriteImage(image, str(temporary), True)
