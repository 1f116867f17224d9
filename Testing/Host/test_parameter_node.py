"""The parameter node wrapper: typed values in a real node, and widgets that follow it. Runs on Slicer's own too."""

import enum
import pathlib
from typing import Annotated

import numpy as np
import pytest


class Fold(enum.Enum):
    FIRST = "first"
    ALL = "all"


@pytest.fixture
def Parameters(host):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        folder: pathlib.Path
        epochs: Annotated[int, WithinRange(1, 1000)] = 50
        step: Annotated[float, Minimum(0.0)] = 0.5
        name: str = "run"
        mirror: bool = False
        fold: Fold
        device: Annotated[str, Choice(["auto", "cpu"]), Default("auto")]
        cases: list[str]
        seed: int | None

    return Parameters


@pytest.fixture
def parameters(Parameters):
    import slicer

    return Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_defaults_come_from_the_class_body(parameters):
    assert (parameters.epochs, parameters.step, parameters.name, parameters.mirror) == (50, 0.5, "run", False)
    assert parameters.volume is None
    assert parameters.folder == pathlib.Path()
    assert parameters.fold is Fold.FIRST
    assert parameters.device == "auto"
    assert list(parameters.cases) == []
    assert parameters.seed is None


def test_what_is_written_is_read_back(parameters):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    values = {
        "volume": volume,
        "folder": pathlib.Path("/a b/ü"),
        "epochs": 7,
        "step": 0.25,
        "name": "x",
        "mirror": True,
        "fold": Fold.ALL,
        "device": "cpu",
        "seed": 3,
    }
    for name, value in values.items():
        setattr(parameters, name, value)
    assert {name: getattr(parameters, name) for name in values} == values


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("step", -1.0), ("device", "tpu")])
def test_a_value_outside_its_annotation_is_refused(parameters, name, value):
    with pytest.raises(ValueError):
        setattr(parameters, name, value)


@pytest.mark.parametrize(("name", "value"), [("epochs", "7"), ("folder", "/text"), ("mirror", None)])
def test_a_value_of_another_type_is_refused(parameters, name, value):
    before = getattr(parameters, name)
    with pytest.raises((TypeError, ValueError)):
        setattr(parameters, name, value)
    assert getattr(parameters, name) == before


def test_a_list_changed_in_place_is_stored(parameters, Parameters):
    parameters.cases = ["a", "b", "c"]
    parameters.cases.append("d")
    del parameters.cases[0]
    assert list(Parameters(parameters.parameterNode).cases) == ["b", "c", "d"]


def test_the_scene_file_keeps_the_parameters(parameters, Parameters, host, tmp_path):
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.int16), name="Head")
    parameters.volume = volume
    parameters.epochs = 9
    parameters.cases = ["a", "b"]
    from Testing.Host import save_scene
    from Testing.Host.scene_files import load_scene

    save_scene(tmp_path / "scene.mrb")
    assert load_scene(slicer.mrmlScene, tmp_path / "scene.mrb")
    # The singleton nodes of modules that were opened before outlive their scene.
    nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
    [again] = [Parameters(node) for node in nodes if node.HasParameter("epochs")]
    assert again.volume.GetName() == "Head"
    assert again.epochs == 9
    assert list(again.cases) == ["a", "b"]


def test_a_removed_node_reads_as_none(parameters):
    import slicer

    parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.mrmlScene.RemoveNode(parameters.volume)
    assert parameters.volume is None


def test_it_is_the_implementation_that_was_asked_for(host):
    import os

    import slicer.parameterNodeWrapper

    folder = os.environ.get("SLICER_SOURCE_DIR") or pathlib.Path(__file__).parent / "slicer_files"
    assert pathlib.Path(folder) in pathlib.Path(slicer.parameterNodeWrapper.__file__).parents


def _widgets(qt, ctk, slicer):
    selector = slicer.qMRMLNodeComboBox()
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    return {
        "volume": selector,
        "folder": ctk.ctkPathLineEdit(),
        "epochs": qt.QSpinBox(),
        "step": qt.QDoubleSpinBox(),
        "name": qt.QLineEdit(),
        "mirror": qt.QCheckBox(),
        "fold": qt.QComboBox(),
        "device": qt.QComboBox(),
    }


@pytest.fixture
def panel(parameters):
    """A form with one widget a parameter, connected by the dynamic property."""
    import ctk
    import qt
    import slicer

    form = qt.QWidget()
    layout = qt.QFormLayout(form)
    form_widgets = _widgets(qt, ctk, slicer)
    for name, widget in form_widgets.items():
        widget.setProperty("SlicerParameterName", name)
        layout.addRow(name, widget)
    tag = parameters.connectGui(form)
    yield form_widgets
    parameters.disconnectGui(tag)
    form.deleteLater()


def test_widgets_show_what_the_node_holds(parameters, panel):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.volume = volume
    parameters.folder = pathlib.Path("/data")
    parameters.epochs = 200
    parameters.step = 0.125
    parameters.name = "long run"
    parameters.mirror = True
    parameters.fold = Fold.ALL
    parameters.device = "cpu"
    assert panel["volume"].currentNode() is volume
    assert panel["folder"].currentPath == str(pathlib.Path("/data"))
    assert panel["epochs"].value == 200
    assert panel["step"].value == pytest.approx(0.12, abs=0.011)  # a QDoubleSpinBox shows two decimals
    assert panel["name"].text == "long run"
    assert panel["mirror"].checked is True
    assert panel["fold"].currentText == "ALL"
    assert panel["device"].currentText == "cpu"


def test_the_node_holds_what_the_user_sets(parameters, panel):
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    panel["volume"].setCurrentNode(volume)
    panel["folder"].currentPath = "/data"
    panel["epochs"].value = 200
    panel["step"].value = 0.25
    panel["name"].text = "long run"
    panel["mirror"].click()
    panel["fold"].currentIndex = 1
    panel["device"].currentIndex = 1
    assert parameters.volume is volume
    assert parameters.folder == pathlib.Path("/data")
    assert (parameters.epochs, parameters.step, parameters.name) == (200, 0.25, "long run")
    assert parameters.mirror is True
    assert parameters.fold is Fold.ALL
    assert parameters.device == "cpu"


def test_annotations_bound_the_widgets(panel):
    assert (panel["epochs"].minimum, panel["epochs"].maximum) == (1, 1000)


def test_a_disconnected_gui_no_longer_writes(parameters, Parameters):
    import qt

    box = qt.QSpinBox()
    tag = parameters.connectParametersToGui({"epochs": box})
    parameters.disconnectGui(tag)
    box.value = 99
    assert parameters.epochs == 50


def test_a_widget_that_cannot_show_a_type_is_refused(parameters):
    import qt

    with pytest.raises(RuntimeError):
        parameters.connectParametersToGui({"epochs": qt.QLineEdit()})
