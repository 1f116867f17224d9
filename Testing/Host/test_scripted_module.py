"""The life of a scripted module: loaded, shown, left, reloaded, unloaded. Runs on Slicer's own base classes too."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

MODULE = """
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin
from slicer.parameterNodeWrapper import parameterNodeWrapper

CALLS = []


@parameterNodeWrapper
class ToyParameterNode:
    volume: slicer.vtkMRMLScalarVolumeNode
    epochs: int = 3


class Toy(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Toy module")


class ToyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        form = slicer.util.loadUI(self.resourcePath("UI/Toy.ui"))
        self.layout.addWidget(form)
        self.ui = slicer.util.childWidgetVariables(form)
        form.setMRMLScene(slicer.mrmlScene)
        self.logic = ToyLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.parameterNode = self.logic.getParameterNode()
        self.guiTag = self.parameterNode.connectGui(self.ui)
        CALLS.append("setup")

    def enter(self):
        CALLS.append("enter")

    def exit(self):
        CALLS.append("exit")

    def cleanup(self):
        CALLS.append("cleanup")
        self.parameterNode.disconnectGui(self.guiTag)
        self.removeObservers()

    def onApply(self, checked):
        CALLS.append("apply")

    def onSceneEndClose(self, caller, event):
        CALLS.append("scene closed")


class ToyLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return ToyParameterNode(super().getParameterNode())


class ToyTest(ScriptedLoadableModuleTest):
    def setUp(self):
        slicer.mrmlScene.Clear()

    def test_something(self):
        CALLS.append("tested")
        self.delayDisplay("done")
"""

UI = """
<ui version="4.0"><class>Toy</class><widget class="qMRMLWidget" name="Toy"><layout class="QFormLayout">
<item row="0" column="0"><widget class="ctkCollapsibleButton" name="section">
 <property name="text"><string>Inputs</string></property><property name="collapsed"><bool>true</bool></property>
 <layout class="QFormLayout">
  <item row="0" column="0"><widget class="QSpinBox" name="epochs">
   <property name="SlicerParameterName" stdset="0"><string>epochs</string></property></widget></item>
  <item row="1" column="0"><widget class="ctkPathLineEdit" name="folder">
   <property name="filters"><set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set></property></widget></item>
  <item row="2" column="0"><widget class="qMRMLNodeComboBox" name="volume">
   <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
   <property name="noneEnabled"><bool>true</bool></property>
   <property name="SlicerParameterName" stdset="0"><string>volume</string></property></widget></item>
 </layout></widget></item>
<item row="1" column="0"><widget class="QPushButton" name="applyButton"/></item>
</layout></widget>
<connections><connection><sender>Toy</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>volume</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""


@pytest.fixture
def toy(host, tmp_path):
    """The Python widget of a freshly loaded module, and the list of what was called."""
    import sys

    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Toy.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    (tmp_path / "Resources" / "UI" / "Toy.ui").write_text(UI.strip(), encoding="utf-8")
    widget = host.load_module(tmp_path / "Toy.py")
    yield widget
    host.unload_module("Toy")
    assert "Toy" not in sys.modules


def calls():
    import sys

    return sys.modules["Toy"].CALLS


def test_a_shown_module_is_set_up_and_entered_once(toy):
    import slicer

    assert calls() == ["setup", "enter"]
    assert slicer.modules.toy.title == "Toy module"
    assert slicer.util.getModuleWidget("Toy") is toy
    assert slicer.util.getModuleLogic("Toy") is toy.logic
    assert slicer.util.selectedModule() == "Toy"
    assert toy.parent.isEntered


def test_the_ui_file_has_its_widgets_scene_and_flags(toy):
    import ctk
    import slicer

    assert type(toy.ui.volume) is slicer.qMRMLNodeComboBox
    assert toy.ui.volume.mrmlScene() is slicer.mrmlScene
    assert toy.ui.folder.filters == ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Readable
    assert toy.ui.section.collapsed is True
    assert not toy.ui.epochs.visible
    toy.ui.section.collapsed = False
    assert toy.ui.epochs.visible


def test_parameters_reach_the_widgets_and_back(toy):
    import slicer

    assert toy.ui.epochs.value == 3
    toy.ui.epochs.value = 8
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    toy.ui.volume.setCurrentNode(volume)
    again = type(toy.logic)().getParameterNode()
    assert again.epochs == 8
    assert again.volume is volume


def test_a_click_reaches_the_module(toy):
    toy.ui.applyButton.click()
    assert calls()[-1] == "apply"


def test_closing_the_scene_reaches_the_module(toy, host):
    host.close_scene()
    assert calls()[-1] == "scene closed"


def test_a_reloaded_module_is_cleaned_up_and_set_up_again(toy):
    import sys

    import slicer

    old_calls = calls()
    toy.onReload()
    assert old_calls == ["setup", "enter", "cleanup"]
    assert calls()[0] == "setup"
    assert slicer.modules.ToyWidget is not toy
    assert type(slicer.modules.ToyWidget) is sys.modules["Toy"].ToyWidget


def test_the_self_test_runs_from_the_registry(toy):
    import slicer

    slicer.selfTests["Toy"](msec=0)
    assert calls()[-1] == "tested"


def test_an_unloaded_module_is_cleaned_up(host, tmp_path):
    (tmp_path / "Brief.py").write_text(
        "from slicer.ScriptedLoadableModule import *\n"
        "CLEANED = []\n"
        "class Brief(ScriptedLoadableModule): pass\n"
        "class BriefWidget(ScriptedLoadableModuleWidget):\n"
        "    def cleanup(self): CLEANED.append(True)\n",
        encoding="utf-8",
    )
    widget = host.load_module(tmp_path / "Brief.py")
    cleaned = __import__(type(widget).__module__).CLEANED
    host.unload_module("Brief")
    assert cleaned == [True]


def test_a_ui_file_with_an_unknown_widget_is_refused(host, tmp_path):
    import slicer

    path = tmp_path / "x.ui"
    path.write_text(UI.strip().replace("ctkPathLineEdit", "ctkFancyThing"), encoding="utf-8")
    with pytest.raises(ValueError, match="ctkFancyThing"):
        slicer.util.loadUI(str(path))


def test_a_ui_file_that_connects_what_is_not_there_is_refused(host, tmp_path):
    import slicer

    path = tmp_path / "x.ui"
    path.write_text(UI.strip().replace("<receiver>volume", "<receiver>volumes"), encoding="utf-8")
    with pytest.raises(ValueError, match="volumes"):
        slicer.util.loadUI(str(path))


def test_slicers_own_template_module_runs(host):
    """The code that every Slicer developer starts from: its panel, parameters, observers and .ui file."""
    sources = os.environ.get("SLICER_SOURCE_DIR")
    if not sources:
        pytest.skip("NOT TESTED: Slicer's template module is in its sources, which SLICER_SOURCE_DIR would name")
    import slicer

    template = Path(sources) / "Utilities" / "Templates" / "Modules" / "Scripted" / "TemplateKey.py"
    widget = host.load_module(template)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert widget.ui.applyButton.enabled is False
    widget.ui.inputSelector.setCurrentNode(volume)
    widget.ui.outputSelector.addNode()
    assert widget.ui.applyButton.enabled is True
    widget.ui.imageThresholdSliderWidget.value = 42
    assert widget.logic.getParameterNode().imageThreshold == 42
    host.close_scene()
    assert widget.ui.applyButton.enabled is False
    host.unload_module("TemplateKey")
