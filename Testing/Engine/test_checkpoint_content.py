"""What a checkpoint says and holds is checked before anything is segmented or trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from SegAutoPlanLib.pipeline.pretrained import read_pretrained

from .checkpoint_models import (
    FIRST,
    INFINITY,
    NAN,
    Content,
    all_weights,
    checkpoint_of,
    first_weight,
    go_on_from,
    refuses,
    segment_with,
    sound_content,
    with_value,
    without,
)

WRONG_WEIGHTS: dict[str, Callable[[Content], None]] = {
    "NaN": first_weight(lambda value: torch.full_like(value, NAN)),
    "infinite": first_weight(lambda value: torch.full_like(value, INFINITY)),
    "beyond float32": first_weight(lambda value: torch.full_like(value, 1e200, dtype=torch.float64)),
    "whole numbers": first_weight(lambda value: value.int()),
    "flags": first_weight(lambda value: value.bool()),
    "complex": first_weight(lambda value: value.to(torch.complex64)),
    "sparse": first_weight(lambda value: value.to_sparse()),
    "nowhere": first_weight(lambda value: value.to("meta")),
    "another shape": first_weight(lambda value: value.reshape(-1)),
    "another size": first_weight(lambda value: value[:-1].clone()),
    "a trillion": first_weight(lambda value: torch.zeros(1).expand(10**6, 10**6)),
    "a number": first_weight(lambda value: 7),
    "null": first_weight(lambda value: None),
    "a list": first_weight(lambda value: value.tolist()),
    "none": all_weights(lambda found: {}),
    "null for all": all_weights(lambda found: None),
    "a list of them": all_weights(lambda found: list(found.values())),
    "one missing": all_weights(lambda found: {key: value for key, value in found.items() if "convs.0.conv" not in key}),
    "one too many": all_weights(lambda found: {**found, "more.weight": torch.zeros(3)}),
    "an alias of nothing": all_weights(lambda found: {**found, "encoder.all_modules.7.weight": torch.zeros(3)}),
    "one twice": all_weights(lambda found: {**found, f"module.{FIRST}": found[FIRST]}),
    "an alias of another shape": all_weights(lambda found: {**found, f"decoder.{FIRST}": torch.zeros(3)}),
    "an alias of other values": all_weights(lambda found: {**found, f"decoder.{FIRST}": found[FIRST] + 1}),
    "another name": all_weights(lambda found: {f"x.{key}": value for key, value in found.items()}),
    "a number for a name": all_weights(lambda found: {**found, 7: torch.zeros(3)}),
}
WRONG_CONTENT: dict[str, Callable[[Content], None]] = {
    **{f"weights: {what}": change for what, change in WRONG_WEIGHTS.items()},
    "no arguments": without("init_args"),
    "arguments null": with_value("init_args", value=None),
    "no configuration": without("init_args", "configuration"),
    "a configuration that is a list": with_value("init_args", "configuration", value=["3d_fullres"]),
    "an endless configuration": with_value("init_args", "configuration", value="x" * 10**6),
    "an escape": with_value("init_args", "configuration", value="\x1b[31m"),
    "a trainer that is a number": with_value("trainer_name", value=7),
    "an endless trainer": with_value("trainer_name", value="x" * 10**6),
    "axis 3": with_value("inference_allowed_mirroring_axes", value=(3,)),
    "axis -1": with_value("inference_allowed_mirroring_axes", value=(-1,)),
    "an axis twice": with_value("inference_allowed_mirroring_axes", value=(0, 0)),
    "axes that are text": with_value("inference_allowed_mirroring_axes", value="01"),
    "axes that are flags": with_value("inference_allowed_mirroring_axes", value=(True, False)),
    "a number of axes": with_value("inference_allowed_mirroring_axes", value=2),
    "a tensor of axes": with_value("inference_allowed_mirroring_axes", value=torch.tensor([0, 1])),
}


@pytest.mark.parametrize("what", WRONG_CONTENT)
def test_wrong_content_is_a_sentence_before_segmenting(what, model):
    content = sound_content(model)
    WRONG_CONTENT[what](content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), segment_with)


@pytest.mark.parametrize("what", WRONG_WEIGHTS)
def test_wrong_weights_are_a_sentence_before_training(what, model):
    content = sound_content(model)
    WRONG_WEIGHTS[what](content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), go_on_from)
    refuses(checkpoint_of(model), read_pretrained)


def _laughs() -> list[Any]:
    value: list[Any] = ["ha"] * 10
    for _ in range(30):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    "keys", [("trainer_name",), ("init_args", "configuration"), ("inference_allowed_mirroring_axes",)]
)
def test_shared_lists_in_each_other_are_never_written_out(keys, model):
    content = sound_content(model)
    with_value(*keys, value=_laughs())(content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), segment_with)


GROUP = ("optimizer_state", "param_groups", 0)
WRONG_PROGRESS: dict[str, Callable[[Content], None]] = {
    "no optimiser": without("optimizer_state"),
    "an empty optimiser": with_value("optimizer_state", value={}),
    "no groups": with_value("optimizer_state", "param_groups", value=[]),
    "two groups": lambda content: content["optimizer_state"]["param_groups"].append({}),
    "too few parameters": with_value(*GROUP, "params", value=[0, 1]),
    "endless parameters": with_value(*GROUP, "params", value=list(range(100_000))),
    "a rate of NaN": with_value(*GROUP, "lr", value=NAN),
    "a rate that is text": with_value(*GROUP, "lr", value="x"),
    "a rate that is a tensor": with_value(*GROUP, "lr", value=torch.tensor(0.1)),
    "a momentum of 7": with_value(*GROUP, "momentum", value=7),
    "a step uphill": with_value(*GROUP, "maximize", value=True),
    "another setting that is a tensor": with_value(*GROUP, "more", value=torch.zeros(3)),
    "a momentum of another shape": with_value("optimizer_state", "state", 0, value={"momentum_buffer": torch.zeros(7)}),
    "a momentum that is text": with_value("optimizer_state", "state", 0, value={"momentum_buffer": "x"}),
    "a momentum of NaN": lambda content: content["optimizer_state"]["state"][0]["momentum_buffer"].fill_(NAN),
    "the state of a parameter too many": with_value("optimizer_state", "state", 10**6, value={}),
    "another state": with_value("optimizer_state", "state", 0, value={"exp_avg": torch.zeros(7)}),
    "a scaler of 0": with_value("grad_scaler_state", value={"scale": 0.0}),
    "a scaler of NaN": with_value(
        "grad_scaler_state", value=dict.fromkeys(("scale", "growth_factor", "_growth_tracker"), NAN)
    ),
    "a scaler that is a list": with_value("grad_scaler_state", value=[1]),
    "no log": without("logging"),
    "a log that is a list": with_value("logging", value=[]),
    "losses that are text": with_value("logging", "train_losses", value=["x"]),
    "losses that are a number": with_value("logging", "train_losses", value=7),
    "Dice that is no list of lists": with_value("logging", "dice_per_class_or_region", value=[0.5]),
    "shared rows of Dice": with_value("logging", "dice_per_class_or_region", value=[[0.5] * 10_000] * 10_000),
    "shared lists of losses": with_value("logging", "train_losses", value=_laughs()),
    "no epoch": without("current_epoch"),
    "an epoch of text": with_value("current_epoch", value="x"),
    "epoch -1": with_value("current_epoch", value=-1),
    "epoch 1.5": with_value("current_epoch", value=1.5),
    "epoch 2^70": with_value("current_epoch", value=2**70),
    "a best that is text": with_value("_best_ema", value="x"),
    "a note of ours that is a list": with_value("segautoplan", value=[]),
    "iteration -5": with_value("segautoplan", "iteration", value=-5),
    "iteration 2^70": with_value("segautoplan", "iteration", value=2**70),
    "more losses than iterations": with_value("segautoplan", "losses_of_epoch", value=[0.5] * 3),
    "losses of the epoch that are text": with_value("segautoplan", "losses_of_epoch", value=["x", "y"]),
    "more iterations than an epoch has": with_value(
        "segautoplan", value={"iteration": 300, "losses_of_epoch": [0.5] * 300}
    ),
    "a number format of text": with_value("segautoplan", "number_format", value="bfloat16"),
    "an unknown number format": with_value(
        "segautoplan", "number_format", value={"precision": "float64", "channels_last": True}
    ),
    "half a number format": with_value("segautoplan", "number_format", value={"precision": "float32"}),
    "more epochs than wanted": with_value("current_epoch", value=1001),
    "a training that is text": with_value("segautoplan", "training", value="x"),
    "a seed that is a list": with_value("segautoplan", "seed", value=[1]),
    "a recipe that is a list": with_value("segautoplan", "recipe", value=[]),
    "a recipe that is a tensor": with_value("segautoplan", "recipe", value={"epochs": torch.zeros(3)}),
    "a recipe of shared lists": with_value("segautoplan", "recipe", value={"epochs": _laughs()}),
    "cases that are no digest": with_value("segautoplan", "cases", value="../.."),
    "a fold that is a path": with_value("init_args", "fold", value="../1"),
}


@pytest.mark.parametrize("what", WRONG_PROGRESS)
def test_wrong_progress_is_a_sentence_before_training_goes_on(what, model):
    content = sound_content(model)
    WRONG_PROGRESS[what](content)
    torch.save(content, checkpoint_of(model))
    refuses(checkpoint_of(model), go_on_from)
    assert segment_with(checkpoint_of(model)) is not None
