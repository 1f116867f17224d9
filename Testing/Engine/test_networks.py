"""The network is the plan's, nnU-Net would recognise its weights, and a checkpoint is safe to write and to read."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.networks import (
    build_network,
    read_checkpoint,
    with_aliases,
    without_aliases,
    write_checkpoint,
)
from SegAutoPlanLib.planning import Architecture


def architecture(kind: str = "plain", features=(32, 64, 128, 256, 320, 320), dimensions: int = 3) -> Architecture:
    stages = len(features)
    blocks = (2,) * stages if kind == "plain" else (1, 3, 4, 6, 6, 6)[:stages]
    return Architecture(
        kind=kind,
        features_per_stage=tuple(features),
        kernel_sizes=((3,) * dimensions,) * stages,
        strides=((1,) * dimensions, *((2,) * dimensions,) * (stages - 1)),
        blocks_per_stage=blocks,
        convs_per_decoder_stage=((2 if kind == "plain" else 1),) * (stages - 1),
    )


@pytest.mark.parametrize(
    ("kind", "parameters", "keys", "unique"),
    # Counted on nnU-Net's own networks.
    [("plain", 31_196_399, 292, 108), ("residual", 102_350_575, 956, 264)],
)
def test_the_published_networks_have_nnunets_size_and_state_dict(kind, parameters, keys, unique):
    with torch.device("meta"):
        network = build_network(architecture(kind), in_channels=1, heads=3)
    assert sum(p.numel() for p in network.parameters()) == parameters
    state = network.state_dict()
    assert len(state) == unique
    assert len(with_aliases(state)) == keys


def test_aliases_are_named_as_nnunet_names_them():
    network = build_network(architecture(features=(4, 8, 8)), 1, 2)
    names = with_aliases(network.state_dict()).keys()
    for expected in (
        "encoder.stages.0.0.convs.1.all_modules.0.weight",
        "decoder.encoder.stages.2.0.convs.0.all_modules.1.bias",
        "decoder.encoder.stages.2.0.convs.0.conv.bias",
        "decoder.stages.1.convs.0.norm.weight",
        "decoder.transpconvs.0.weight",
        "decoder.seg_layers.1.bias",
    ):
        assert expected in names


@pytest.mark.parametrize(
    ("features", "strides", "expected"),
    [
        ((4, 8), ((1, 1, 1), (2, 2, 2)), "encoder.stages.1.blocks.0.skip.1.conv.weight"),
        ((4, 8), ((1, 1, 1), (1, 1, 1)), "encoder.stages.1.blocks.0.skip.0.conv.weight"),
        ((4, 4), ((1, 1, 1), (2, 2, 2)), None),
    ],
)
def test_a_residual_shortcut_has_a_projection_only_where_channels_change(features, strides, expected):
    plan = architecture("residual", features)
    plan = Architecture(**{**vars(plan), "strides": strides})
    names = [name for name in build_network(plan, 1, 2).state_dict() if ".skip." in name]
    assert (expected in names) if expected else not names


def test_aliases_and_wrappers_are_dropped_when_reading():
    state = build_network(architecture(features=(4, 8)), 1, 2).state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in with_aliases(state).items()}
    assert without_aliases(wrapped).keys() == state.keys()


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_output_has_the_size_of_the_input_at_every_resolution(kind, dimensions):
    network = build_network(architecture(kind, (4, 8, 8), dimensions), in_channels=2, heads=3)
    image = torch.randn(1, 2, *(16,) * dimensions)
    assert network(image).shape == (1, 3, *(16,) * dimensions)
    network.deep_supervision = True
    assert [output.shape[2] for output in network(image)] == [16, 8]


def test_a_residual_block_starts_as_its_shortcut():
    network = build_network(architecture("residual", (4, 8)), 1, 2)
    block = network.encoder.stages[1].blocks[0]
    features = torch.randn(1, 4, 8, 8, 8)
    expected = torch.nn.functional.leaky_relu(block.skip(features), 0.01)
    assert torch.allclose(block(features), expected)


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserInputError, match=r"checkpoint_final\.pth"):
        read_checkpoint(path)


def test_a_checkpoint_that_would_execute_code_is_refused(tmp_path):
    import pickle

    marker = tmp_path / "executed"

    class Harmful:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": Harmful()}, path, pickle_module=pickle)
    with pytest.raises(UserInputError, match=r"contains code \(io\.open\) and was not opened"):
        read_checkpoint(path)
    assert not marker.exists()


def test_a_full_disk_is_a_sentence_and_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint_latest.pth"
    write_checkpoint(path, {"network_weights": {"a": torch.ones(3)}})

    def fills_the_disk(_path, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills_the_disk)
    with pytest.raises(UserInputError, match="the disk is full"):
        write_checkpoint(path, {"network_weights": {"a": torch.zeros(3)}})
    assert read_checkpoint(path)["network_weights"]["a"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_nnunets_numpy_scalars_in_the_log_can_be_read(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "logging": {"lrs": [np.float64(0.01), np.float32(0.5)]}}, path)
    assert read_checkpoint(path)["logging"]["lrs"] == [0.01, 0.5]
