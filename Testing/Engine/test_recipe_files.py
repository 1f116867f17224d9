"""A user's own recipe is a small file; what stands in it is obeyed or refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from SegAutoPlanLib.__main__ import main
from SegAutoPlanLib.errors import UserInputError
from SegAutoPlanLib.training import RECIPES, find_recipe
from SegAutoPlanLib.training.recipe_file import MOST_BYTES, recipe_to_toml
from SegAutoPlanLib.training.recipe_rules import RULES

from .test_recipes import ROWS

needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="NOT TESTED: reading TOML needs Python 3.11")


def written(folder, content: str | bytes, name: str = "mine.toml"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@needs_toml
def test_a_file_changes_its_base_and_nothing_else(tmp_path):
    path = written(tmp_path, 'base = "nnUNetTrainer_100epochs"\nlearning_rate = 1\niterations_per_epoch = 50\n')
    recipe = find_recipe(str(path))
    expected = dataclasses.replace(
        RECIPES["100epochs"], name="mine", results_name="mine", learning_rate=1.0, iterations_per_epoch=50
    )
    assert recipe == expected
    assert isinstance(recipe.learning_rate, float)
    assert recipe.folder_name == "mine"
    assert recipe.trainer_name == "nnUNetTrainer_100epochs"


@needs_toml
def test_an_empty_file_is_the_default_in_a_folder_of_its_own(tmp_path):
    recipe = find_recipe(str(written(tmp_path, "")))
    assert dataclasses.replace(recipe, name="default", results_name=None) == RECIPES["default"]


@needs_toml
def test_options_change_a_users_recipe_too(tmp_path):
    path = written(tmp_path, "\ufeffepochs = 7  # a byte order mark before it\n")
    assert find_recipe(str(path), epochs=3, iterations=4).epochs == 3


@needs_toml
def test_a_batch_normalised_network_gets_the_name_of_the_trainer_that_builds_it(tmp_path):
    assert find_recipe(str(written(tmp_path, 'normalization = "batch"'))).trainer_name == "nnUNetTrainerBN"
    back = written(tmp_path, 'base = "batchnorm"\nnormalization = "instance"')
    assert find_recipe(str(back)).trainer_name == "nnUNetTrainer"


@needs_toml
@pytest.mark.parametrize("recipe", ROWS)
def test_every_recipe_printed_and_read_again_is_the_same(recipe, tmp_path):
    text = recipe_to_toml(recipe)
    assert all(any(line.lstrip("# ").startswith(field) for line in text.splitlines()) for field in RULES)
    again = find_recipe(str(written(tmp_path, text)))
    assert dataclasses.replace(again, name=recipe.name, results_name=recipe.results_name) == recipe
    once_more = find_recipe(str(written(tmp_path, recipe_to_toml(again))))
    assert once_more == again


WRONG = {
    "an unknown key": ("epoch = 7", '"epoch"|\'epoch\'', "did you mean epochs"),
    "a key like none": ("zzzzzzzz = 7", "zzzzzzzz", "the keys are base, epochs"),
    "a table": ("[training]\nepochs = 7", "training", "the keys are"),
    "a text for a number": ('epochs = "7"', '"epochs" must be a whole number', "correct the entry"),
    "a fraction of an epoch": ("epochs = 7.5", '"epochs" must be a whole number', "correct"),
    "no epoch": ("epochs = 0", '"epochs" must be a whole number from 1', "correct"),
    "true for a number": ("epochs = true", '"epochs" must be', "correct"),
    "a list": ("epochs = [7]", '"epochs" must be', "correct"),
    "a date": ("epochs = 2024-01-01", '"epochs" must be', "correct"),
    "infinity": ("learning_rate = inf", '"learning_rate" must be', "correct"),
    "NaN": ("learning_rate = nan", '"learning_rate" must be', "correct"),
    "a negative rate": ("learning_rate = -0.1", '"learning_rate" must be', "correct"),
    "a number for true": ("deep_supervision = 1", '"deep_supervision" must be true or false', "correct"),
    "an unknown loss": ('loss = "dise"', '"loss" must be', "correct"),
    "an import path": ('optimizer = "os.system"', '"optimizer" must be \'sgd\'', "correct"),
    "an unknown base": ('base = "defualt"', '"base" must be a recipe', "did you mean default"),
    "another file for a base": ('base = "../other.toml"', '"base" must be a recipe', "list them"),
    "a base that is a number": ("base = 7", '"base" must be a recipe', "list them"),
    "a name of nnU-Net's trainer": ('trainer_name = "nnUNetTrainerX"', "trainer_name", "the keys are"),
    "momentum without a use": ('optimizer = "adam"\nmomentum = 0.9', '"momentum" means nothing', "remove"),
    "a power without a use": ('schedule = "cosine"\npolynomial_power = 1', '"polynomial_power" means', "remove"),
    "a warm-up without an end": ("epochs = 10\nwarmup_epochs = 10", "warms up for 10 of 10", "give more epochs"),
    "no TOML": ("epochs: 7", "is not valid TOML", "write lines"),
    "a key twice": ("epochs = 7\nepochs = 8", "is not valid TOML", "write lines"),
    "JSON": ('{"epochs": 7}', "is not valid TOML", "write lines"),
    "another encoding": (b"loss = 'd\xefce'", "is not UTF-8", "save it"),
    "zeros": (b"\0" * 100, "is not valid TOML", "write lines"),
    "a large file": ("#" * MOST_BYTES + "\n", "bytes|large|MB|kB", ""),
    "deep nesting": ("epochs = " + "[" * 4000, "nested too deeply|not valid TOML", ""),
    "a deep key": ("a." * 4000 + "b = 1", "has the key", "the keys are"),
    "a number without end": ("epochs = " + "9" * 6000, "not valid TOML|must be a whole number", ""),
    "an escape": ('loss = "\\u001b[31m"', '"loss" must be', "correct"),
}  # fmt: skip


@needs_toml
@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_no_recipe_is_in_is_one_sentence_with_file_key_and_remedy(what, tmp_path):
    content, problem, remedy = WRONG[what]
    path = written(tmp_path, content)
    begun = time.monotonic()
    with pytest.raises(UserInputError, match=problem) as refusal:
        find_recipe(str(path))
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path}: ")
    assert remedy in sentence
    assert "\x1b" not in sentence
    assert "\n" not in sentence
    assert len(sentence) < 700
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", ["default.toml", "nnUNetTrainerDA5.toml", "a__b.toml", "_.toml", "con.toml", ".toml"])
@needs_toml
def test_a_file_whose_name_can_be_no_model_folder_of_its_own_is_refused(name, tmp_path):
    with pytest.raises(UserInputError, match="rename the file"):
        find_recipe(str(written(tmp_path, "", name)))


@pytest.mark.parametrize("make", ["missing", "folder"])
def test_what_is_no_file_is_named(make, tmp_path):
    path = tmp_path / "mine.toml"
    if make == "folder":
        path.mkdir()
    with pytest.raises(UserInputError, match=r"mine\.toml"):
        find_recipe(str(path))


def test_an_old_python_that_cannot_read_toml_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    with pytest.raises(UserInputError, match=r"mine\.toml: reading a recipe file needs Python 3\.11"):
        find_recipe(str(written(tmp_path, "")))


@needs_toml
def test_the_verb_recipes_prints_one_as_a_file_that_gives_it_again(capsys, tmp_path):
    assert main(["recipes", "nnUNetTrainer_warmup", "--workspace", str(tmp_path)]) == 0
    path = written(tmp_path, capsys.readouterr().out)
    assert find_recipe(str(path)).warmup_epochs == 50
    assert main(["recipes", str(path), "--json", "--workspace", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["trainer_name"], shown["warmup_epochs"]) == ("mine", "nnUNetTrainer_warmup", 50)
    assert main(["recipes", "wild", "--workspace", str(tmp_path)]) == 2
    assert "list them with: recipes" in capsys.readouterr().err


def test_listing_recipes_needs_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from SegAutoPlanLib.__main__ import main\n"
        f"sys.exit(main(['recipes', '--workspace', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nnUNetTrainer_100epochs" in done.stdout
