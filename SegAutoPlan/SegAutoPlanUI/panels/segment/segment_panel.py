"""The "Segment" section: choices in, the run's state out. It remembers nothing of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.runs import RunFolder, RunState, known_run

from ...engine.dependency_installer import InstallError, installTorch, missingSentence
from ...engine.engine_process import torchInstalled
from ...engine.run_follower import RunFollower, cancel
from ...jobs.segmentation_following import followSegmentation, stopFollowing
from ...jobs.segmentation_job import resultNode, resultWaits
from ...parameters import SegAutoPlanParameterNode
from ..panel import loadSection, plainText, plainToolTip
from .channel_selectors import ChannelSelectors
from .segment_choices import SegmentChoices
from .segment_view import SegmentView, viewOf

UI_FILE = Path(__file__).with_name("segment.ui")
LOG_LINES = 200
CHANNELS_ROW = 2
"""Below the model folder and what the model is."""


class SegmentPanel:
    """Drives the widgets of the segment section from a parameter node and the run folder that it names.

    `startRun(volumes, modelFolder, outputSegmentation=..., mirroring=...)` starts a segmentation and returns its run.
    """

    def __init__(self, startRun: Callable[..., RunFolder], runsFolder: Path) -> None:
        self.widget, self.ui = loadSection(UI_FILE)
        self._startRun = startRun
        self._runsFolder = runsFolder
        self._parameters: SegAutoPlanParameterNode | None = None
        self._choices = SegmentChoices.of(None)
        self._follower: RunFollower | None = None
        self._notice = ""
        ui = self.ui
        self._channels = ChannelSelectors(ui.segmentFormLayout, CHANNELS_ROW, self._onChannelsChosen)
        ui.modelFolderPathLineEdit.connect("currentPathChanged(QString)", self._onModelFolderChosen)
        ui.segmentButton.connect("clicked(bool)", self._onSegmentButton)
        ui.installButton.connect("clicked(bool)", self._onInstallButton)
        ui.logCollapsibleButton.connect("contentsCollapsed(bool)", self._onLogCollapsed)

    def setParameters(self, parameters: SegAutoPlanParameterNode | None) -> None:
        self._parameters = parameters
        self._notice = ""
        if parameters is not None and not any(parameters.channelVolumes):
            # Save a click: most often there is one volume.
            parameters.channelVolumes = _scalarVolumes()[:1]
        self.refresh()

    def refresh(self) -> None:
        self._choices = SegmentChoices.of(self._parameters)
        self._attach(self.shownRun())
        self._render()

    def enter(self) -> None:
        """Nothing: `setParameters` has just looked at everything."""

    def exit(self) -> None:
        """Nothing: the run is followed further, so that its result arrives in the scene."""

    def release(self) -> None:
        self._stopFollowing()

    def shownRun(self) -> RunFolder | None:
        """The run that the scene names, if it is one of this workspace."""
        if self._parameters is None or not self._parameters.runFolder:
            return None
        return known_run(self._runsFolder, self._parameters.runFolder)

    def _attach(self, run: RunFolder | None) -> None:
        shown = self._follower is not None and run is not None and self._follower.run.path == run.path
        # One that seemed lost (another computer's, a network that was away) may have come back.
        if shown and self._follower.state.status != "lost":
            return
        self._stopFollowing()
        if run is not None:
            # Also a run that has ended is looked at once: its result may have come while nobody was there.
            self._follower = followSegmentation(run, self._onFinished, self._onState)
            self._follower.poll()

    def _stopFollowing(self) -> None:
        if self._follower is not None:
            stopFollowing(self._follower)
            self._follower = None

    def _state(self) -> RunState | None:
        return self._follower.state if self._follower is not None else None

    def _onState(self, _state: RunState) -> None:
        self._render()

    def _onFinished(self, _node: slicer.vtkMRMLSegmentationNode | None, _error: str | None) -> None:
        self._render()

    def _onChannelsChosen(self, volumes: list[slicer.vtkMRMLScalarVolumeNode | None]) -> None:
        if self._parameters is not None:
            self._parameters.channelVolumes = volumes

    def _onModelFolderChosen(self, folder: str) -> None:
        if self._parameters is not None and self._parameters.modelFolder != folder:
            self._parameters.modelFolder = folder

    def _onSegmentButton(self, _checked: bool = False) -> None:
        if self._follower is not None:
            self._follower.poll()
        state = self._state()
        if state is None or state.over:
            self._start()
        else:
            self._cancel(state)
        self.refresh()

    def _cancel(self, state: RunState) -> None:
        try:
            cancel(self._follower.run, state)
        except UserInputError as error:
            self._notice = str(error)
        self._follower.poll()

    def _start(self) -> None:
        self._notice = ""
        self.ui.modelFolderPathLineEdit.addCurrentPathToHistory()
        try:
            with slicer.util.WaitCursor():
                run = self._startRun(
                    self._choices.volumes,
                    self._parameters.modelFolder,
                    outputSegmentation=self._parameters.outputSegmentation,
                    mirroring=self._parameters.mirroring.value,
                )
        except UserInputError as error:
            self._notice = str(error)
            return
        self._parameters.runFolder = str(run.path)

    def _onInstallButton(self, _checked: bool = False) -> None:
        try:
            installTorch()
        except InstallError as error:
            self._notice = str(error)
        self.refresh()

    def _onLogCollapsed(self, _collapsed: bool) -> None:
        self._showLog(self.shownRun())

    def _render(self) -> None:
        ui, choices = self.ui, self._choices
        torch = torchInstalled()
        problem = (None if torch else missingSentence()) or choices.problem
        run = self.shownRun()
        result = resultNode(run) if run else None
        view = viewOf(
            problem,
            self._state(),
            resultWaits=run is not None and resultWaits(run),
        )
        folder = self._parameters.modelFolder if self._parameters else ""
        if ui.modelFolderPathLineEdit.currentPath != folder:
            ui.modelFolderPathLineEdit.currentPath = folder
        ui.modelSummaryLabel.text = plainText(choices.model.summary) if choices.model else ""
        ui.modelSummaryLabel.visible = choices.model is not None
        if self._parameters is not None:  # while the scene closes the selectors empty themselves
            self._channels.show(choices.model.channel_names if choices.model else (_("Volume"),), choices.volumes)
        ui.missingWidget.visible = not torch
        ui.missingLabel.text = missingSentence()
        self._showView(view)
        ui.problemLabel.text = plainText(choices.problem or "")
        ui.problemLabel.visible = bool(choices.problem) and not view.progressVisible
        ui.show3DButton.setSegmentationNode(result)
        ui.show3DButton.enabled = result is not None
        self._showLog(run)

    def _showView(self, view: SegmentView) -> None:
        ui = self.ui
        ui.segmentButton.text = view.buttonText
        ui.segmentButton.enabled = view.buttonEnabled
        ui.segmentButton.toolTip = plainToolTip(view.buttonToolTip)
        ui.progressBar.visible = view.progressVisible
        ui.progressBar.maximum = view.progressTotal
        ui.progressBar.value = view.progressDone
        ui.progressBar.format = view.progressText
        status = self._notice or view.status
        ui.statusLabel.text = plainText(status)
        ui.statusLabel.visible = bool(status)

    def _showLog(self, run: RunFolder | None) -> None:
        edit = self.ui.logTextEdit
        if self.ui.logCollapsibleButton.collapsed:
            return
        text = run.log_tail(LOG_LINES) if run else ""
        if edit.plainText != text:  # leave the user's selection and scroll position alone otherwise
            edit.plainText = text
            edit.verticalScrollBar().value = edit.verticalScrollBar().maximum


def _scalarVolumes() -> list[slicer.vtkMRMLScalarVolumeNode]:
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [volume for volume in volumes if not volume.IsA("vtkMRMLLabelMapVolumeNode")]
