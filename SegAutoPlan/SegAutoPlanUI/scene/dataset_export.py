"""Labelled cases of the scene to a raw dataset in nnU-Net's layout."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from SegAutoPlanLib.dataset_json import DATASET_FILE, parse_dataset_json
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.files import write_json
from SegAutoPlanLib.names import problem_of_name
from SegAutoPlanLib.workspace import DATASET_NAME

from .scene_bridge import LARGEST_LABEL, labelsFromSegmentation, segmentNames
from .segment_appearance import appearanceOf
from .volume_files import checkChannels, checkFileEnding, writeArray, writeVolume

Volumes = slicer.vtkMRMLScalarVolumeNode | Sequence[slicer.vtkMRMLScalarVolumeNode]
LONGEST_IDENTIFIER = 80
RESERVED = ("background", "ignore")


@dataclass(frozen=True)
class LabelledCase:
    """One case: its volumes in channel order, and its segmentation."""

    identifier: str
    volumes: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    segmentation: slicer.vtkMRMLSegmentationNode


def exportDataset(
    pairs: Sequence[tuple[Volumes, slicer.vtkMRMLSegmentationNode]],
    folder: Path | str,
    channelNames: Sequence[str] | None = None,
    fileEnding: str = ".nii.gz",
) -> Path:
    """Write a raw dataset; it appears as a whole or not at all.

    Label values follow the order in which segment names first occur; a segment called "ignore" becomes nnU-Net's
    ignore label and "background" is value 0. Where segments overlap the higher value wins. Images and
    labels are in the local coordinates of each first volume.

    Args:
        folder: a new or empty folder called DatasetXXX_Name.
        channelNames: nnU-Net chooses the intensity normalisation by them: call Hounsfield units "CT".

    Raises:
        UserInputError: nothing to export, a case that does not fit the others, or the folder cannot be used.
    """
    folder = Path(folder)
    _checkFolder(folder)
    checkFileEnding(fileEnding, folder)
    cases = _cases(pairs)
    channels = _channelNames(cases, channelNames)
    labels = labelValues([case.segmentation for case in cases])
    description = _description(cases, channels, labels, fileEnding)
    # What nobody could read again is told before anything is written.
    parse_dataset_json(description, folder / DATASET_FILE).appearances()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that the rename cannot cross file systems.
    written = Path(tempfile.mkdtemp(prefix=".writing_", dir=folder.parent))
    try:
        for case in cases:
            _writeCase(case, labels, written, fileEnding)
        write_json(written / DATASET_FILE, description)
        written.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        written.rename(folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)
    return folder


def labelValues(segmentationNodes: Sequence[slicer.vtkMRMLSegmentationNode]) -> dict[str, int]:
    """Consecutive label values of all segment names, background 0 first, ignore last.

    Raises:
        UserInputError: there is no segment at all, or more than a label file can hold.
    """
    names = dict.fromkeys(name for node in segmentationNodes for name in segmentNames(node))
    foreground = [name for name in names if name.lower() not in RESERVED]
    if not foreground:
        raise UserInputError("The segmentations hold no segment to learn; draw one in the Segment Editor.")
    if len(foreground) >= LARGEST_LABEL:
        raise UserInputError(f"There are {len(foreground)} different segment names; use at most {LARGEST_LABEL - 1}.")
    labels = {"background": 0} | {name: value for value, name in enumerate(foreground, start=1)}
    if any(name.lower() == "ignore" for name in names):
        labels["ignore"] = len(labels)
    return labels


def _checkFolder(folder: Path) -> None:
    if not DATASET_NAME.fullmatch(folder.name):
        raise UserInputError(f"{folder}: a dataset folder is called DatasetXXX_Name, e.g. Dataset001_Liver; rename it.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserInputError(f"{folder}: the folder is not empty; choose a new one so that nothing is overwritten.")


def _cases(pairs: Sequence[tuple[Volumes, slicer.vtkMRMLSegmentationNode]]) -> list[LabelledCase]:
    if not pairs:
        raise UserInputError("There is nothing to export; give at least one volume with its segmentation.")
    cases: list[LabelledCase] = []
    taken: set[str] = set()
    for volumes, segmentation in pairs:
        nodes = tuple(volumes) if isinstance(volumes, Sequence) else (volumes,)
        checkChannels(nodes)
        if len(nodes) != len(cases[0].volumes if cases else nodes):
            raise UserInputError(
                f"{nodes[0].GetName()}: the case has {len(nodes)} volumes but {cases[0].identifier} has "
                f"{len(cases[0].volumes)}; give every case the same channels."
            )
        identifier = _identifier(nodes[0].GetName(), taken)
        taken.add(identifier)
        cases.append(LabelledCase(identifier, nodes, segmentation))
    return cases


def _identifier(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name or "").strip("_")[:LONGEST_IDENTIFIER].strip("_") or "case"
    plain = plain if problem_of_name(plain) is None else f"case_{plain}"
    candidates = (plain if number == 1 else f"{plain}_v{number}" for number in range(1, len(taken) + 2))
    # Windows and macOS do not tell A from a in file names.
    lowered = {other.lower() for other in taken}
    return next(candidate for candidate in candidates if candidate.lower() not in lowered)


def _channelNames(cases: Sequence[LabelledCase], given: Sequence[str] | None) -> list[str]:
    count = len(cases[0].volumes)
    default = ["image"] if count == 1 else [f"image {number}" for number in range(1, count + 1)]
    names = default if given is None else list(given)
    if len(names) != count:
        raise UserInputError(f"{len(names)} channel names were given for {count} volumes a case; give one for each.")
    return names


def _writeCase(case: LabelledCase, labels: dict[str, int], folder: Path, fileEnding: str) -> None:
    for channel, node in enumerate(case.volumes):
        writeVolume(node, folder / "imagesTr" / f"{case.identifier}_{channel:04d}{fileEnding}", compress=True)
    first = case.volumes[0]
    spelled = {
        name: labels[name.lower() if name.lower() in RESERVED else name] for name in segmentNames(case.segmentation)
    }
    # Later entries win where segments overlap: in label order, a lesion drawn after its organ stays visible.
    ordered = dict(sorted(spelled.items(), key=lambda item: item[1]))
    array = labelsFromSegmentation(case.segmentation, first, ordered)
    writeArray(array, checkChannels(case.volumes), folder / "labelsTr" / f"{case.identifier}{fileEnding}")


def _description(
    cases: Sequence[LabelledCase], channels: Sequence[str], labels: dict[str, int], fileEnding: str
) -> dict[str, Any]:
    looks = {}
    for case in cases:
        segmentation = case.segmentation.GetSegmentation()
        for name, segmentId in segmentNames(case.segmentation).items():
            if name in labels and name.lower() not in RESERVED:
                looks.setdefault(name, appearanceOf(segmentation.GetSegment(segmentId)).to_json())
    return {
        "channel_names": {str(index): name for index, name in enumerate(channels)},
        "labels": labels,
        "numTraining": len(cases),
        "file_ending": fileEnding,
        "segments": looks,
    }
