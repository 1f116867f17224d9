"""`predict`: images through a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserInputError
from ..inference import SegmentCasesOptions, load_ensemble
from ..inference.ensemble import Ensemble, require_alike
from ..inference.predict import cases_to_do, segment_all
from ..inference.tiling import LOWEST_STEP_SIZE, MAX_TILES
from ..models import ModelFolder
from ..models.names import folds_to_average
from ..number_format import AUTOMATIC, PRECISION_CHOICES
from ..progress import SILENT, Reporter
from ..schema import either, nothing, number, one_of, whole
from ..shortcuts import Shortcuts
from ..workspace import Workspace
from .kept_model import KeptModel, key_of
from .option_rules import ADDRESS, MINUTES, require_option
from .predict_on_cluster import predict_on_cluster

KEPT_FOR_CASES = 20
"""How many more images a model that stays loaded is expected to see."""


@dataclass(frozen=True)
class PredictOptions:
    """Which images, which model, and how."""

    model: Path | Sequence[Path]
    """The folder `…/Trainer__Plans__configuration`; the probabilities of several are averaged."""
    input: Sequence[Path]
    """One folder of `CASE_0000.ending` files, or the channel files of one case in channel order."""
    output: Path
    folds: Sequence[int | str] | None = None
    """Which folds to average; None: all numbered ones that have the checkpoint."""
    checkpoint: str = "final"
    step_size: float = 0.5
    """Distance of neighbouring tiles as a fraction of their size."""
    use_gaussian: bool = True
    """Whether the middle of a tile counts more than its border, where tiles overlap."""
    mirroring: bool | None = None
    """Average over mirrored copies; None: where there is a GPU."""
    device: str = "auto"
    save_probabilities: bool = False
    previous_stage: Path | None = None
    """Folder of a cascade's first-stage segmentations; None: the first stage is run as well."""
    previous_model: Path | None = None
    """The first stage's model folder; None: the sibling of the same trainer and plans."""
    skip_existing: bool = False
    """Keep results that are there and complete."""
    overwrite: bool = False
    """Work in a folder of somebody else's files too, and replace them where names are the same."""
    part: tuple[int, int] = (1, 1)
    """(K, N): do the K-th of N parts, every N-th case."""
    scheduler: str | None = None
    """Address of a Dask cluster's scheduler that works on the cases instead of this computer."""
    precision: str = AUTOMATIC
    """`auto`: the number format that is the fastest here and gives the same labels; `full`: float32."""
    skip_air: bool = False
    """Inexact, as are the next two: tiles without body are background."""
    coarse_step_above: int | None = None
    """An image of more tiles is segmented with a larger step, as far as needed."""
    time_limit: float | None = None
    """Minutes per image, after which only what is not covered yet is computed."""

    def __post_init__(self) -> None:
        require_option("--scheduler", self.scheduler, either(nothing, ADDRESS))
        require_option("--step-size", self.step_size, number(LOWEST_STEP_SIZE, 1))
        require_option("--precision", self.precision, one_of(*PRECISION_CHOICES))
        require_option("--coarse-step-above", self.coarse_step_above, either(nothing, whole(1, MAX_TILES)))
        require_option("--time-limit", self.time_limit, MINUTES)
        if self.folds is not None:
            object.__setattr__(self, "folds", folds_to_average(self.folds))
        if not self.models:
            raise UserInputError("--model: give a model folder, or several.")
        if self.previous_stage is not None and self.previous_model is not None:
            raise UserInputError(
                "--previous-stage and --previous-model: the first stage's segmentations are either there or to be "
                "made; give one of the two."
            )

    @property
    def models(self) -> tuple[Path, ...]:
        """The model folders."""
        return (self.model,) if isinstance(self.model, (str, Path)) else tuple(self.model)

    @property
    def shortcuts(self) -> Shortcuts:
        """What is left out."""
        return Shortcuts(self.skip_air, self.coarse_step_above, self.time_limit)

    @property
    def networks(self) -> dict[str, Any]:
        """What `load_ensemble` takes beside the folders."""
        return {
            "folds": self.folds,
            "checkpoint": self.checkpoint,
            "previous_model": self.previous_model,
            "with_first_stage": self.previous_stage is None,
            "device": self.device,
            "mirroring": self.mirroring,
            "step_size": self.step_size,
            "use_gaussian": self.use_gaussian,
            "precision": self.precision,
            "shortcuts": self.shortcuts,
        }


@dataclass(frozen=True)
class Predicted:
    """The segmentations that were written."""

    files: tuple[Path, ...]
    inexact: str = ""
    """The options that made them other than the model's; empty where they are exact."""


def predict(
    workspace: Workspace, options: PredictOptions, reporter: Reporter = SILENT, kept: KeptModel | None = None
) -> Predicted:
    """Segment images and write the segmentations on their grids.

    Args:
        kept: what an earlier call may have loaded, and what stays loaded for the next one.

    Raises:
        UserInputError: the model, an image or an option cannot be worked with; nothing is left behind then.
        StopRequested: between two tiles; finished cases stay.
    """
    if not options.input:
        raise UserInputError("--input: give a folder of images, or the channel files of one case.")
    inputs = options.input[0] if len(options.input) == 1 else options.input
    choices = SegmentCasesOptions(
        options.save_probabilities, options.previous_stage, options.skip_existing, options.overwrite, options.part
    )
    models = [ModelFolder.read(folder) for folder in options.models]
    inexact = options.shortcuts.in_words()
    # Before the weights: what is wrong with the folders is said at once.
    require_alike(models)
    with cases_to_do(models, inputs, options.output, choices) as todo:
        if options.scheduler is not None:
            files = predict_on_cluster(models, todo, options.networks, options.scheduler, reporter)
            return Predicted(files, inexact)
        cases = len(todo.cases) + (0 if kept is None else KEPT_FOR_CASES)

        def load() -> Ensemble:
            return load_ensemble(models, **options.networks, formats_file=workspace.formats_file, cases=cases)

        ensemble = load() if kept is None else kept.get(key_of(models, workspace, options), load)
        return Predicted(tuple(segment_all(ensemble, todo, reporter)), inexact)
