# ruff: noqa: PT009, PT027 - the self test runs inside Slicer, which has unittest but no pytest

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

if TYPE_CHECKING:
    from SegAutoPlanLib.dataset import IntegrityReport
    from SegAutoPlanLib.planning import Plan

# Run from a source checkout, Slicer has only this module's folder on its path; installed, this changes nothing.
if importlib.util.find_spec("SegAutoPlanLib") is None:
    sys.path.append(str(Path(__file__).resolve().parent.parent))

from SegAutoPlanUI.engine.engine_process import defaultWorkspaceFolder, startEngine
from SegAutoPlanUI.engine.warm_engine import warmEngine
from SegAutoPlanUI.jobs.application_events import resultOf, waitFor
from SegAutoPlanUI.jobs.segmentation_following import followSegmentation
from SegAutoPlanUI.jobs.segmentation_job import startSegmentation
from SegAutoPlanUI.panels.panel import Panel
from SegAutoPlanUI.panels.runs import RunsPanel
from SegAutoPlanUI.panels.segment import SegmentPanel
from SegAutoPlanUI.parameters import SegAutoPlanParameterNode, keepSound
from SegAutoPlanUI.scene.dataset_export import exportDataset

from SegAutoPlanLib.errors import UserInputError, in_sentences
from SegAutoPlanLib.models import ModelFolder
from SegAutoPlanLib.runs import RunFolder, RunState
from SegAutoPlanLib.workspace import Workspace

#
# SegAutoPlan
#


