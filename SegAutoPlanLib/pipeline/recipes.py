"""`recipes`: the table of recipes, or one of them, a user's own too."""

from __future__ import annotations

from dataclasses import dataclass

from ..progress import SILENT, Reporter
from ..training.find_recipe import find_recipe
from ..training.recipes import NAMED_RECIPES, NamedRecipe
from ..workspace import Workspace


@dataclass(frozen=True)
class RecipesOptions:
    """Which recipe to show."""

    name: str | None = None
    """As `train --recipe` takes it; None is the whole table."""


def recipes(_workspace: Workspace, options: RecipesOptions, _reporter: Reporter = SILENT) -> tuple[NamedRecipe, ...]:
    """The rows of the table, or the one that is asked for.

    Raises:
        UserInputError: there is no such recipe, or its file is none.
    """
    if options.name is None:
        return NAMED_RECIPES
    recipe = find_recipe(options.name)
    return tuple(row for row in NAMED_RECIPES if row.recipe == recipe) or (NamedRecipe(recipe, ""),)
