"""Medical Segmentation Decathlon: channels are the fourth axis of one file, labels are numbered by strings."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import SimpleITK as sitk

from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..executors import Workers, run_cases
from ..files import write_json
from ..images.image_size import largest_image
from ..images.simpleitk_io import read_sitk_image, write_sitk_image
from ..progress import SILENT, Reporter
from .old_dataset_json import FILE_ENDING, new_number_and_name, nifti_files, read_old_dataset_json
from .staging import ImportedDataset, new_dataset

BYTES_PER_VALUE = 10
"""Measured (8.4 for float32): the image as read, and one channel of it being compressed."""


def import_decathlon(
    source: Path | str,
    raw_root: Path | str,
    dataset_id: int | None = None,
    reporter: Reporter = SILENT,
    workers: Workers | int | None = None,
) -> ImportedDataset:
    """Copy `TaskXX_Name` into `raw_root/DatasetXXX_Name`, a file for each channel.

    `dataset_id` is by default the number of the task. Test images are taken over too.

    Raises:
        UserInputError: the folder is not of that kind, a label file is missing, or the id is taken; nothing is
            left behind.
    """
    source = Path(source).absolute()
    dataset_json = read_old_dataset_json(source)
    identifier, name = new_number_and_name(source, dataset_id)
    images, tests = nifti_files(source / "imagesTr"), nifti_files(source / "imagesTs")
    _require_pairs(images, source)
    channels = len(dataset_json["channel_names"])
    with new_dataset(raw_root, identifier, name) as (folder, target):
        (folder / "labelsTr").mkdir()
        for _ in run_cases(
            partial(_split_into, folder, channels),
            [*images, *tests],
            stage="import",
            workers=workers,
            bytes_per_case=BYTES_PER_VALUE * largest_image(images).values,
            reporter=reporter,
            finish_begun=True,
        ):
            pass
        for path in images:
            shutil.copyfile(source / "labelsTr" / path.name, folder / "labelsTr" / path.name)
        write_json(folder / DATASET_FILE, {**dataset_json, "numTraining": len(images)})
    return ImportedDataset(target, len(images))


def _split_into(folder: Path, channels: int, path: Path) -> None:
    """Into the folder of the new dataset that has the name of the image's own."""
    split_channels(path, folder / path.parent.name, channels)


def split_channels(path: Path, folder: Path, channels: int) -> None:
    """Write each channel of a 3-D or 4-D image as a 3-D file `CASE_0000.nii.gz`, … in `folder`.

    Raises:
        FileError: the image has not as many channels as it should.
    """
    image = read_sitk_image(path)
    found = image.GetSize()[3] if image.GetDimension() == 4 else 1
    if image.GetDimension() not in (3, 4) or found != channels:
        raise FileError(
            path, f"has {found} channels, but dataset.json names {channels}", 'correct "modality" or the image'
        )
    folder.mkdir(exist_ok=True)
    stem = path.name.removesuffix(FILE_ENDING)
    for channel in range(channels):
        target = folder / f"{stem}_{channel:04d}{FILE_ENDING}"
        if image.GetDimension() == 3:
            shutil.copyfile(path, target)
        else:
            write_sitk_image(sitk.Extract(image, (*image.GetSize()[:3], 0), (0, 0, 0, channel)), target, target)


def _require_pairs(images: list[Path], source: Path) -> None:
    if not images:
        raise FileError(source / "imagesTr", f"holds no {FILE_ENDING} images", "give the extracted folder of the task")
    if all(re.fullmatch(r".+_\d{4}\.nii\.gz", path.name) for path in images) and not any(
        (source / "labelsTr" / path.name).is_file() for path in images
    ):
        raise UserInputError(f"{source}: this is a dataset of nnU-Net version 1; use import_nnunet_v1.")
    for path in images:
        label = source / "labelsTr" / path.name
        if not label.is_file():
            raise FileError(label, "the label file is missing", f"add it, or remove {path.name} from imagesTr")
