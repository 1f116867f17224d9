"""The "Runs" section: everything that runs or ran in the workspace, whoever started it."""

from __future__ import annotations

import re
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from SegAutoPlanLib.errors import UserInputError, in_sentences
from SegAutoPlanLib.runs import RunFolder, RunState, RunWatcher, list_runs

from ...engine.poll_timer import PollTimer
from ...engine.run_follower import cancel
from ...engine.run_words import outcomeOf, runningStatus, shortName, timeLeft
from ...jobs.segmentation_job import loadResult, resultWaits
from ...parameters import SegAutoPlanParameterNode
from ..panel import loadSection, plainText, plainToolTip

UI_FILE = Path(__file__).with_name("runs.ui")
BUNDLE = re.compile(r"\.[A-Za-z]+$")
SHOWN_RUNS = 20
SHOWN_LETTERS = 120
"""Of a cell; its tool tip shows more."""
REFRESH_MILLISECONDS = 2000


class RunsPanel:
    """Lists the runs of a folder, newest first, and stops or loads the chosen one."""

    def __init__(self, runsFolder: Path) -> None:
        self.widget, self.ui = loadSection(UI_FILE)
        self._runsFolder = runsFolder
        self._runs: list[RunFolder] = []
        self._rows: list[tuple[str, str]] = []
        self._watchers: dict[Path, RunWatcher] = {}
        self._states: dict[Path, RunState] = {}
        self._refusals: dict[Path, tuple[bool, str]] = {}
        """By run: whether it was over, and why its process could not be ended or its result not be loaded."""
        self._timer = PollTimer(self.refresh, REFRESH_MILLISECONDS)
        ui = self.ui
        # In a narrow panel both columns are seen, if not whole; their tool tips are.
        ui.runsTreeWidget.header().setSectionResizeMode(qt.QHeaderView.Stretch)
        ui.runsTreeWidget.connect("itemSelectionChanged()", self._showButtons)
        ui.loadRunButton.connect("clicked(bool)", self._onLoad)
        ui.stopRunButton.connect("clicked(bool)", self._onStop)
        ui.openRunButton.connect("clicked(bool)", self._onOpen)

    def setParameters(self, parameters: SegAutoPlanParameterNode | None) -> None:
        """The runs are the same whatever is chosen, but what can be loaded depends on the scene."""
        self.refresh()

    def enter(self) -> None:
        self.refresh()
        self._timer.start()

    def exit(self) -> None:
        self._timer.stop()

    def release(self) -> None:
        self._timer.release()

    def refresh(self) -> None:
        """Look what is new in the run folders."""
        chosen = self._chosen()
        self._runs = list_runs(self._runsFolder, SHOWN_RUNS)
        self._watchers = {run.path: self._watchers.get(run.path) or run.watch() for run in self._runs}
        self._states = {path: watcher.poll() for path, watcher in self._watchers.items()}
        running = sum(not state.over for state in self._states.values())
        self.ui.runsCollapsibleButton.text = _("Runs ({count} running)").format(count=running) if running else _("Runs")
        rows = [(run.name, self._refusal(run) or inWords(run, self._states[run.path])) for run in self._runs]
        if rows != self._rows:
            self._rows = rows
            self._fill(chosen)
        self._showButtons()

    def _refusal(self, run: RunFolder) -> str:
        over, refusal = self._refusals.get(run.path, (None, ""))
        return refusal if over == self._states[run.path].over else ""

    def _fill(self, chosen: RunFolder | None) -> None:
        tree = self.ui.runsTreeWidget
        tree.clear()
        for run, texts in zip(self._runs, self._rows, strict=True):
            item = qt.QTreeWidgetItem()
            # The date would take the room of what a run does.
            for column, (text, whole) in enumerate(zip((shortName(run.name), texts[1]), texts, strict=True)):
                item.setText(column, plainText(text, SHOWN_LETTERS))
                item.setToolTip(column, plainToolTip(whole))
            tree.addTopLevelItem(item)
            if chosen is not None and run.path == chosen.path:
                tree.setCurrentItem(item)

    def _chosen(self) -> RunFolder | None:
        tree = self.ui.runsTreeWidget
        row = tree.indexOfTopLevelItem(tree.currentItem()) if tree.currentItem() else -1
        return self._runs[row] if 0 <= row < len(self._runs) else None

    def _showButtons(self) -> None:
        run = self._chosen()
        state = self._states[run.path] if run is not None else None
        self.ui.loadRunButton.enabled = state is not None and _canLoad(run, state)
        self.ui.stopRunButton.enabled = state is not None and not state.over
        self.ui.openRunButton.enabled = run is not None

    def _onLoad(self, _checked: bool = False) -> None:
        run = self._chosen()
        try:
            with slicer.util.WaitCursor(), in_sentences():
                loadResult(run, anywhere=True)
        except UserInputError as error:
            self._refusals[run.path] = (True, str(error))
        self.refresh()

    def _onStop(self, _checked: bool = False) -> None:
        run = self._chosen()
        try:
            cancel(run, self._watchers[run.path].poll())
        except UserInputError as error:
            self._refusals[run.path] = (False, str(error))
        self.refresh()

    def _onOpen(self, _checked: bool = False) -> None:
        path = self._chosen().path
        # macOS starts a folder that is called like an application.
        folder = path.parent if BUNDLE.search(path.name) else path
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))


def inWords(run: RunFolder, state: RunState) -> str:
    """One line on how a run stands."""
    if state.status == "stopping":
        return _("stopping")
    if not state.over:
        return f"{100 * state.done // state.total}%, {timeLeft(state)}" if state.total else runningStatus(state)
    if state.status == "finished":
        return _("finished, not loaded yet") if _canLoad(run, state) else _("finished")
    return outcomeOf(state)


def _canLoad(run: RunFolder, state: RunState) -> bool:
    return state.status == "finished" and resultWaits(run)
