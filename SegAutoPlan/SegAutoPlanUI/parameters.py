"""What the user chose in the panel; saved with the scene."""

from __future__ import annotations

import enum

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
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
