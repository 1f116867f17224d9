"""How long, how hard and on what to train: one frozen record. No torch needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..planning.plan import Configuration
from .mirroring import MIRRORINGS


@dataclass(frozen=True)
class Recipe:
    """Everything about a training that the plan does not decide. The defaults are nnU-Net's.

    What is named here is a row of a table of its own: a variant of nnU-Net is a row of `recipes.py`, and at most one
    function there. `recipe_rules.py` says what each field may be.
    """

    name: str = "default"
    epochs: int = 1000
    iterations_per_epoch: int = 250
    validation_iterations: int = 50
    batch_size: int | None = None
    """Samples per step; None is the plan's."""
    optimizer: str = "sgd"
    """A name of optimizers.OPTIMIZERS."""
    learning_rate: float = 1e-2
    momentum: float = 0.99
    """Of `sgd` alone; the others have moments of their own."""
    weight_decay: float = 3e-5
    gradient_clip: float = 12.0
    """The largest norm of a step's gradient."""
    schedule: str = "poly"
    """A name of schedules.SCHEDULES."""
    polynomial_power: float = 0.9
    """Of `poly` alone."""
    warmup_epochs: int = 0
    """Epochs in which the learning rate rises to its full value, before the schedule begins."""
    loss: str | None = None
    """A name of losses.LOSSES; None is the one that fits the labels."""
    deep_supervision: bool = True
    """Whether the loss sees every resolution of the decoder, or only the full one."""
    normalization: str = "instance"
    """A name of networks.blocks.NORMALIZATIONS: of each sample alone, or over the batch."""
    augmentation: str = "default"
    """A name of augmentation_presets.AUGMENTATIONS."""
    mirroring: str = "all"
    """A name of mirroring.MIRRORINGS: in training; inference may then mirror along the same axes."""
    oversampling: str = "last"
    """A name of sampling.OVERSAMPLINGS: which samples of a batch must contain foreground."""
    oversample_foreground: float = 0.33
    """Share of the samples that must."""
    benchmark: str = "off"
    """One of BENCHMARKS."""
    checkpoint_every: int = 50
    """Epochs between two `checkpoint_latest.pth`; a stop always writes one."""
    freeze: str = "none"
    """A name of freezing.FROZEN: what stays as it was at the start."""
    trainer_name: str = "nnUNetTrainer"
    """What nnU-Net's tools are told the trainer was: a class they know, whose network this one is."""
    results_name: str | None = None
    """The result folder's first part; None is the trainer's name, as in nnU-Net."""

    def mirror_axes(self, dimensions: int) -> tuple[int, ...]:
        """The spatial axes (transposed order) that are mirrored in training."""
        return MIRRORINGS[self.mirroring](dimensions)

    def applied_to(self, configuration: Configuration) -> Configuration:
        """A configuration of a plan with the batch and the network that this recipe trains."""
        return replace(
            configuration,
            batch_size=self.batch_size or configuration.batch_size,
            architecture=replace(configuration.architecture, normalization=self.normalization),
        )

    @property
    def is_benchmark(self) -> bool:
        """Whether only the time is asked for."""
        return self.benchmark != BENCHMARKS[0]

    @property
    def folder_name(self) -> str:
        """The first part of the name of the folder that its models go to."""
        return self.results_name or self.trainer_name


BENCHMARKS = ("off", "with_loading", "without_loading")
"""A benchmark measures the fastest epoch and keeps nothing else: no checkpoint, no validation of the fold. Without
loading, each step has the same random batch."""
