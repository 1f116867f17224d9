"""What is to be trained: one fold of one configuration, as one record. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dataset_json import DatasetJson
from ..labels import LabelScheme
from ..models import PretrainedModel, checkpoint_path, fold_path
from ..number_format import NumberFormat
from ..planning.plan import Configuration, Plan
from .recipe import Recipe
from .time_budget import TimeBudget


@dataclass(frozen=True)
class TrainingTask:
    """Everything that a training starts from, and that its checkpoints say of it."""

    plan: Plan
    configuration_name: str
    """One of the plan's: `2d`, `3d_fullres` …"""
    fold: int | str
    """A number, or `all`."""
    dataset_json: DatasetJson
    recipe: Recipe
    seed: int
    preprocessed: Path
    """The configuration's folder of preprocessed cases."""
    training_cases: tuple[str, ...]
    validation_cases: tuple[str, ...]
    model_folder: Path
    """`…/Trainer__Plans__configuration`; the fold's folder is in it."""
    device: str = "auto"
    workers: int = 0
    """Processes that load batches ahead; with 0 the training does so itself."""
    resume: bool = False
    pretrained: PretrainedModel | None = None
    """What training takes the weights from that fit."""
    checkpoints: bool = True
    """Whether to write any but the final one."""
    number_format: NumberFormat | None = None
    """What a new training computes in; None is the device's usual format."""
    full_precision: bool = False
    """Whether one that goes on computes in float32 from there on, whatever it began in."""
    previous_stage: Path | None = None
    """For a cascade's second stage: the folder of the first one's labels of every case."""
    budget: TimeBudget | None = None
    """Until when, instead of the recipe's epochs."""
    validation_tiles: int = 0
    """Of the validation at the end, with their mirrored copies."""

    @property
    def configuration(self) -> Configuration:
        """What the plan says of it, where the recipe says nothing else."""
        return self.recipe.applied_to(self.plan.configuration(self.configuration_name))

    @property
    def label_scheme(self) -> LabelScheme:
        return self.dataset_json.label_scheme

    @property
    def channels(self) -> int:
        """Input channels of the network."""
        return self.configuration.input_channels(len(self.dataset_json.channel_names), self.label_scheme)

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """The spatial axes (transposed order) that training mirrors, and inference may."""
        return self.recipe.mirror_axes(len(self.configuration.patch_size))

    @property
    def fold_folder(self) -> Path:
        """Where checkpoints go."""
        return fold_path(self.model_folder, self.fold)

    def checkpoint(self, name: str) -> Path:
        """The file of the fold's checkpoint of that name."""
        return checkpoint_path(self.fold_folder, name)
