"""The qMRML widgets follow the scene."""

from __future__ import annotations

import pytest


@pytest.fixture
def selector(host):
    import slicer

    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    widget.noneEnabled = True
    widget.setMRMLScene(slicer.mrmlScene)
    yield widget
    widget.setMRMLScene(None)


@pytest.fixture
def volumes(host):
    import slicer

    return [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("A", "B")]


def offered(selector):
    return [selector.nodeFromIndex(index) for index in range(selector.nodeCount())]


def test_a_selector_offers_the_nodes_of_its_type(selector, volumes):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    assert offered(selector) == volumes
    assert selector.currentNode() is None


def test_a_label_map_is_a_scalar_volume_unless_child_types_are_hidden(selector, volumes):
    import slicer

    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert offered(selector) == [*volumes, labels]
    selector.showChildNodeTypes = False
    assert offered(selector) == volumes


def test_hidden_nodes_are_offered_only_on_request(selector, volumes):
    volumes[0].SetHideFromEditors(True)
    assert offered(selector) == [volumes[1]]
    selector.showHidden = True
    assert offered(selector) == volumes


def test_an_attribute_filters(selector, volumes):
    volumes[1].SetAttribute("Role", "model")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Role", "model")
    assert offered(selector) == [volumes[1]]


def test_choosing_is_announced_once(selector, volumes):
    seen = []

    def note(node):
        seen.append(node)

    selector.connect("currentNodeChanged(vtkMRMLNode*)", note)
    selector.setCurrentNode(volumes[1])
    selector.setCurrentNode(volumes[1])
    assert seen == [volumes[1]]
    assert selector.currentNodeID == volumes[1].GetID()


def test_a_removed_node_is_no_longer_chosen(selector, volumes):
    import slicer

    selector.setCurrentNode(volumes[0])
    slicer.mrmlScene.RemoveNode(volumes[0])
    assert selector.currentNode() is None


@pytest.mark.parametrize("none_enabled", [True, False])
def test_no_node_is_chosen_by_itself(selector, volumes, none_enabled):
    import slicer

    selector.noneEnabled = none_enabled
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert selector.currentNode() is None


def test_a_node_made_by_the_user_is_chosen(selector):
    import slicer

    selector.baseName = "Result"
    node = selector.addNode()
    assert selector.currentNode() is node
    assert node.GetName() == "Result"
    assert slicer.mrmlScene.IsNodePresent(node)


def test_closing_the_scene_empties_the_selector(selector, volumes, host):
    selector.setCurrentNode(volumes[0])
    host.close_scene()
    assert offered(selector) == []
    assert selector.currentNode() is None


def test_checked_nodes_stay_checked_when_others_come_and_go(host, volumes):
    import qt
    import slicer

    checkable = slicer.qMRMLCheckableNodeComboBox()
    checkable.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    checkable.setMRMLScene(slicer.mrmlScene)
    checkable.setCheckState(volumes[1], qt.Qt.Checked)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "C")
    slicer.mrmlScene.RemoveNode(volumes[0])
    assert checkable.checkedNodes() == [volumes[1]]
    assert len(checkable.uncheckedNodes()) == 1
    checkable.setMRMLScene(None)


def test_show_3d_makes_and_removes_the_surfaces(host):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(3, 1)
    image.GetPointData().GetScalars().Fill(1)
    node.AddSegmentFromBinaryLabelmapRepresentation(image, "ball")
    button = slicer.qMRMLSegmentationShow3DButton()
    assert button.enabled is False
    button.setSegmentationNode(node)
    button.click()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    button.click()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_a_plot_follows_its_table(host):
    import numpy as np
    import slicer

    nodes = {}
    chart = slicer.util.plot(np.array([[0, 3.0], [1, 1.0]]), 0, ["epoch", "loss"], show=False, nodes=nodes)
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    view.SetPlotChartNodeID(chart.GetID())
    plot = slicer.qMRMLPlotWidget()
    plot.setMRMLScene(slicer.mrmlScene)
    plot.setMRMLPlotViewNode(view)
    plot.resize(300, 200)
    before = plot.grab().toImage()
    slicer.util.updateTableFromArray(nodes["table"], np.array([[0, 3.0], [1, 1.0], [2, 0.1]]), ["epoch", "loss"])
    nodes["table"].Modified()
    assert plot.grab().toImage() != before
    plot.setMRMLPlotViewNode(None)


def test_a_widget_that_the_host_has_not_says_so(host):
    import ctk
    import slicer

    with pytest.raises(NotImplementedError, match="ctkRangeWidget"):
        ctk.ctkRangeWidget()
    with pytest.raises(NotImplementedError, match="qMRMLSpinBox"):
        slicer.qMRMLSpinBox()
