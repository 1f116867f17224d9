"""The planners: one method, and a row of numbers for each size of graphics card and kind of network."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UserInputError

BASE_FEATURES = 32
MINIMUM_BATCH_SIZE = 2
FULL_PLANS_NAME = "nnUNetPlans"


@dataclass(frozen=True)
class Planner:
    """The numbers in which nnU-Net's planners differ.

    `reference_2d` and `reference_3d` count feature-map voxels of one sample; a network with that many
    trains in `reference_gb` of GPU memory with the reference batch (12 images, or 2 volumes).
    """

    name: str
    nnunet_class: str
    plans_name: str
    network: str
    """`plain` or `residual`, see plan.Architecture."""
    reference_2d: float
    reference_3d: float
    reference_gb: float
    encoder_blocks: tuple[int, ...]
    """Of the first stages; deeper ones repeat the last number."""
    decoder_convs: int
    batch_covers_at_most: float
    """Part of the dataset's voxels that one batch may hold."""
    shrinks_to_batch_of_two: bool
    """Whether the patch is shrunk only until two of them fit (else until the whole reference batch does)."""
    shares_plain_data: bool
    """Whether 2d and 3d_fullres use the plain planner's preprocessed folders, whatever the plans' name."""

    def reference(self, dimensions: int, gpu_memory_gb: float) -> float:
        """How many feature-map voxels of one sample fit, with the reference batch, into that memory."""
        return (self.reference_2d if dimensions == 2 else self.reference_3d) * (gpu_memory_gb / self.reference_gb)

    def blocks(self, stages: int) -> tuple[int, ...]:
        return tuple(self.encoder_blocks[min(stage, len(self.encoder_blocks) - 1)] for stage in range(stages))


def reference_batch_size(dimensions: int) -> int:
    """With how many images (2-D) or volumes (3-D) the reference voxels were counted."""
    return 12 if dimensions == 2 else 2


def maximum_features(dimensions: int) -> int:
    """Features of the deepest stages at most (nnU-Net's bound for 2-D and 3-D)."""
    return 512 if dimensions == 2 else 320


def _residual(name: str, size: str, reference_2d: float, reference_3d: float, reference_gb: float) -> Planner:
    return Planner(
        name=name,
        nnunet_class=f"nnUNetPlannerResEnc{size}",
        plans_name=f"nnUNetResEncUNet{size}Plans",
        network="residual",
        reference_2d=reference_2d,
        reference_3d=reference_3d,
        reference_gb=reference_gb,
        encoder_blocks=(1, 3, 4, 6),
        decoder_convs=1,
        batch_covers_at_most=1,
        shrinks_to_batch_of_two=False,
        shares_plain_data=True,
    )


PLANNERS = {
    planner.name: planner
    for planner in (
        Planner(
            name="plain",
            nnunet_class="ExperimentPlanner",
            plans_name=FULL_PLANS_NAME,
            network="plain",
            reference_2d=85e6,
            reference_3d=560e6,
            reference_gb=8,
            encoder_blocks=(2,),
            decoder_convs=2,
            batch_covers_at_most=0.05,
            shrinks_to_batch_of_two=True,
            shares_plain_data=False,
        ),
        _residual("resenc-m", "M", 135e6, 680e6, 8),
        _residual("resenc-l", "L", 380e6, 2.1e9, 24),
        _residual("resenc-xl", "XL", 560e6, 3.6e9, 40),
    )
}

STAND_INS = {"plain": "plain", "residual": "resenc-l"}
"""By kind of network, the planner whose rates an unknown one is taken to have."""


def planner_named(name: str) -> Planner:
    """The planner with our name (`resenc-m`) or nnU-Net's (`nnUNetPlannerResEncM`).

    Raises:
        UserInputError: there is none of that name.
    """
    for planner in PLANNERS.values():
        if name in (planner.name, planner.nnunet_class):
            return planner
    raise UserInputError(f"There is no planner {name!r}; choose one of {', '.join(PLANNERS)}.")


def planner_or_stand_in(nnunet_class: str, network: str) -> Planner:
    """The planner with nnU-Net's name, or one of the same kind of network where it is not among ours."""
    known = {planner.nnunet_class: planner for planner in PLANNERS.values()}
    return known.get(nnunet_class) or PLANNERS[STAND_INS[network]]
