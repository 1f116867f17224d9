"""A user's own recipe: a small TOML file that says what differs from a base. Also a recipe as such a file.

base = "default"
epochs = 300
augmentation = "da5"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..errors import FileError, UserInputError
from ..files import read_bytes
from ..models import TRAINERS
from ..models.names import name_part
from ..schema import nearest, problem_of, require, shown
from .recipe import Recipe
from .recipe_rules import RULES, conflict_in, idle_fields
from .recipes import BY_TRAINER, RECIPES

RECIPE_SUFFIX = ".toml"
MOST_BYTES = 8 * 1024
BASE = "base"
CORRECT_IT = "correct the entry"


def read_recipe(path: Path | str) -> Recipe:
    """The recipe that a user's file describes; it is named, and its result folder too, after the file.

    Raises:
        UserInputError: it cannot be read, is no TOML, or says what no recipe can; the sentence names file and key.
    """
    path = Path(path)
    entries = _parse(read_bytes(path, MOST_BYTES), path)
    _require_known_keys(entries, path)
    name = _name_of(path)
    base_name = entries.pop(BASE, "default")
    base = {**BY_TRAINER, **RECIPES}.get(base_name) if isinstance(base_name, str) else None
    if base is None:
        near = _meant(base_name, (*RECIPES, *BY_TRAINER))
        raise FileError(
            path, f'"{BASE}" must be a recipe\'s name, not {shown(base_name)}', f"{near}list them with: recipes"
        )
    for key, value in entries.items():
        problem = problem_of(RULES[key], value)
        if problem is not None:
            raise FileError(path, f'"{key}" {problem}', CORRECT_IT)
    return _changed(base, entries, name, path)


def recipe_to_toml(recipe: Recipe) -> str:
    """Every field of a recipe as the file of one that equals it, for a user to begin his own with."""
    idle = idle_fields(recipe)
    lines = [
        f"# {recipe.name}: nnU-Net is told {recipe.trainer_name}",
        f'{BASE} = "{recipe.name if recipe.name in RECIPES else BY_TRAINER[recipe.trainer_name].name}"',
    ]
    for field in RULES:
        value = getattr(recipe, field)
        if field in idle:
            lines.append(f"# {field}: means nothing with {idle[field]}")
        elif value is None:
            lines.append(f"# {field}: {NOTHING[field]}")
        else:
            lines.append(f"{field} = {_toml_value(value)}")
    return "\n".join(lines)


NOTHING = {"loss": "the one that fits the labels", "batch_size": "the plan's"}
"""What a field that says nothing stands for."""


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:
        raise UserInputError(
            f"{path}: reading a recipe file needs Python 3.11 or newer; use a recipe of the table, or another Python."
        ) from None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FileError(path, "is not UTF-8 text", "save it as UTF-8") from None
    except RecursionError:
        raise FileError(path, "is nested too deeply to be read", "correct or replace the file") from None
    except ValueError as error:
        raise FileError(path, f"is not valid TOML ({error})", 'write lines such as: base = "default"') from None


def _require_known_keys(entries: Mapping[str, Any], path: Path) -> None:
    known = (BASE, *RULES)
    for key in entries:
        if key not in known:
            near = _meant(key, known)
            raise FileError(
                path, f"has the key {shown(key)}, which no recipe has", f"{near}the keys are {', '.join(known)}"
            )


def _meant(word: Any, known: Iterable[str]) -> str:
    close = nearest(word, known)
    return f"did you mean {close}? Otherwise " if close else ""


def _name_of(path: Path) -> str:
    name = path.name[: -len(RECIPE_SUFFIX)] if path.name.lower().endswith(RECIPE_SUFFIX) else path.name
    require(name_part, name, path, "rename the file: its models' folder is named after it")
    if name in RECIPES or name in BY_TRAINER:
        raise FileError(
            path, f"has the name of the recipe {name}, whose folder its models would go to", "rename the file"
        )
    return name


def _changed(base: Recipe, entries: Mapping[str, Any], name: str, path: Path) -> Recipe:
    numbers = {field.name for field in fields(Recipe) if field.type == "float"}
    values = {key: float(value) if key in numbers else value for key, value in entries.items()}
    recipe = replace(base, **values, name=name, results_name=name)
    if recipe.normalization != base.normalization:
        # nnU-Net builds the network from the trainer's name.
        recipe = replace(recipe, trainer_name=TRAINERS[recipe.normalization])
    for key, reason in idle_fields(recipe).items():
        if key in entries:
            raise FileError(path, f'"{key}" means nothing with {reason}', "remove the line")
    conflict = conflict_in(recipe)
    if conflict is not None:
        raise FileError(path, *conflict.split("; ", 1))
    return recipe


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