class SegAutoPlan(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("SegAutoPlan")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations"]
        self.parent.contributors = ["SegAutoPlan contributors"]
        self.parent.helpText = _(
            "Train a segmentation network on your own labelled images and apply it: SegAutoPlan plans, trains and "
            "segments by itself. Nothing leaves this computer. Not a medical device. See the "
            '<a href="https://github.com/SegAutoPlan/SlicerSegAutoPlan">documentation</a>.'
        )
        self.parent.acknowledgementText = _(
            "The method and the file formats are those of nnU-Net (Isensee et al., Nature Methods 2021)."
        )


#
# SegAutoPlanWidget
#


class SegAutoPlanWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Puts the panels below each other and tells them what happens: parameters, scene, shown, hidden, reloaded."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panels: tuple[Panel, ...] = ()
        self._parameterNode = None
        self._guiTags: list[int] = []

    def setup(self) -> None:
        """Make the panels; called once, when the module is first opened or reloaded."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SegAutoPlanLogic()
        self.panels = (
            SegmentPanel(self.logic.segment, self.logic.workspace.runs),
            RunsPanel(self.logic.workspace.runs),
        )
        for panel in self.panels:
            self.layout.addWidget(panel.widget)
        self.layout.addStretch(1)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndCloseOrImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndCloseOrImport)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Let the panels go; what runs goes on without them."""
        self._disconnectParameterNode()
        self.removeObservers()
        for panel in self.panels:
            panel.release()
            # Slicer only hides the widgets of before a reload; they would keep their panel alive by its slots.
            panel.widget.deleteLater()
        self.panels = ()

    def enter(self) -> None:
        """Show the truth each time the module is opened: files may have changed meanwhile."""
        self.initializeParameterNode()
        for panel in self.panels:
            panel.enter()

    def exit(self) -> None:
        """Stop reacting to the parameter node while another module is shown."""
        self._disconnectParameterNode()
        for panel in self.panels:
            panel.exit()

    def onReload(self) -> None:
        """Reload the libraries too; Slicer reloads only this file."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("SegAutoPlanLib", "SegAutoPlanUI")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)

    def onSceneEndCloseOrImport(self, caller, event) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: SegAutoPlanParameterNode | None) -> None:
        self._disconnectParameterNode()
        self._parameterNode = parameterNode
        if parameterNode is not None:
            # In the .ui files the dynamic property SlicerParameterName connects a widget to its parameter.
            self._guiTags = [parameterNode.connectGui(panel.widget) for panel in self.panels]
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)
        for panel in self.panels:
            panel.setParameters(parameterNode)

    def _disconnectParameterNode(self) -> None:
        if self._guiTags:
            for tag in self._guiTags:
                self._parameterNode.disconnectGui(tag)
            self._guiTags = []
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParameterNodeModified)

    def _onParameterNodeModified(self, caller, event) -> None:
        if not slicer.mrmlScene.IsBatchProcessing():
            for panel in self.panels:
                panel.refresh()


#
# SegAutoPlanLogic
#


class SegAutoPlanLogic(ScriptedLoadableModuleLogic):
    """Everything the panel can do, for scripts too.

    Example::

        logic = SegAutoPlanLogic()
        logic.exportDataset([(volume, segmentation)], "/data/raw/Dataset001_Liver")
        print(logic.checkDataset("/data/raw/Dataset001_Liver"))
        print(logic.plan("/data/raw/Dataset001_Liver"))
        run = logic.startTraining("/data/raw/Dataset001_Liver", "3d_fullres", fold=0)
        logic.segment([volume], modelFolder, onFinished=lambda segmentation, error: print(segmentation or error))

    All long work is another process's and has a run folder; `run.state()` tells how far it is, also after a restart
    of Slicer. Segmentations share one process, which ends with Slicer (see `releaseEngine`). What the user gave and
    cannot be worked with raises `SegAutoPlanLib.errors.UserInputError`, whose message is for the user.
    """

    def __init__(self, workspaceFolder: Path | str | None = None) -> None:
        """`workspaceFolder`: where datasets, models and runs are; see engine_process.py for the default."""
        ScriptedLoadableModuleLogic.__init__(self)
        self.workspaceFolder = Path(workspaceFolder or defaultWorkspaceFolder())
        self.workspace = Workspace.at(self.workspaceFolder)
        self._soundNode: slicer.vtkMRMLScriptedModuleNode | None = None

    def getParameterNode(self) -> SegAutoPlanParameterNode:
        node = super().getParameterNode()
        if node is not self._soundNode:
            keepSound(node)
            self._soundNode = node
        return SegAutoPlanParameterNode(node)

    def exportDataset(
        self,
        pairs: Sequence[tuple],
        folder: Path | str,
        channelNames: Sequence[str] | None = None,
        fileEnding: str = ".nii.gz",
    ) -> Path:
        """Write [(volume or volumes, segmentation), ...] of the scene as a raw dataset; see dataset_export.py."""
        return exportDataset(pairs, folder, channelNames, fileEnding)

    def checkDataset(self, folder: Path | str) -> IntegrityReport:
        """Every problem of a raw dataset, in one report; `str()` of it is for people. The window answers meanwhile."""
        from SegAutoPlanLib.dataset import IntegrityReport, Problem

        found = resultOf(self._start("check", folder))
        return IntegrityReport(
            dataset=found["dataset"],
            case_count=found["case_count"],
            problems=tuple(Problem(**problem) for problem in found["problems"]),
        )

    def plan(self, folder: Path | str, options: Sequence[str] = ()) -> Plan:
        """The training plan of a raw dataset; `str()` of it explains it in words. The window answers meanwhile.

        `options` are those of `plan` on the command line.
        """
        from SegAutoPlanLib.planning import plan_path, read_plan

        found = resultOf(self._start("plan", folder, *options))
        name = self.workspace.dataset_name(self.workspace.raw_folder(folder))
        made = read_plan(plan_path(self.workspace.preprocessed / name, found["plans_name"]))
        caveats = tuple(warning for warning in found["warnings"] if warning not in made.warnings)
        return replace(made, explanation=tuple(found["explanation"]), caveats=caveats)

    def startTraining(
        self, folder: Path | str, configuration: str = "3d_fullres", fold: int | str = 0, options: Sequence[str] = ()
    ) -> RunFolder:
        """Start training and return its run at once; `options` are those of `train` on the command line."""
        return self._start("train", folder, configuration, str(fold), *options)

    def inspectModel(self, path: Path | str) -> dict[str, Any]:
        """What a model's folder or zip archive is, before anybody trusts it; see `ModelReport.to_json`.

        Nothing of it is executed or unpacked. The window answers meanwhile.
        """
        return resultOf(self._run("inspect-model", Path(path)))

    def importModel(self, path: Path | str, name: str | None = None, overwrite: bool = False) -> list[Path]:
        """Take the models of a folder or zip archive into the workspace: all, or none. Returns their folders.

        `name` is what their dataset is to be called here, e.g. `Dataset123_Liver`. The window answers meanwhile.
        """
        named = [] if name is None else ["--name", name]
        found = resultOf(self._run("import-model", Path(path), *named, *(["--overwrite"] if overwrite else [])))
        return [Path(folder) for folder in found["models"]]

    def exportModel(self, model: Path | str, output: Path | str, options: Sequence[str] = ()) -> Path:
        """Pack a model's folder, or all models of a dataset, into a zip archive, which nnU-Net installs, too.

        `options` are those of `export-model` on the command line. The window answers meanwhile.
        """
        output = Path(output).absolute()
        model = Path(model).absolute() if Path(model).is_dir() else Path(model)
        resultOf(self._run("export-model", model, "--output", str(output), *options))
        return output

    def _start(self, verb: str, folder: Path | str, *arguments: str) -> RunFolder:
        return self._run(verb, self.workspace.raw_folder(folder), *arguments)

    def _run(self, verb: str, path: Path, *arguments: str) -> RunFolder:
        where = ["--workspace", str(self.workspaceFolder)]
        with in_sentences():
            return startEngine([verb, str(path), *arguments, *where], self.workspace, f"{verb}_{path.name}")

    def segment(
        self,
        volumes: Sequence[slicer.vtkMRMLScalarVolumeNode],
        modelFolder: Path | str,
        outputSegmentation: slicer.vtkMRMLSegmentationNode | None = None,
        onFinished: Callable[[slicer.vtkMRMLSegmentationNode | None, str | None], None] | None = None,
        mirroring: bool | None = None,
    ) -> RunFolder:
        """Segment a case (a volume a channel of the model), after those started before; returns its run at once.

        When the run has finished, the result is put into `outputSegmentation` (or a new node) on the volume's grid
        and under its transform, and `onFinished(segmentation, None)` is called; without a result it is
        `onFinished(None, sentence)`. Needs Qt's event loop, as Slicer has it; a script may call `waitFor(run)`.

        Args:
            mirroring: average over mirrored images; None: where there is a GPU.
        """
        with in_sentences():
            model = ModelFolder.read(modelFolder)
            run = startSegmentation(volumes, model, outputSegmentation, self.workspace, mirroring)
        followSegmentation(run, onFinished)
        return run

    def releaseEngine(self) -> None:
        """Give back the memory of the model that stays loaded for the next segmentation, once no more are running.

        It goes by itself after a while without work (see the README), and with Slicer.
        """
        warmEngine().release()

    def waitFor(self, run: RunFolder, timeoutSeconds: float | None = None) -> RunState:
        """Keep the application going until a run has ended, and its result is loaded; returns the state then."""
        return waitFor(run, timeoutSeconds)


#
# SegAutoPlanTest
#


class SegAutoPlanTest(ScriptedLoadableModuleTest):
    """The self test that anyone can run in Slicer: Developer tools > Reload and Test."""

    def runTest(self) -> None:
        for test in (self.test_anExportedDatasetHasNoProblems, self.test_aWrongModelFolderIsOneSentence):
            slicer.mrmlScene.Clear()
            test()
        self.delayDisplay("SegAutoPlan: passed")

    def test_anExportedDatasetHasNoProblems(self) -> None:
        """Two drawn cases become a dataset that training would accept."""
        import numpy as np

        pairs = []
        for number in (1, 2):
            array = np.random.default_rng(number).normal(100, 10, (12, 14, 16)).astype(np.float32)
            volume = slicer.util.addVolumeFromArray(
                array, ijkToRAS=np.diag([-1.0, -2.0, 3.0, 1.0]), name=f"case {number}"
            )
            segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
            segmentId = segmentation.GetSegmentation().AddEmptySegment("", "block")
            mask = np.zeros(array.shape, np.uint8)
            mask[3:6, 4:9, 5:11] = 1
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segmentId, volume)
            pairs.append((volume, segmentation))
        with tempfile.TemporaryDirectory() as folder:
            logic = SegAutoPlanLogic(folder)
            report = logic.checkDataset(logic.exportDataset(pairs, Path(folder) / "raw" / "Dataset001_Blocks"))
        self.assertEqual(report.errors, ())
        self.assertEqual(report.case_count, 2)

    def test_aWrongModelFolderIsOneSentence(self) -> None:
        """What cannot be worked with is said, and nothing is started."""
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(UserInputError, "dataset.json"):
            SegAutoPlanLogic(folder).segment([], folder)
