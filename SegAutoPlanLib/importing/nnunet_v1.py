"""nnU-Net version 1: today's files under an older description."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from ..dataset_json import DATASET_FILE
from ..errors import FileError
from ..executors import Workers, run_cases
from ..files import write_json
from ..progress import SILENT, Reporter
from .old_dataset_json import FILE_ENDING, new_number_and_name, nifti_files, read_old_dataset_json
from .staging import ImportedDataset, new_dataset

FOLDERS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs", "imagesVal", "labelsVal")
CHANNEL_SUFFIX = "_0000"


def import_nnunet_v1(
    source: Path | str,
    raw_root: Path | str,
    dataset_id: int | None = None,
    reporter: Reporter = SILENT,
    workers: Workers | int | None = None,
) -> ImportedDataset:
    """Copy `TaskXXX_Name` of nnU-Net version 1 into `raw_root/DatasetXXX_Name`.

    `dataset_id` is by default the number of the task.

    Raises:
        UserInputError: the folder is not of that kind, a label file is missing, or the id is taken; nothing is
            left behind.
    """
    source = Path(source).absolute()
    dataset_json = read_old_dataset_json(source)
    identifier, name = new_number_and_name(source, dataset_id)
    cases = _cases(source)
    with new_dataset(raw_root, identifier, name) as (folder, target):
        files = [path for part in FOLDERS for path in nifti_files(source / part)]
        for part in {path.parent.name for path in files}:
            (folder / part).mkdir()
        copy = partial(_copy_into, folder)
        for _ in run_cases(copy, files, stage="import", workers=workers, reporter=reporter, finish_begun=True):
            pass
        write_json(folder / DATASET_FILE, {**dataset_json, "numTraining": len(cases)})
    return ImportedDataset(target, len(cases))


def _copy_into(folder: Path, path: Path) -> None:
    """Into the folder of the new dataset that has the name of the file's own."""
    shutil.copyfile(path, folder / path.parent.name / path.name)


def _cases(source: Path) -> list[str]:
    first_channel = f"{CHANNEL_SUFFIX}{FILE_ENDING}"
    cases = [
        path.name.removesuffix(first_channel)
        for path in nifti_files(source / "imagesTr")
        if path.name.endswith(first_channel)
    ]
    if not cases:
        raise FileError(
            source / "imagesTr",
            f"holds no file named CASE{first_channel}",
            "for a task of the Medical Segmentation Decathlon use import_decathlon",
        )
    for case in cases:
        label = source / "labelsTr" / f"{case}{FILE_ENDING}"
        if not label.is_file():
            raise FileError(label, "the label file is missing", f"add it, or remove {case} from imagesTr")
    return cases
