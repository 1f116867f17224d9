"""What the user chose in the panel; saved with the scene."""

from __future__ import annotations

import enum
import re

import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScriptedModuleNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper


class Mirroring(enum.Enum):
    """Whether the network also sees every mirrored image (better, at 2 to 8 times the time)."""

    automatic = None
    on = True
    off = False

    def label(self) -> str:
        return {
            "automatic": _("Automatic (on with a GPU)"),
            "on": _("On (slower, often better)"),
            "off": _("Off (fast)"),
        }[self.name]


LENGTH = "channelVolumes.len"
LONGEST_PATH = 4096
POSSIBLE = {
    "mirroring": lambda text: text in Mirroring.__members__,
    LENGTH: lambda text: bool(re.fullmatch("[0-9]{1,3}", text)),
    "modelFolder": lambda text: len(text) <= LONGEST_PATH,
    "runFolder": lambda text: len(text) <= LONGEST_PATH,
}
"""Whether the text of a parameter can be what its type says."""
BEFORE_OTHERS = 1.0
"""Priority of an observer; the others have 0."""


@parameterNodeWrapper
class SegAutoPlanParameterNode:
    """The choices of all panels: panels that work on the same thing share its parameter.

    modelFolder - Folder of the trained model.
    channelVolumes - A volume for each channel of the model, in the model's order.
    outputSegmentation - Where the result goes; a new segmentation if none.
    mirroring - Test-time mirroring.
    runFolder - The segmentation that is shown: running, or the last one. What it does stands in that folder.
    """

    modelFolder: str
    channelVolumes: list[vtkMRMLScalarVolumeNode]
    outputSegmentation: vtkMRMLSegmentationNode
    mirroring: Mirroring
    runFolder: str


def keepSound(node: vtkMRMLScriptedModuleNode) -> None:
    """Take out of a parameter node, now and whenever a scene is read into it, what is no choice.

    A scene may come from anybody. The wrapper raises where it reads what it did not write, each time that it looks,
    and goes through a list of whatever length the node says.
    """
    node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, _event: _forgetImpossible(caller), BEFORE_OTHERS)
    _forgetImpossible(node)


def _forgetImpossible(node: vtkMRMLScriptedModuleNode) -> None:
    wrong = [name for name, isPossible in POSSIBLE.items() if not isPossible(node.GetParameter(name))]
    wrong = [name for name in wrong if node.HasParameter(name)]
    length = 0 if LENGTH in wrong else int(node.GetParameter(LENGTH) or 0)
    kinds = {f"channelVolumes.{index}": "vtkMRMLScalarVolumeNode" for index in range(length)}
    kinds["outputSegmentation"] = "vtkMRMLSegmentationNode"
    nodes = {name: node.GetNodeReference(name) for name in kinds}
    strange = [name for name, referred in nodes.items() if referred is not None and not referred.IsA(kinds[name])]
    if not wrong and not strange:
        return
    # One event, after all is right: whoever listens reads everything at each.
    modifying = node.StartModify()
    for name in wrong:
        node.UnsetParameter(name)
    for name in strange:
        node.RemoveNodeReferenceIDs(name)
    node.EndModify(modifying)
