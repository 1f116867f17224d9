"""The verb `recipes`: the table of recipes, or one of them as a file to begin one's own with."""

from __future__ import annotations

import argparse

from ..progress import Reporter
from ..training import Recipe
from ..training.find_recipe import find_recipe
from ..training.recipe_file import recipe_to_toml
from ..training.recipe_rules import RULES, idle_fields
from ..training.recipes import NAMED_RECIPES, RECIPES
from ..workspace import Workspace
from .verb import Result, Verb

DEFAULT = RECIPES["default"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="RECIPE", help="print this one whole, as a file of your own begins (mine.toml)"
    )


def _run(_workspace: Workspace, given: argparse.Namespace, _reporter: Reporter) -> Result:
    if given.name is not None:
        recipe = find_recipe(given.name)
        return Result(recipe_to_toml(recipe), vars(recipe))
    rows = [
        {
            "name": row.recipe.name,
            "trainer_name": row.recipe.trainer_name,
            "differs": _differences(row.recipe),
            "advice": row.advice,
        }
        for row in NAMED_RECIPES
    ]
    lines = [f"{row['name']}  ({row['trainer_name']})\n    {row['differs']}\n    {row['advice']}" for row in rows]
    return Result("\n".join(lines), {"recipes": rows})


def _differences(recipe: Recipe) -> str:
    """What differs from the default recipe, in words."""
    idle = idle_fields(recipe)
    changed = [field for field in RULES if field not in idle and getattr(recipe, field) != getattr(DEFAULT, field)]
    return ", ".join(f"{field.replace('_', ' ')} {_words(getattr(recipe, field))}" for field in changed) or "nothing"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace("_", " ") if isinstance(value, str) else f"{value:g}"


RECIPES_VERB = Verb("recipes", "List the recipes of a training, or print one as a file.", _arguments, _run)
