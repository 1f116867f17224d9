"""Whole folders of preprocessed cases, ours and nnU-Net's, made into each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..dataset import Case, Dataset
from ..errors import FileError, UserInputError
from ..executors import Workers, run_cases
from ..fingerprint.extraction import read_labelled_case, require_image
from ..planning import Configuration, Plan
from ..progress import SILENT, Reporter
from .case import PreprocessedCase, crop_case
from .foreground import locate_foreground, sampled_classes
from .grid import spacing_to_reach, target_shape
from .nnunet_case import ENDINGS, nnunet_files, read_nnunet_case, write_nnunet_case
from .stamp import stamp_of
from .storage import case_path, open_preprocessed, save_preprocessed, stored_stamps

BYTES_PER_VALUE = 12
"""The array, the same packed, and a mask."""


@dataclass(frozen=True)
class Conversion:
    """The cases of one configuration, from one folder into another."""

    dataset: Dataset
    plan: Plan
    configuration: Configuration
    source: Path
    target: Path

    def for_one_case(self) -> Conversion:
        """What is sent with each case to another process."""
        folders = {"source": self.source.absolute(), "target": self.target.absolute()}
        return replace(self, dataset=self.dataset.without_cases(), **folders)

    def to_nnunet(self, case: Case) -> None:
        """Write nnU-Net's files of a case of ours, unless they are there and newer."""
        written = nnunet_files(self.target, case.identifier)
        made = case_path(self.source, case.identifier).stat().st_mtime_ns
        if all(path.is_file() and path.stat().st_mtime_ns >= made for path in written):
            return
        opened = open_preprocessed(self.source, case.identifier, self.plan.transpose_forward)
        write_nnunet_case(self.target, case.identifier, opened, self.configuration.patch_size)

    def from_nnunet(self, case: Case) -> None:
        """Store a case of nnU-Net's as ours, unless that is there.

        The way back to the image's grid is in its pickle only, and so is measured again on the raw image.
        """
        stamp = stamp_of(case, self.dataset, self.plan, self.configuration)
        if stamp in stored_stamps(self.target, case.identifier):
            return
        image, segmentation = read_labelled_case(self.dataset, case)
        cropped = crop_case(image, segmentation, self.plan)
        require_image(cropped.blank, case)
        spacing = spacing_to_reach(cropped.geometry.spacing, self.configuration.spacing)
        grid = target_shape(cropped.geometry.cropped_shape, cropped.geometry.spacing, spacing)
        shape = (len(cropped.image), *grid)
        del image, segmentation
        data, labels = read_nnunet_case(self.source, case.identifier, shape)
        self._require_known(labels, case)
        locations = locate_foreground(labels, sampled_classes(self.dataset.label_scheme))
        stored = PreprocessedCase(data, labels, cropped.geometry, locations)
        save_preprocessed([self.target], case.identifier, stored, [stamp])

    def _require_known(self, labels: np.ndarray, case: Case) -> None:
        scheme = self.dataset.label_scheme
        known = {-1, 0, *scheme.all_labels, *([] if scheme.ignore_label is None else [scheme.ignore_label])}
        unknown = [int(label) for label in np.unique(labels) if int(label) not in known]
        if unknown:
            file = nnunet_files(self.source, case.identifier)[1]
            raise FileError(
                file, f"holds the label {unknown[0]}, which is not in dataset.json", "preprocess the case again"
            )


def convert_to_nnunet(work: Conversion, workers: Workers, reporter: Reporter = SILENT) -> None:
    """Make a folder for nnU-Net of ours.

    Raises:
        UserInputError: the folder holds other files, beside which nnU-Net reads none; the disk is full.
        StopRequested: between two cases.
    """
    others = [path.name for path in work.target.glob("*") if path.is_file() and path.suffix not in ENDINGS]
    if others:
        raise FileError(
            work.target / min(others), "is a file beside which nnU-Net reads no cases", "choose another folder"
        )
    work.target.mkdir(parents=True, exist_ok=True)
    _convert(work, work.for_one_case().to_nnunet, workers, reporter)


def convert_from_nnunet(work: Conversion, workers: Workers, reporter: Reporter = SILENT) -> None:
    """Make a folder of ours of nnU-Net's.

    Raises:
        UserInputError: a case is missing, damaged, or not what the plan makes of the raw images; the disk is full.
        StopRequested: between two cases.
    """
    if not work.source.is_dir():
        raise UserInputError(
            f"{work.source}: there are no cases of {work.configuration.name}; preprocess them with nnU-Net, or choose "
            "others with --configurations."
        )
    work.target.mkdir(parents=True, exist_ok=True)
    _convert(work, work.for_one_case().from_nnunet, workers, reporter)


def _convert(work: Conversion, one_case: Callable[[Case], None], workers: Workers, reporter: Reporter) -> None:
    size = work.dataset.largest_case()
    values = size.values + size.values_at(work.configuration.spacing)
    settings = {"stage": "convert", "workers": workers, "bytes_per_case": BYTES_PER_VALUE * values}
    for _ in run_cases(one_case, work.dataset.cases, **settings, reporter=reporter):
        pass
