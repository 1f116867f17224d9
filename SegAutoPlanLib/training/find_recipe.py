"""From what a user names (a row, a trainer of nnU-Net, a file) to the recipe, and what options change of it."""

from __future__ import annotations

import os
from dataclasses import replace

from ..errors import UserInputError
from ..schema import nearest, problem_of, shown
from .recipe import Recipe
from .recipe_file import RECIPE_SUFFIX, read_recipe
from .recipe_rules import RULES, conflict_in
from .recipes import BY_TRAINER, LEFT_OUT, RECIPES


def find_recipe(
    name: str,
    epochs: int | None = None,
    iterations: int | None = None,
    loss: str | None = None,
    freeze: str | None = None,
) -> Recipe:
    """A recipe with its length, its loss or what it freezes changed.

    A changed recipe keeps its trainer's name and folder: a longer training goes on where a shorter one ended.

    Args:
        name: a row of the table, nnU-Net's name of a trainer, or the path of a user's own recipe (`….toml`).

    Raises:
        UserInputError: no recipe has that name, the file is none, or a length cannot be.
    """
    recipe = base_recipe(name)
    given = (
        ("--epochs", "epochs", epochs),
        ("--iterations", "iterations_per_epoch", iterations),
        ("--freeze", "freeze", freeze),
    )
    for option, field, value in given:
        problem = None if value is None else problem_of(RULES[field], value)
        if problem is not None:
            raise UserInputError(f"{option} {shown(value)}: {problem}.")
    if freeze is not None:
        recipe = replace(recipe, freeze=freeze)
    if loss is not None:
        recipe = replace(recipe, loss=loss)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    if iterations is not None:
        recipe = replace(
            recipe,
            iterations_per_epoch=iterations,
            validation_iterations=min(recipe.validation_iterations, max(1, iterations // 5)),
        )
    conflict = conflict_in(recipe)
    if conflict is not None:
        raise UserInputError(f"--recipe {name}: {conflict}.")
    return recipe


def base_recipe(name: str) -> Recipe:
    """The recipe of that name, trainer's name or path, as it stands there.

    Raises:
        UserInputError: there is none; the sentence names the nearest, or says why a trainer of nnU-Net has no row.
    """
    if is_path(name):
        return read_recipe(name)
    if name in RECIPES:
        return RECIPES[name]
    if name in BY_TRAINER:
        return BY_TRAINER[name]
    for beginning, reason in LEFT_OUT.items():
        if name.startswith(beginning):
            raise UserInputError(f"--recipe {name}: is not offered, because {reason}.")
    close = nearest(name, (*RECIPES, *BY_TRAINER))
    meant = f"did you mean {close}? Otherwise " if close else ""
    raise UserInputError(
        f"--recipe {shown(name)}: there is no such recipe; {meant}list them with: recipes, "
        f"or give the path of your own file (…{RECIPE_SUFFIX})."
    )


def is_path(name: str) -> bool:
    """Whether a recipe is given as a file."""
    return name.lower().endswith(RECIPE_SUFFIX) or os.sep in name or "/" in name
