"""One volume through one model: input files, the engine's run, the result into the scene.

The job is described by `segment.json` in the run folder and by an attribute on the nodes it came from and goes
to, never by objects in memory: so it can be taken up again after a reload, in a reopened scene, in a new Slicer.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import slicer

from SegAutoPlanLib.errors import UserInputError, in_sentences
from SegAutoPlanLib.files import read_json, write_json
from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.names import file_ending, problem_of_name
from SegAutoPlanLib.runs import RunFolder, list_runs
from SegAutoPlanLib.schema import record, require, text
from SegAutoPlanLib.workspace import Workspace

from ..engine.warm_engine import startWarmEngine
from ..scene.scene_bridge import placeBeside, writeSegments
from ..scene.volume_files import checkChannels, checkFileEnding, readLabels, uncompressedEnding, writeVolume
from ..scene.voxel_grid import VoxelGrid

CASE = "case"
JOB_FILE = "segment.json"
JOBS_FOLDER = "segmentations"
"""Beside the run folders: the files of the jobs, one folder per job."""
LOOKED_AT_RUNS = 50
INPUT, OUTPUT = "SegAutoPlan.inputOf.", "SegAutoPlan.outputOf."
"""Beginnings of the attributes that tie a node to a run: several models may work on one volume."""


JOB = record({"model": text(), "files": text(), "volumeName": text(), "fileEnding": file_ending})
"""What segment.json says."""


@dataclass(frozen=True)
class SegmentationJob:
    """What was asked, as it stands in the run folder."""

    model: str
    folder: Path
    """Of the job's input/ and output/, which are removed when the result is in the scene."""
    volumeName: str
    fileEnding: str

    @classmethod
    def of(cls, run: RunFolder) -> SegmentationJob | None:
        """The job of a run, or None for a run that segments nothing for a scene (training, a shell's predict), also
        where the file is damaged: then nothing is known to belong to it."""
        try:
            document = read_json(run.path / JOB_FILE)
            require(JOB, document, run.path / JOB_FILE, "run the segmentation again")
        except UserInputError:
            return None
        # Whatever the file says: what is read and removed lies where jobs lie. (It once was a whole path.)
        jobs, given = _jobsFolder(run.path.parent), Path(document["files"])
        if problem_of_name(given.name) is not None or str(given) not in (given.name, str(jobs / given.name)):
            return None
        return cls(document["model"], jobs / given.name, document["volumeName"], document["fileEnding"])

    def write(self, run: RunFolder) -> None:
        """Note in the run folder what was asked."""
        document = {"model": self.model, "files": self.folder.name}
        write_json(run.path / JOB_FILE, {**document, "volumeName": self.volumeName, "fileEnding": self.fileEnding})

    @property
    def input(self) -> Path:
        return self.folder / "input"

    def inputs(self, channels: int) -> list[Path]:
        """The files of the volumes, in the order of the model's channels."""
        ending = uncompressedEnding(self.fileEnding)
        return [self.input / f"{CASE}_{channel:04d}{ending}" for channel in range(channels)]

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def result(self) -> Path:
        return self.output / f"{CASE}{self.fileEnding}"

    def remove(self) -> None:
        """Remove the volumes that were copied and the result: what was made for this job, and nothing beside it."""
        if self.folder.is_symlink():
            return
        for part in (self.input, self.output):
            if not part.is_symlink():
                shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def startSegmentation(
    volumeNodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    model: ModelFolder,
    outputSegmentation: slicer.vtkMRMLSegmentationNode | None,
    workspace: Workspace,
    mirroring: bool | None,
) -> RunFolder:
    """Write the input files and start the engine; returns as soon as its process is on its way.

    Raises:
        UserInputError: the volumes do not fit the model or each other, or the output cannot take the result.
    """
    checkSegmentation(volumeNodes, model, outputSegmentation)
    removeAbandonedFiles(workspace.runs)
    job = _writeInput(volumeNodes, model, workspace)
    arguments = ["predict", "--model", str(model.path), "--input", *map(str, job.inputs(len(volumeNodes)))]
    arguments += ["--output", str(job.output), "--checkpoint", model.best_checkpoint]
    if mirroring is not None:
        arguments.append("--mirroring" if mirroring else "--no-mirroring")
    try:
        run = startWarmEngine(arguments, workspace, f"segment_{_plainName(job.volumeName)}")
        job.write(run)
    except BaseException:
        job.remove()
        raise
    volumeNodes[0].SetAttribute(INPUT + run.name, "1")
    if outputSegmentation is not None:
        outputSegmentation.SetAttribute(OUTPUT + run.name, "1")
    return run


def checkSegmentation(
    volumeNodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
    model: ModelFolder,
    outputSegmentation: slicer.vtkMRMLSegmentationNode | None,
) -> None:
    """The check that comes before a segmentation; it gives nothing back.

    Raises:
        UserInputError: the volumes do not fit the model or each other, or the output cannot take the result.
    """
    if len(volumeNodes) != len(model.channel_names):
        raise UserInputError(
            f"{model.path}: the model needs {len(model.channel_names)} volumes ({', '.join(model.channel_names)}), "
            f"not {len(volumeNodes)}; choose one for each."
        )
    checkFileEnding(model.file_ending, model.path)
    checkChannels(volumeNodes)
    _checkOutput(outputSegmentation, volumeNodes[0], model)


