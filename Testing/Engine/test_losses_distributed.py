"""Two processes that share a batch learn from every loss what one process with the whole batch would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.losses import LOSSES, build_loss
from SegAutoPlanLib.progress import Reporter
from SegAutoPlanLib.training.distributed import OverRanks, Ranks
from SegAutoPlanLib.training.launch import launch_ranks
from SegAutoPlanLib.training.sampling import positions_of_rank
from SegAutoPlanLib.training.targets import full_resolution_target

from .loss_formulas import IGNORING, LABELS, REGIONS, REGIONS_IGNORING

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED: several processes train on Linux only"
)

BATCH = 5
"""Which two processes cannot share evenly."""
SPACE = (5, 6, 7)
ANNOTATED = ("a slab of the first half", "nothing of the second half")
"""So that the processes do not count as many voxels, or one of them none."""


def batch(scheme: LabelScheme, annotated: str) -> tuple[Tensor, Tensor]:
    """Images and target."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH, 1, *SPACE, generator=generator)
    labels = torch.randint(0, max(scheme.expected_values) + 1, (BATCH, *SPACE), generator=generator)
    if annotated == "a slab of the first half":
        labels[:3, 1:] = scheme.ignore_label
    elif annotated == "nothing of the second half":
        labels[3:] = scheme.ignore_label
    return images, full_resolution_target(labels, scheme)


def cases() -> Iterator[tuple[str, LabelScheme, str, bool]]:
    for loss, scheme in product(LOSSES.values(), (LABELS, IGNORING, REGIONS, REGIONS_IGNORING)):
        if loss.fits(scheme):
            annotations = ("all",) if scheme.ignore_label is None else ANNOTATED
            yield from product((loss.name,), (scheme,), annotations, (False, True))


def learned(model: nn.Module, loss: nn.Module, images: Tensor, target: Tensor) -> tuple[float, list[Tensor]]:
    """The loss, and the gradient of every parameter."""
    model.zero_grad()
    value = loss(model(images), target)
    value.backward()
    return float(value), [parameter.grad.clone() for parameter in model.parameters()]


def compare_with_one_process(ranks: Ranks) -> list[str]:
    """What differs, a line per case."""
    different = []
    models = {}
    for heads in {scheme.head_count for scheme in (LABELS, REGIONS)}:
        torch.manual_seed(heads)
        network = nn.Conv3d(1, heads, 3, padding=1)
        models[heads] = network, DistributedDataParallel(network)
    mine = list(positions_of_rank(BATCH, ranks.rank, ranks.world))
    for name, scheme, annotated, whole_batch in cases():
        network, wrapped = models[scheme.head_count]
        images, target = batch(scheme, annotated)
        expected, slopes = learned(network, build_loss(name, scheme, whole_batch), images, target)
        loss = build_loss(name, scheme, whole_batch, OverRanks())
        value, gradients = learned(wrapped, loss, images[mine], target[mine])
        off = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(gradients, slopes, strict=True))
        if abs(value - expected) > 1e-6 * max(1, abs(expected)) or off > 1e-5:
            different.append(f"{name}, {scheme}, {annotated}, {whole_batch}: value {value - expected}, gradient {off}")
    return different


def gather_unequal_lengths(ranks: Ranks) -> None:
    mine = torch.arange(3.0 * ranks.rank, 3.0 * ranks.rank + 2 + ranks.rank, requires_grad=True)
    everything = OverRanks().gather(mine)
    assert everything.tolist() == [0, 1, 3, 4, 5]
    (everything * torch.arange(5.0) * (ranks.rank + 1)).sum().backward()
    assert mine.grad.tolist() == ([0, 3] if ranks.is_main else [6, 9, 12])
    flags = OverRanks().gather(torch.tensor([[ranks.is_main]] * (ranks.rank + 1)))
    assert flags.dtype == torch.bool
    assert flags.flatten().tolist() == [True, False, False]


def work(ranks: Ranks, _reporter: Reporter) -> list[str]:
    gather_unequal_lengths(ranks)
    different = compare_with_one_process(ranks)
    assert ranks.is_main or different == [], "the other process has another loss or gradient"
    return different


def test_the_losses_of_two_processes_equal_one(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert launch_ranks(work, 2, "cpu") == []
