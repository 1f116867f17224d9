"""Whatever the parameter node of a stranger's scene says, reading it raises in no slot and takes no time."""

from __future__ import annotations

import time

import pytest

SPOILT = {
    "mirroring unknown": {"mirroring": "sometimes"},
    "mirroring of Python": {"mirroring": "__class__"},
    "mirroring empty": {"mirroring": ""},
    "length is text": {"channelVolumes.len": "x"},
    "length empty": {"channelVolumes.len": ""},
    "length negative": {"channelVolumes.len": "-5"},
    "length a fraction": {"channelVolumes.len": "1e3"},
    "length without volumes": {"channelVolumes.len": "3"},
    "length huge": {"channelVolumes.len": "300000000"},
    "length endless": {"channelVolumes.len": "9" * 5000},
    "run endless": {"runFolder": "x" * 100_000},
    "model endless": {"modelFolder": "y" * 100_000},
    "model of two lines": {"modelFolder": "/a\nb"},
    "model a device": {"modelFolder": "/dev/zero"},
    "run a process": {"runFolder": "/proc/self"},
}


@pytest.fixture
def write_scene(host, tmp_path):
    """A scene file whose parameter node says so; nodes are referred to by the names of parameters."""

    def write(parameters: dict[str, str], references: dict[str, str] | None = None):
        scene = host.slicer.vtkMRMLScene()
        node = host.slicer.vtkMRMLScriptedModuleNode()
        node.SetModuleName("SegAutoPlan")
        node.SetAttribute("ModuleName", "SegAutoPlan")
        node.SetSingletonTag("SegAutoPlan")
        scene.AddNode(node)
        for name, value in parameters.items():
            node.SetParameter(name, value)
        for name, kind in (references or {}).items():
            node.SetNodeReferenceID(name, scene.AddNewNodeByClass(kind).GetID())
        path = tmp_path / "hostile.mrml"
        scene.Commit(str(path))
        return path

    return write


def read_scene(host, path) -> None:
    """As Slicer adds a scene to what is there."""
    host.slicer.mrmlScene.SetURL(str(path))
    host.slicer.mrmlScene.Import()
    host.process_events(timeout_s=0.05)


@pytest.mark.parametrize("kind", SPOILT)
def test_choices_that_are_none_are_forgotten(host, panel, write_scene, kind):
    path = write_scene(SPOILT[kind])
    started = time.monotonic()
    read_scene(host, path)
    panel.widget.enter()
    parameters = panel.parameters()
    assert parameters.mirroring.name == "automatic"
    assert len(parameters.channelVolumes) <= 3
    assert len(parameters.modelFolder) < 5000
    assert len(panel.ui.problemLabel.text) < 500
    assert panel.segment.shownRun() is None
    assert time.monotonic() - started < 5


def test_nodes_of_another_kind_are_not_chosen(host, panel, write_scene):
    references = {"outputSegmentation": "vtkMRMLScalarVolumeNode", "channelVolumes.0": "vtkMRMLSegmentationNode"}
    path = write_scene({"channelVolumes.len": "1", "outputSegmentation": "", "channelVolumes.0": ""}, references)
    read_scene(host, path)
    panel.widget.enter()
    assert panel.parameters().outputSegmentation is None
    assert not any(volume and volume.IsA("vtkMRMLSegmentationNode") for volume in panel.parameters().channelVolumes)


def test_what_can_be_chosen_is_kept(host, panel, write_scene):
    read_scene(host, write_scene({"mirroring": "off", "modelFolder": "/models/mine", "channelVolumes.len": "0"}))
    panel.widget.enter()
    assert (panel.parameters().mirroring.value, panel.parameters().modelFolder) == (False, "/models/mine")
