"""Memory that a network or a volume needs: known before it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from SegAutoPlanLib import machine
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.networks import build_network
from SegAutoPlanLib.planning import PLANNERS, Architecture, Plan, budget, plan_experiments
from SegAutoPlanLib.training import Recipe
from SegAutoPlanLib.training.optimizers import MOMENTS, OPTIMIZERS

from .planning_fixtures import fingerprint_like, liver


def plan_of(planner: str, shape: tuple[int, int, int] = (432, 512, 512)) -> Plan:
    dataset = liver()
    return plan_experiments(fingerprint_like(dataset, shape), dataset, planner)


def narrow(architecture: Architecture) -> Architecture:
    """The same network with a few features, which is built in an instant."""
    return replace(architecture, features_per_stage=tuple(3 + 2 * (f // 64) for f in architecture.features_per_stage))


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize(("in_channels", "heads"), [(1, 3), (4, 2)])
def test_parameters_are_counted_as_the_network_has_them(planner, in_channels, heads):
    for configuration in plan_of(planner).configurations.values():
        architecture = narrow(configuration.architecture)
        network = build_network(architecture, in_channels, heads)
        counted = sum(parameter.numel() for parameter in network.parameters())
        assert budget.parameter_count(architecture, in_channels, heads) == counted


def test_parameters_of_a_whole_network():
    architecture = plan_of("resenc-m").configurations["3d_fullres"].architecture
    network = build_network(architecture, 2, 5)
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert budget.parameter_count(architecture, 2, 5) == counted


def test_a_network_that_no_computer_like_this_can_train_is_a_sentence_with_numbers(monkeypatch):
    monkeypatch.setattr(budget, "total_memory", lambda: 24 << 30)
    full = plan_of("plain").configurations["3d_fullres"]
    ask = (full.architecture, 1, 3, full.patch_size)
    budget.require_network_fits(*ask, full.batch_size, "mine, 3d_fullres", training=True)
    with pytest.raises(UserInputError, match=r"^mine, 3d_fullres: a training step .* needs about [\d,]+ GB, .* 24 GB"):
        budget.require_network_fits(*ask, 5000, "mine, 3d_fullres", training=True)
    budget.require_network_fits(*ask, 5000, "mine, 3d_fullres", training=False)
    budget.require_network_fits(*ask, 5000, "mine, 3d_fullres", training=True, device="cuda")


def test_a_step_that_does_not_fit_says_what_is_missing_and_which_batch_or_planner_fits(monkeypatch):
    full = plan_of("resenc-m").configurations["3d_fullres"]
    ask = (full.architecture, 1, 3, full.patch_size)
    monkeypatch.setattr(budget, "total_memory", lambda: 24 << 30)
    with pytest.raises(UserInputError) as refusal:
        budget.require_network_fits(*ask, 100, "mine", training=True)
    words = r"size of 100 .* 24 GB; about (\d+) GB are missing: a batch_size of at most (\d+) fits .* or plan with"
    missing, largest = map(int, re.search(words, str(refusal.value)).groups())
    needed = [budget.training_bytes(*ask, batch) for batch in (100, largest, largest + 1)]
    assert missing == needed[0] - (24 << 30) >> 30
    assert needed[1] <= 24 << 30 < needed[2]
    assert str(refusal.value).endswith("plan with --planner resenc-m.")
    budget.require_network_fits(*ask, largest, "mine", training=True)
    monkeypatch.setattr(budget, "total_memory", lambda: 1 << 30)
    with pytest.raises(UserInputError, match="not even a batch_size of 1 fits; plan with --gpu-memory-gb 1"):
        budget.require_network_fits(*ask, 2, "mine", training=True)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_an_optimiser_remembers_is_counted_as_it_has_it(optimizer):
    weight = torch.nn.Parameter(torch.ones(1000))
    made = OPTIMIZERS[optimizer]([weight], Recipe(optimizer=optimizer))
    weight.sum().backward()
    made.step()
    [remembered] = made.state.values()
    assert sum(value.numel() > 1 for value in remembered.values()) == MOMENTS[optimizer]
    architecture = plan_of("plain").configurations["3d_fullres"].architecture
    counted = [budget.training_bytes(architecture, 1, 3, (64,) * 3, 2, moments) for moments in (0, MOMENTS[optimizer])]
    assert counted[1] - counted[0] == 4 * MOMENTS[optimizer] * budget.parameter_count(architecture, 1, 3)


def test_weights_that_do_not_fit_are_refused_on_every_device(monkeypatch):
    monkeypatch.setattr(budget, "total_memory", lambda: 24 << 30)
    full = plan_of("plain").configurations["3d_fullres"]
    wide = replace(full.architecture, features_per_stage=(100_000,) * 6)
    for device in ("cpu", "cuda"):
        with pytest.raises(UserInputError, match=r"needs about [\d,]+ GB, but this computer has 24 GB"):
            budget.require_network_fits(wide, 1, 3, full.patch_size, 2, "mine", training=False, device=device)


def test_the_estimates_are_near_what_the_planner_reserves():
    """Which is for half precision; a refusal is for what is beyond the machine, not for what might be."""
    for planner in PLANNERS:
        for configuration in plan_of(planner).configurations.values():
            needed = budget.training_bytes(
                configuration.architecture, 1, 3, configuration.patch_size, configuration.batch_size
            )
            assert needed < 2 * PLANNERS[planner].reference_gb * 2**30
            assert needed > budget.inference_bytes(configuration.architecture, 1, 3, configuration.patch_size)


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_step_keeps_as_much_as_is_counted(planner):
    """Measured: the storages that the way back refers to, each once."""
    configuration = plan_of(planner).configurations["3d_fullres"]
    architecture, patch = narrow(configuration.architecture), (64, 64, 64)
    network = build_network(architecture, 1, 3)
    network.deep_supervision = True
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network(torch.zeros(2, 1, *patch))
    # The loss keeps the logits and what the softmax made of them; gradient and momentum are made on the way back.
    measured = sum(kept.values()) + 2 * outputs[0].nbytes
    counted = budget.training_bytes(architecture, 1, 3, patch, 2) - 8 * budget.parameter_count(architecture, 1, 3)
    assert 0.9 * measured < counted < 1.01 * measured


@pytest.mark.parametrize("strides", [((1, 1, 1),), ((1, 1, 1), (2, 2, 2))])
def test_networks_that_cannot_be_computed_are_sentences(strides):
    count = len(strides)
    architecture = Architecture("plain", (4,) * count, ((3, 3, 3),) * count, strides, (1,) * count, (1,) * (count - 1))
    with pytest.raises(UserInputError, match=r"^mine: .* (single resolution|single voxel)"):
        budget.require_network_fits(architecture, 1, 2, (2, 2, 2), 1, "mine", training=True)


def test_a_volume_that_no_computer_like_this_can_hold_is_a_sentence_with_numbers(monkeypatch):
    monkeypatch.setattr(budget, "total_memory", lambda: 24 << 30)
    budget.require_volume_fits((1000, 1000, 1000), 1, 4, "the resampled image", "case_1")
    with pytest.raises(
        UserInputError,
        match=r"^case_1: the resampled image of 9,000 × 9,000 × 9,000 voxels needs about 2,715 GB, "
        r"but this computer has 24 GB; correct the voxel size",
    ):
        budget.require_volume_fits((9000, 9000, 9000), 1, 4, "the resampled image", "case_1")
    with pytest.raises(UserInputError, match="more than a billion GB"):
        budget.require_volume_fits((10**30, 9000, 9000), 1, 4, "the resampled image", "case_1")


def test_where_the_system_does_not_tell_its_memory_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(budget, "total_memory", lambda: None)
    budget.require_volume_fits((10**9, 10**9, 10**9), 1, 4, "the resampled image", "case_1")


def test_all_memory_is_at_least_what_is_free():
    total, free = machine.total_memory(), machine.available_memory()
    assert total is not None
    assert free is not None
    assert total >= free > 0


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: Windows knows no such limit")
def test_a_limit_of_the_process_is_all_it_has():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "from SegAutoPlanLib.machine import total_memory; print(total_memory() == 3 << 30)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