def loadResult(run: RunFolder, anywhere: bool = False) -> slicer.vtkMRMLSegmentationNode:
    """Put the result of a finished run into the scene and remove the job's files.

    With `anywhere`, a result whose volume is no longer in the scene is placed by the geometry of its file alone.

    Raises:
        UserInputError: the run has no result to load, or its volume is not in this scene (and not `anywhere`).
    """
    job = SegmentationJob.of(run)
    if job is None or not job.result.is_file():
        raise UserInputError(f"{run.path}: there is no result to load; run the segmentation again.")
    volumeNode = inputVolume(run)
    if volumeNode is None and not anywhere:
        raise UserInputError(
            f"{job.volumeName}: the volume is no longer in the scene; its segmentation is kept in {job.result}."
        )
    labels, grid = readLabels(job.result)
    if volumeNode is not None:
        # NIfTI keeps geometry in single precision: the volume's own is the exact one, if it still has that grid.
        current = VoxelGrid.ofVolume(volumeNode)
        grid = current if labels.shape == current.sizeIjk[::-1] else grid
    model = ModelFolder.read(job.model)
    segmentationNode = _nodeWith(OUTPUT + run.name, "vtkMRMLSegmentationNode") or _newSegmentation(job)
    if volumeNode is not None:
        placeBeside(segmentationNode, volumeNode)
    writeSegments(segmentationNode, labels, grid, model.label_scheme.segments, model.appearances)
    segmentationNode.SetAttribute(OUTPUT + run.name, "1")
    removeFiles(run)
    return segmentationNode


def inputVolume(run: RunFolder) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The first channel of a run, if it is in the scene."""
    return _nodeWith(INPUT + run.name, "vtkMRMLScalarVolumeNode")


def resultWaits(run: RunFolder) -> bool:
    """Whether a run has given a result that nobody has loaded yet."""
    job = SegmentationJob.of(run)
    return job is not None and job.result.is_file()


def resultNode(run: RunFolder) -> slicer.vtkMRMLSegmentationNode | None:
    """The segmentation node that a run's result was put into, if that happened and it is in the scene."""
    job = SegmentationJob.of(run)
    if job is None or job.folder.exists():
        return None
    return _nodeWith(OUTPUT + run.name, "vtkMRMLSegmentationNode")


def removeFiles(run: RunFolder) -> None:
    """Remove the copies of the volumes and the result; the run folder with its log stays."""
    volumeNode = inputVolume(run)
    if volumeNode is not None:
        volumeNode.RemoveAttribute(INPUT + run.name)
    job = SegmentationJob.of(run)
    if job is not None:
        job.remove()


def removeAbandonedFiles(runsFolder: Path) -> None:
    """Remove the files of the latest jobs that have ended without a result while nobody was there to take note."""
    for run in list_runs(runsFolder, LOOKED_AT_RUNS):
        job = SegmentationJob.of(run) if (run.path / JOB_FILE).is_file() else None
        if job is not None and job.folder.is_dir() and run.state().status in ("stopped", "failed"):
            job.remove()


def _checkOutput(
    segmentationNode: slicer.vtkMRMLSegmentationNode | None,
    volumeNode: slicer.vtkMRMLScalarVolumeNode,
    model: ModelFolder,
) -> None:
    if segmentationNode is None or segmentationNode.GetTransformNodeID() == volumeNode.GetTransformNodeID():
        return
    segmentation = segmentationNode.GetSegmentation()
    renewed = {name for name, _ in model.label_scheme.segments}
    kept = [segmentation.GetSegment(i).GetName() for i in segmentation.GetSegmentIDs()]
    if set(kept) - renewed:
        raise UserInputError(
            f"{segmentationNode.GetName()} holds other segments and is under another transform than "
            f"{volumeNode.GetName()}, so they would move; choose a new segmentation."
        )


def _writeInput(
    volumeNodes: Sequence[slicer.vtkMRMLScalarVolumeNode], model: ModelFolder, workspace: Workspace
) -> SegmentationJob:
    # As run folders are: absolute, whatever the current folder will be.
    parent = _jobsFolder(workspace.runs.resolve())
    with in_sentences():
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{_plainName(volumeNodes[0].GetName())}_", dir=parent))
    job = SegmentationJob(
        model=str(model.path),
        folder=folder,
        volumeName=volumeNodes[0].GetName(),
        fileEnding=model.file_ending,
    )
    try:
        with in_sentences():
            for node, file in zip(volumeNodes, job.inputs(len(volumeNodes)), strict=True):
                writeVolume(node, file)
    except BaseException:
        job.remove()
        raise
    return job


def _jobsFolder(runsFolder: Path) -> Path:
    return runsFolder / JOBS_FOLDER


def _newSegmentation(job: SegmentationJob) -> slicer.vtkMRMLSegmentationNode:
    name = slicer.mrmlScene.GenerateUniqueName(f"{job.volumeName} segmentation")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    return node


def _nodeWith(attribute: str, className: str) -> slicer.vtkMRMLNode | None:
    return next((node for node in slicer.util.getNodesByClass(className) if node.GetAttribute(attribute)), None)


def _plainName(name: str) -> str:
    """`name` as a file name on every system: patients' and scanners' names hold anything."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name or "").strip("_")[:40] or "volume"
