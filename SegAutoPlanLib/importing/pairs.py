"""A folder of images and segmentations, as people keep them: Slicer's `.seg.nrrd` with named segments included."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from ..dataset_json import DATASET_FILE
from ..errors import FileError, UserInputError
from ..executors import Workers, run_cases
from ..files import write_json
from ..images.image_io import VOLUME_ENDINGS, write_segmentation
from ..images.image_size import largest_image
from ..images.simpleitk_io import header_from_sitk, read_sitk_image, write_sitk_image
from ..progress import SILENT, Reporter
from .label_plan import LabelPlan, codes_of, names_in_order, plan_of_codes
from .pairing import Pair, PairFiles, as_pairs
from .segment_file import SegmentFile, read_segment_file
from .staging import ImportedDataset, new_dataset

DEFAULT_ENDING = ".nii.gz"
BYTES_PER_VOXEL = 26
"""Measured (25.8 for float32): image, segmentation, and the segments of each voxel; their masks come on top."""


@dataclass(frozen=True)
class CaseNotes:
    """What was done to one case that its owner should know."""

    identifier: str
    resampled: bool
    outside: tuple[str, ...]
    """Segments of which no voxel lies in the image."""


def import_pairs(
    source: Path | str | Sequence[PairFiles],
    raw_root: Path | str,
    dataset_id: int,
    name: str,
    channel_names: Sequence[str] | None = None,
    segments: Sequence[str] | None = None,
    value_names: Mapping[int, str] | None = None,
    overlap: Literal["refuse", "regions"] = "refuse",
    reporter: Reporter = SILENT,
    workers: Workers | int | None = None,
) -> ImportedDataset:
    """Make a raw dataset of images and their segmentations.

    Label values follow the segments' *names*, the same in every case; a segmentation on another grid than its
    image is resampled to the nearest voxel, and the notes say so. Images that share one file type are copied
    as they are, others become `.nii.gz`.

    Args:
        source: a folder (see `find_pairs` for the names) or a list of (image or images, segmentation).
        channel_names: they decide the normalisation: name a CT "CT". Default "image".
        segments: only these, with label values in this order. Default: all, in order of first appearance.
        value_names: names for the values of plain label maps.
        overlap: whether segments that share voxels are an error or become regions.

    Raises:
        UserInputError: an image or segmentation lacks its partner or cannot be used; nothing is left behind.
    """
    pairs = as_pairs(source)
    channels = _channel_names(pairs, channel_names)
    value_names = dict(value_names or {})
    voxels = largest_image(pair.images[0] for pair in pairs).values
    run = partial(run_cases, items=pairs, workers=workers, reporter=reporter, ordered=True)
    look = partial(_segment_names, value_names)
    found = list(run(look, stage="read segments", bytes_per_case=BYTES_PER_VOXEL * voxels))
    names = names_in_order([(pair.segmentation, these) for pair, these in zip(pairs, found, strict=True)], segments)
    needed = (BYTES_PER_VOXEL + len(names)) * voxels
    if overlap == "refuse":
        plan = LabelPlan(names, {frozenset([name]): value for value, name in enumerate(names, start=1)})
    else:
        codes = run(partial(_codes_of_case, names, value_names), stage="find overlaps", bytes_per_case=needed)
        plan = plan_of_codes(names, set().union(*codes))
    ending = _common_ending(pairs)
    with new_dataset(raw_root, dataset_id, name) as (folder, target):
        (folder / "imagesTr").mkdir()
        (folder / "labelsTr").mkdir()
        write = partial(_write_case, plan, value_names, folder, ending)
        cases = list(run(write, stage="import", bytes_per_case=needed, finish_begun=True))
        dataset_json = {
            "channel_names": {str(index): channel for index, channel in enumerate(channels)},
            **plan.dataset_json(),
            "numTraining": len(pairs),
            "file_ending": ending,
        }
        write_json(folder / DATASET_FILE, dataset_json)
    notes = _notes(cases, found, plan)
    for note in notes:
        reporter.event("warning", message=note)
    return ImportedDataset(target, len(pairs), notes)


def _channel_names(pairs: Sequence[Pair], wanted: Sequence[str] | None) -> tuple[str, ...]:
    if not pairs:
        raise UserInputError("No pair of image and segmentation was given; give at least one.")
    count = len(pairs[0].images)
    names = tuple(wanted or (["image"] if count == 1 else [f"image_{index}" for index in range(count)]))
    for pair in pairs:
        if len(pair.images) != len(names):
            raise FileError(
                pair.images[0],
                f"the case {pair.identifier} has {len(pair.images)} images, but there are {len(names)} channels "
                f"({', '.join(names)})",
                "give every case the same channels, named CASE_0000, CASE_0001 and so on",
            )
    return names


def _segment_names(value_names: Mapping[int, str], pair: Pair) -> tuple[str, ...]:
    return tuple(segment.name for segment in read_segment_file(pair.segmentation, value_names).segments)


def _codes_of_case(names: tuple[str, ...], value_names: Mapping[int, str], pair: Pair) -> set[int]:
    grid = read_sitk_image(pair.images[0])
    masks = read_segment_file(pair.segmentation, value_names).masks_on(grid, names)
    return {int(code) for code in np.unique(codes_of(dict(masks), names, grid.GetSize()[::-1]))}


def _write_case(plan: LabelPlan, value_names: Mapping[int, str], folder: Path, ending: str, pair: Pair) -> CaseNotes:
    file = read_segment_file(pair.segmentation, value_names)
    images = [read_sitk_image(path) for path in pair.images]
    for path, image in zip(pair.images, images, strict=True):
        if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
            raise FileError(
                path, "is not a 3-D image with one value per voxel", "split it into a file for each channel"
            )
        target = folder / "imagesTr" / f"{pair.identifier}_{pair.images.index(path):04d}{ending}"
        if path.name.lower().endswith(ending):
            shutil.copyfile(path, target)
        else:
            write_sitk_image(image, target, target)
    labels, painted = _labels(file, plan, images[0])
    target = folder / "labelsTr" / f"{pair.identifier}{ending}"
    write_segmentation(labels, target, header_from_sitk(images[0]), "SimpleITKIO")
    named = {segment.name for segment in file.segments if segment.name in plan.names}
    outside = sorted(name for name in named - painted if file.has_voxels(name))
    return CaseNotes(pair.identifier, not file.lies_on_lattice_of(images[0]), tuple(outside))


def _labels(file: SegmentFile, plan: LabelPlan, grid: sitk.Image) -> tuple[np.ndarray, set[str]]:
    """The label values (z, y, x) and the names of the segments that have voxels there."""
    shape = grid.GetSize()[::-1]
    masks = file.masks_on(grid, plan.names)
    if any(len(names) > 1 for names in plan.values):
        held = dict(masks)
        return plan.paint(held, shape), set(held)
    value_of = {name: value for names, value in plan.values.items() for name in names}
    labels, painted = np.zeros(shape, np.uint16), set()
    for name, mask in masks:
        shared = labels[mask]
        if shared.any():
            other = plan.names[int(shared.max()) - 1]
            raise FileError(
                file.path,
                f"the segments {other} and {name} overlap in {np.count_nonzero(shared)} voxels",
                'separate them in the Segment Editor, choose segments, or import with overlap="regions"',
            )
        labels[mask] = value_of[name]
        painted.add(name)
    return labels, painted


def _common_ending(pairs: Sequence[Pair]) -> str:
    endings = {
        next((ending for ending in VOLUME_ENDINGS if path.name.lower().endswith(ending)), DEFAULT_ENDING)
        for pair in pairs
        for path in pair.images
    }
    return endings.pop() if len(endings) == 1 else DEFAULT_ENDING


def _notes(cases: Sequence[CaseNotes], found: Sequence[Sequence[str]], plan: LabelPlan) -> tuple[str, ...]:
    notes = []
    resampled = [case.identifier for case in cases if case.resampled]
    if resampled:
        notes.append(
            f"{len(resampled)} of {len(cases)} segmentations lay on another grid than their image and were resampled "
            f"to its nearest voxels: {', '.join(resampled)}."
        )
    notes += [f"{case.identifier}: {', '.join(case.outside)} lies outside the image." for case in cases if case.outside]
    left = sorted({name for names in found for name in names} - set(plan.names))
    if left:
        notes.append(f"Segments that were not imported: {', '.join(left)}.")
    return tuple(notes)
