"""Every loss trains: from scratch, on real images, to a segmentation of images that it has not seen."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from SegAutoPlanLib.labels import LabelScheme
from SegAutoPlanLib.losses import LOSSES, build_loss
from SegAutoPlanLib.training.metrics import confusion_counts, dice_of_counts
from SegAutoPlanLib.training.targets import full_resolution_target

from ..Demo.icbm import read_template

TISSUES = LabelScheme((("background", 0), ("grey matter", 1), ("white matter", 2)))
BRAIN = LabelScheme((("background", 0), ("brain", (1, 2)), ("white matter", 2)), (1, 2))
STEPS, BATCH = 30, 4
SLICES = slice(50, 130, 4)
"""Axial, through the brain; every other one trains, the others are held out."""


@pytest.fixture(scope="module")
def slices() -> tuple[torch.Tensor, torch.Tensor]:
    """Heads (n, 1, y, x) and their tissues (n, y, x), at 3 mm in plane."""
    head, tissues = (sitk.GetArrayFromImage(image)[SLICES, ::3, ::3] for image in read_template())
    images = torch.from_numpy(head.astype(np.float32))[:, None]
    return (images - images.mean()) / images.std(), torch.from_numpy(tissues.astype(np.int64))


def small_network(heads: int) -> nn.Module:
    torch.manual_seed(0)
    widths = (1, 12, 12, 12)
    layers = [
        layer
        for before, after in pairwise(widths)
        for layer in (nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after, affine=True), nn.LeakyReLU())
    ]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], heads, 1))


def held_out_dice(network: nn.Module, scheme: LabelScheme, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean Dice of the foreground."""
    target = full_resolution_target(labels[1::2], scheme)
    with torch.no_grad():
        return float(np.mean(dice_of_counts(confusion_counts(network(images[1::2]), target, scheme))))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_finds_the_tissues_in_slices_that_were_held_out(name, slices):
    scheme = TISSUES if LOSSES[name].for_labels else BRAIN
    images, labels = slices
    target = full_resolution_target(labels, scheme)
    network = small_network(scheme.head_count)
    assert held_out_dice(network, scheme, images, labels) < 0.4
    loss = build_loss(name, scheme, batch_dice=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        chosen = 2 * torch.randint(0, len(images) // 2, (BATCH,), generator=generator)
        optimizer.zero_grad()
        loss(network(images[chosen]), target[chosen]).backward()
        optimizer.step()
    assert held_out_dice(network, scheme, images, labels) > 0.5
