"""What the tests of checkpoints share: a small sound model, ways to spoil it, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.inference import load_model
from SegAutoPlanLib.networks import (
    build_network,
    read_checkpoint,
    with_aliases,
)
from SegAutoPlanLib.planning import read_plan
from SegAutoPlanLib.training import find_recipe
from SegAutoPlanLib.training.state import TrainingState

Content = dict[str, Any]
FEATURES = [4, 8]
FIRST = "encoder.stages.0.0.convs.0.conv.weight"
NAN, INFINITY = float("nan"), float("inf")


def refuses(path: Path, read: Callable[[Path], Any] = read_checkpoint) -> str:
    """The sentence of the refusal, which names the file once and says what helps."""
    with pytest.raises(UserInputError) as refusal:
        read(path)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path}: ")
    assert sentence.endswith(".")
    assert ";" in sentence
    assert len(sentence) < 700
    return sentence


def checkpoint_of(folder: Path, fold: int = 0) -> Path:
    return folder / f"fold_{fold}" / "checkpoint_final.pth"


def state_of(folder: Path) -> TrainingState:
    torch.manual_seed(1)
    network = build_network(read_plan(folder / "plans.json").configurations["3d_fullres"].architecture, 1, 3)
    return TrainingState.fresh(network, find_recipe("default"), torch.device("cpu"))


def sound_content(folder: Path) -> Content:
    state = state_of(folder)
    for parameter in state.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    return {
        "network_weights": with_aliases(state.network.state_dict()),
        "optimizer_state": state.optimizer.state_dict(),
        "grad_scaler_state": None,
        "logging": {"train_losses": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.25), NAN]]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cuda", 0)},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        "segautoplan": {"iteration": 2, "losses_of_epoch": [0.5, 0.25]},
    }


def segment_with(path: Path) -> Any:
    loaded = load_model(path.parent.parent, [0])
    return loaded.build(0)


def go_on_from(path: Path) -> TrainingState:
    state = state_of(path.parent.parent)
    state.load(path, find_recipe("default"))
    return state


def first_weight(change: Callable[[torch.Tensor], Any]) -> Callable[[Content], None]:
    """Every name of the first convolution's weights gets the same other tensor."""

    def on(content: Content) -> None:
        old = content["network_weights"][FIRST]
        new = change(old)
        for key, value in content["network_weights"].items():
            if value.data_ptr() == old.data_ptr():
                content["network_weights"][key] = new

    return on


def all_weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        content["network_weights"] = change(content["network_weights"])

    return on


def with_value(*keys: Any, value: Any) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return on


def without(*keys: str) -> Callable[[Content], None]:
    def on(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return on
