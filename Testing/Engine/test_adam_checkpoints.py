"""What a checkpoint says of an optimiser with moments is obeyed or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.networks import write_checkpoint
from SegAutoPlanLib.training import find_recipe
from SegAutoPlanLib.training.state import TrainingState

from .checkpoint_models import checkpoint_of, sound_content, state_of

ADAM = find_recipe("adamw_amsgrad_0.001")


def fresh(model, recipe=ADAM) -> TrainingState:
    return TrainingState.fresh(state_of(model).network, recipe, torch.device("cpu"))


def written(model, change=lambda state: None):
    trained = fresh(model)
    for parameter in trained.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    trained.optimizer.step()
    optimizer: dict[str, Any] = trained.optimizer.state_dict()
    change(optimizer)
    content = {**sound_content(model), "optimizer_state": optimizer}
    write_checkpoint(checkpoint_of(model), content)
    return checkpoint_of(model)


def test_moments_come_back(model):
    state = fresh(model)
    state.load(written(model), ADAM)
    kept = state.optimizer.state_dict()["state"][0]
    assert kept.keys() == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert float(kept["step"]) == 1


WRONG = {
    "moments of another shape": lambda it: it["state"][0].update(exp_avg=torch.zeros(2)),
    "a moment that is NaN": lambda it: it["state"][0]["exp_avg"].fill_(float("nan")),
    "a second moment below 0": lambda it: it["state"][0]["exp_avg_sq"].fill_(-1),
    "a count below 0": lambda it: it["state"][0]["step"].fill_(-1),
    "no second moment": lambda it: it["state"][0].pop("exp_avg_sq"),
    "a moment of nobody": lambda it: it["state"][0].update(more=torch.zeros(2)),
    "a beta of 1": lambda it: it["param_groups"][0].update(betas=(0.9, 1.0)),
    "three betas": lambda it: it["param_groups"][0].update(betas=(0.9, 0.9, 0.9)),
    "another Adam": lambda it: it["param_groups"][0].update(amsgrad=False),
    "a negative epsilon": lambda it: it["param_groups"][0].update(eps=-1.0),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_no_such_optimiser_has_is_refused(what, model):
    path = written(model, WRONG[what])
    with pytest.raises(UserInputError, match=r"checkpoint_final\.pth"):
        fresh(model).load(path, ADAM)


@pytest.mark.parametrize("recipe", ["default", "adam_0.001"])
def test_a_training_does_not_go_on_with_another_optimiser(recipe, model):
    with pytest.raises(UserInputError, match=r"checkpoint_final\.pth"):
        fresh(model, find_recipe(recipe)).load(written(model), find_recipe(recipe))
