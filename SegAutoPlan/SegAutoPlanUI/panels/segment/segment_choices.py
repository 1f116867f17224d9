"""What is chosen in the panel, and why it cannot be segmented yet, if so."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
from slicer.i18n import tr as _

from SegAutoPlanLib.errors import UserInputError, in_sentences
from SegAutoPlanLib.models import ModelFolder

from ...jobs.segmentation_job import checkSegmentation
from ...parameters import SegAutoPlanParameterNode

MOST_CHANNELS = 100


@dataclass(frozen=True)
class SegmentChoices:
    """The parameter node's choices, read and checked."""

    model: ModelFolder | None
    volumes: tuple[slicer.vtkMRMLScalarVolumeNode | None, ...]
    """One a channel of the model; None where nothing is chosen."""
    problem: str | None
    """Why segmenting cannot start, in one sentence."""

    @classmethod
    def of(cls, parameters: SegAutoPlanParameterNode | None) -> SegmentChoices:
        if parameters is None:
            return cls(None, (), _("The scene is being closed."))
        volumes = tuple(parameters.channelVolumes)
        if not parameters.modelFolder.strip():
            return cls(None, volumes[:1] or (None,), _("Choose the folder of a trained model."))
        try:
            with in_sentences():
                model = ModelFolder.read(parameters.modelFolder.strip())
        except UserInputError as error:
            return cls(None, volumes[:1] or (None,), str(error))
        count = len(model.channel_names)
        if count > MOST_CHANNELS:
            words = _("{folder}: the model needs {count} volumes, more than can be chosen here; use the command line.")
            return cls(None, volumes[:1] or (None,), words.format(folder=model.path, count=count))
        volumes = (*volumes[:count], *[None] * (count - len(volumes)))
        for name, volume in zip(model.channel_names, volumes, strict=True):
            if volume is None:
                return cls(model, volumes, _('Choose the volume for "{channel}".').format(channel=name))
        try:
            checkSegmentation(volumes, model, parameters.outputSegmentation)
        except UserInputError as error:
            return cls(model, volumes, str(error))
        return cls(model, volumes, None)
