"""The verb `recipes`: the table of recipes in words, or one of them as a file to begin one's own with."""

from __future__ import annotations

import argparse

from ..pipeline.recipes import RecipesOptions, recipes
from ..progress import Reporter
from ..training import RECIPES, Recipe
from ..training.recipe_file import recipe_to_toml
from ..training.recipe_rules import RULES, idle_fields
from ..workspace import Workspace
from .arguments import record
from .verb import Result, Verb

DEFAULT = RECIPES["default"]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="RECIPE", help="print this one whole, as a file of your own begins (mine.toml)"
    )


def _run(workspace: Workspace, given: argparse.Namespace, reporter: Reporter) -> Result:
    rows = recipes(workspace, record(RecipesOptions, given), reporter)
    if given.name is not None:
        return Result(recipe_to_toml(rows[0].recipe), vars(rows[0].recipe))
    table = [
        {
            "name": row.recipe.name,
            "trainer_name": row.recipe.trainer_name,
            "differs": differences(row.recipe),
            "advice": row.advice,
        }
        for row in rows
    ]
    lines = [f"{row['name']}  ({row['trainer_name']})\n    {row['differs']}\n    {row['advice']}" for row in table]
    return Result("\n".join(lines), {"recipes": table})


def differences(recipe: Recipe) -> str:
    """What a recipe does otherwise than the default one, in words."""
    idle = idle_fields(recipe)
    changed = [field for field in RULES if field not in idle and getattr(recipe, field) != getattr(DEFAULT, field)]
    return ", ".join(f"{field.replace('_', ' ')} {_words(getattr(recipe, field))}" for field in changed) or "nothing"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace("_", " ") if isinstance(value, str) else f"{value:g}"


RECIPES_VERB = Verb("recipes", "List the recipes of a training, or print one as a file.", _arguments, _run)
