"""What a checkpoint must say to train on from it; the rest is `networks.checkpoint_gate`. No tensor has been read yet.

| entry | |
|---|---|
| optimizer_state | obeyed: that of the recipe's optimiser, one group of all parameters, moments of the shape of each |
| grad_scaler_state | obeyed: null, or finite numbers above 0 |
| logging | obeyed: the lists of `epoch_log.NNUNET_NAMES`, of numbers |
| _best_ema, current_epoch | obeyed: a number or null, and a count of epochs |
| init_args | obeyed: configuration, fold, plans and labels must be those of the training (`same_training`) |
| segautoplan | obeyed: a `resume_record`; the versions in it are for people |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from ..errors import UserInputError
from ..networks.checkpoint_gate import NAME, WEIGHTS, float_tensor
from ..schema import (
    Mismatch,
    Rule,
    anything,
    array_of,
    either,
    every,
    flag,
    mapping_of,
    nothing,
    number,
    number_or_nan,
    one_of,
    record,
    shown,
    whole,
)
from .epoch_log import NNUNET_NAMES
from .recipe import Recipe
from .resume_record import OURS

MOST_EPOCHS = 1_000_000
MOST_FOLDS = 1_000_000
MOST_DICE = 10_000_000
"""Epochs times classes."""
KNOWN = either(nothing, number_or_nan)
DICE = NNUNET_NAMES["dice"]


def not_too_many(logging: Mapping[str, Any]) -> None:
    """A rule: the lists of Dice are no more than an archive of their size can really hold."""
    rows = logging.get(DICE, ()) if isinstance(logging, Mapping) else ()
    rows = rows if isinstance(rows, list | tuple) else ()
    if sum(len(row) for row in rows if isinstance(row, list | tuple)) > MOST_DICE:
        raise Mismatch(f"must have at most {MOST_DICE:,} numbers", f'"{DICE}"')


LOGGING = every(
    not_too_many,
    record(
        {},
        {
            **dict.fromkeys(NNUNET_NAMES.values(), array_of(KNOWN, longest=MOST_EPOCHS)),
            DICE: array_of(either(nothing, array_of(KNOWN)), longest=MOST_EPOCHS),
        },
    ),
)

ADAM = {"betas": array_of(number(0, 0.9999999), length=2), "eps": number(0, 1), "amsgrad": flag}
SETTINGS_OF: dict[str, dict[str, Rule]] = {
    "sgd": {"momentum": number(0, 1), "dampening": number(0, 1), "nesterov": flag},
    "adam": ADAM,
    "adamw": {**ADAM, "amsgrad": one_of(False)},
    "adamw_amsgrad": {**ADAM, "amsgrad": one_of(True)},
}
"""By the recipe's optimiser: what torch writes of it beside what all have."""
MOMENTA_OF: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum_buffer",),
    **dict.fromkeys(("adam", "adamw"), ("exp_avg", "exp_avg_sq")),
    "adamw_amsgrad": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
}
"""By the recipe's optimiser: what it keeps of each parameter, of its shape."""


def settings_of(optimizer: str) -> Rule:
    """The rule of the settings of an optimiser as torch writes them; only `params` needs the network."""
    group = record(
        {
            "lr": number(0, 1e6),
            "weight_decay": number(0, 1e6),
            "params": anything,
            **SETTINGS_OF[optimizer],
        },
        {
            "maximize": one_of(False),
            "foreach": either(nothing, flag),
            "differentiable": one_of(False),
            "fused": either(nothing, flag),
            "capturable": one_of(False),
            "initial_lr": number(0, 1e6),
        },
    )
    # Whatever another torch adds to the group is plain, too.
    return every(group, mapping_of(either(nothing, flag, number(), array_of(anything)), longest=100))


def state_of(optimizer: str) -> Rule:
    """The rule of what an optimiser keeps of one parameter."""
    if optimizer == "sgd":
        return record({}, {"momentum_buffer": either(nothing, float_tensor)}, others=())
    return record({"step": float_tensor, **dict.fromkeys(MOMENTA_OF[optimizer], float_tensor)}, others=())


SCALER = record(
    {
        "scale": number(above=0),
        "growth_factor": number(above=1),
        "backoff_factor": number(above=0, highest=1),
        "growth_interval": whole(1, 2**31 - 1),
        "_growth_tracker": whole(0, 2**31 - 1),
    }
)
INIT_ARGS = record({}, {"configuration": NAME, "fold": either(whole(0, MOST_FOLDS), one_of("all"))})
"""What of it says which training this was; `plans` and `dataset_json` have gates of their own."""
PLACE = record({"current_epoch": whole(0, MOST_EPOCHS)}, {"segautoplan": OURS})
"""What tells how far a checkpoint is."""


def resumable(optimizer: Optimizer, recipe: Recipe, source: Path) -> Rule:
    """The rule of a checkpoint from which the training of this optimiser's network goes on.

    The rule also raises UserInputError: `source`, the checkpoint, has been trained for longer than the recipe wants.
    """
    shapes = [tuple(parameter.shape) for group in optimizer.param_groups for parameter in group["params"]]
    return every(
        WEIGHTS,
        record(
            {
                "optimizer_state": every(
                    record(
                        {
                            "state": mapping_of(state_of(recipe.optimizer), whole(0, len(shapes) - 1)),
                            "param_groups": array_of(
                                every(settings_of(recipe.optimizer), _all_parameters(len(shapes))), length=1
                            ),
                        }
                    ),
                    _momenta_of(shapes, MOMENTA_OF[recipe.optimizer]),
                ),
                "logging": LOGGING,
                "current_epoch": whole(0, MOST_EPOCHS),
            },
            {
                "grad_scaler_state": either(nothing, record({}, others=()), SCALER),
                "_best_ema": KNOWN,
                "init_args": INIT_ARGS,
                "segautoplan": OURS,
            },
        ),
        _goes_on(recipe, source),
    )


def _goes_on(recipe: Recipe, source: Path) -> Rule:
    def check(content: Mapping[str, Any]) -> None:
        ours = content.get("segautoplan", {})
        epoch, iteration = content["current_epoch"], ours.get("iteration", 0)
        if ours.get("timed"):
            return
        if epoch > recipe.epochs:
            raise UserInputError(
                f"{source}: has already been trained for {epoch} epochs; give --epochs above that to continue it."
            )
        if iteration > recipe.iterations_per_epoch:
            raise UserInputError(
                f"{source}: was stopped after {iteration} iterations of an epoch; give as many --iterations as before."
            )

    return check


def _all_parameters(count: int) -> Rule:
    def check(group: Mapping[str, Any]) -> None:
        if group["params"] != list(range(count)):
            raise Mismatch(f"must be the numbers of the {count} parameters, not {shown(group['params'])}", '"params"')

    return check


def _momenta_of(shapes: Sequence[tuple[int, ...]], names: Sequence[str]) -> Rule:
    def check(optimizer: Mapping[str, Any]) -> None:
        for index, state in optimizer["state"].items():
            wanted = {"step": (), **dict.fromkeys(names, shapes[index])}
            for name, tensor in state.items():
                if tensor is not None and tuple(tensor.shape) != wanted[name]:
                    raise Mismatch(f"must have the shape {wanted[name]}, not {tensor.shape}", f'"state" {index}')

    return check
